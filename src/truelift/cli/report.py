"""`truelift report`."""

import hashlib
import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift.cli.say import show
from truelift.errors import InputError
from truelift.records import Study
from truelift.report import summarise
from truelift.report.predicted import judged_by
from truelift.verdicts import Requirement


def report(
    folder: Annotated[Path | None, Parameter(name="folder")] = None,
    /,
    *,
    json: bool = False,
    require: Requirement | None = None,
    serve: bool = False,
    port: int | None = None,
    all: bool = False,
    metric: str | None = None,
    smallest_effect: float | None = None,
) -> int:
    """Write a study's report again, from its records alone.

    Args:
        folder: The study's folder; with --all the folder of all studies, by default runs.
        json: Print the report as JSON and nothing else (docs/json.md).
        require: helps, not-hurts or no-effect: end with status 0 if that holds for every variant, 3 if not, 4 if it is
            undecided.
        serve: Serve the page at an address that only this machine can reach, kept up to date while the study runs,
            until Ctrl-C.
        port: With --serve: the port. Default: any free one.
        all: Write index.html, a page with a line for every study below the folder.
        metric: Judge by a metric other than the planned one, without running anything again: one of the runs' results,
            or of their kept predictions: balanced_accuracy, macro_f1, top5_accuracy, calibration_error, log_loss,
            CLASS_recall. The report's files go into FOLDER/by-METRIC.
        smallest_effect: With --metric: the smallest difference that matters, in units of its differences. Default: the
            study's, if both are in points; else 0.
    """
    _check_together(folder, json or require is not None, serve, port, all)
    if metric is not None and (all or serve):
        raise InputError(f"metric and {'all' if all else 'serve'} exclude each other.")
    if smallest_effect is not None and metric is None:
        raise InputError("smallest_effect needs metric: a study's own is in its study file.")
    if all:
        from truelift.report.all_studies import write_index

        page, count = write_index(folder or Path("runs"))
        print(f"{count} {'study' if count == 1 else 'studies'}: {page}")
        return 0
    assert folder is not None, "checked above"
    if serve:
        from truelift.report.serve import serve as serve_page

        serve_page(folder, port or 0, lambda line: print(line, flush=True))
        return 0
    study = Study.read(folder)
    if metric is None:
        return show(summarise(study), folder, json=json, require=require)
    other = judged_by(study, metric, smallest_effect)
    return show(summarise(other), folder / _place(other.plan["metric"]), json=json, require=require)


def _place(metric: str) -> str:
    """The name of a folder for the report by a metric, another for each."""
    name = re.sub(r"[^\w.-]+", "-", metric)
    digest = hashlib.sha256(metric.encode(errors="surrogatepass")).hexdigest()
    return f"by-{name}" if name == metric else f"by-{name}-{digest[:6]}"


def _check_together(folder: Path | None, printed: bool, serve: bool, port: int | None, of_all: bool) -> None:
    """Refuse what says nothing together.

    Raises:
        InputError: The folder is missing, or one option makes another one meaningless.
    """
    if folder is None and not of_all:
        raise InputError("folder must be given: a study's, such as runs/demo; --all alone takes runs.")
    if of_all and serve:
        raise InputError("all and serve exclude each other.")
    if printed and (of_all or serve):
        raise InputError(f"json and require exclude {'all' if of_all else 'serve'}.")
    if port is not None and not serve:
        raise InputError("port needs --serve.")
