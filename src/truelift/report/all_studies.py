"""An index of all studies below a folder: question, verdicts, seeds and time of each, from the records alone."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from truelift.errors import InputError
from truelift.records import Study, write_text
from truelift.records.files import is_regular
from truelift.report.asked import Asked, read_asked
from truelift.report.growing import by_run, grown
from truelift.report.judged import Found, compared
from truelift.report.plain import visible
from truelift.report.summary import answered
from truelift.verdicts import Verdict
from truelift.verdicts.wording import Headline

_DEEPEST = 4
"""Folders below the one that is given, in which studies are looked for."""
_MARK = '<meta name="generator" content="truelift report --all">'


@dataclass(frozen=True)
class Overview:
    """One study."""

    name: str
    """Its folder, as from the one that is given."""
    link: str | None
    """Its report's address from there; None where none is written."""
    question: str = ""
    answer: str = ""
    verdicts: tuple[tuple[str, Verdict], ...] = ()
    """By variant, the baseline left out."""
    seeds: int = 0
    runs: str = ""
    """Done of planned."""
    created: str = ""
    """When its study.json was written, ISO 8601."""
    problem: str = ""
    """Why nothing else is said of it."""


def overviews(folder: Path) -> list[Overview]:
    """All studies below a folder, the newest first.

    Raises:
        InputError: It is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder.")
    found = [_overview(study, folder) for study in _studies(folder)]
    return sorted(found, key=lambda one: (one.created, one.name), reverse=True)


def write_index(folder: Path) -> tuple[Path, int]:
    """Write index.html into a folder, with a line for each study below it.

    Returns:
        The page's path, and how many studies it lists.

    Raises:
        InputError: It is no folder, no study is below it, or it has an index.html that is another program's.
    """
    from truelift.report.page import index_page  # matplotlib and the templates take a while

    found = overviews(folder)
    if not found:
        raise InputError(f"{folder} has no study below it: none of its folders has a study.json.")
    path = folder / "index.html"
    if os.path.lexists(path) and not _is_ours(path):
        raise InputError(f"{path} is not written over: it is none that truelift wrote.")
    write_text(path, visible(index_page(found, _MARK)))
    return path, len(found)


def _is_ours(path: Path) -> bool:
    if not is_regular(path):
        return False
    with path.open("rb") as file:
        return _MARK.encode() in file.read(4096)


def _studies(folder: Path) -> Iterator[Path]:
    """Folders with a study.json; below one of them is no other."""
    for place, below, files in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        if "study.json" in files:
            yield Path(place)
        if "study.json" in files or depth >= _DEEPEST:
            below.clear()


def _overview(folder: Path, root: Path) -> Overview:
    name = folder.relative_to(root).as_posix()
    link = quote(f"{name}/report.html") if is_regular(folder / "report.html") else None
    try:
        study = Study.read(folder)
        asked = read_asked(study.plan)
        return _judged(study, asked, name, link)
    except InputError as error:
        return Overview(name, link, problem=str(error))


def _judged(study: Study, asked: Asked, name: str, link: str | None) -> Overview:
    statuses = [(run, run.status) for run in study.runs]
    done = [run for run, status in statuses if status == "done"]
    # Of the predictions only how many images they are of counts for a verdict, and one run tells that of all.
    predictions = next(((run, read) for run in done if (read := run.predictions())), None)
    found = Found(
        {(run.variant, run.seed): run.result()["metrics"] for run in done},
        {} if predictions is None else {(predictions[0].variant, predictions[0].seed): predictions[1]},
        frozenset((run.variant, run.seed) for run, status in statuses if status == "failed"),
    )
    goes_on = any(status == "unfinished" for _, status in statuses)
    if asked.looks is None:
        effect = asked.smallest_effect
        comparisons = compared(asked, asked.metric, found, smallest_effect=effect, guards=asked.guards)
    else:
        begun = frozenset((run.variant, run.seed) for run in study.runs if os.path.lexists(run.folder))
        growth = grown(asked, found, by_run(statuses), begun)
        comparisons = dict(growth.comparisons)
        goes_on = any(stop.ended is None for stop in growth.stops.values())
    headlines = [Headline(variant, c.verdict, c.reason) for variant, c in comparisons.items()]
    return Overview(
        name=name,
        link=link,
        question=asked.question,
        answer=answered(asked, headlines, so_far=goes_on) if headlines else "",
        verdicts=tuple((one.variant, one.verdict) for one in headlines),
        seeds=len({run.seed for run in done}),
        runs=f"{len(done)} of {len(statuses)}" if asked.looks is None else f"{len(done)} of at most {len(statuses)}",
        created=str(study.plan["created"]),
    )
