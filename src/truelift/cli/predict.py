"""`truelift predict`."""

import csv as tables
import sys
from collections.abc import Iterable
from json import dumps
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from truelift import __version__
from truelift.cli.say import warn
from truelift.data.pictures import Unreadable
from truelift.errors import InputError, printable, require
from truelift.report.plain import csv_cell, visible
from truelift.training.prediction import Predicted, predict_files
from truelift.training.trained import Trained, restore

_NO_WIDTH = 1_000_000

SCHEMA = 1
"""Of the JSON form (docs/json.md)."""


def predict(
    run: Annotated[Path, Parameter(name="run")],
    images: Annotated[tuple[Path, ...], Parameter(name="images")],
    /,
    *,
    top: int = 5,
    json: bool = False,
    csv: bool = False,
    fit: bool = False,
    device: str = "auto",
) -> int:
    """Say what a run's network sees in images.

    Args:
        run: Folder of a finished run, such as runs/train/NAME.
        images: Image files, and folders of them, which are searched at any depth.
        top: Number of classes to show for each image.
        json: Print JSON and nothing else (docs/json.md).
        csv: Print CSV and nothing else.
        fit: Bring images of other sizes to the network's: the shorter side resized, the centre square kept.
        device: auto, cpu, mps, cuda or cuda:N.
    """
    if json and csv:
        raise InputError("json and csv exclude each other.")
    require("top", top, top >= 1, "at least 1")
    trained = restore(run, device=device)
    if trained.experiment.probe.name != "none":
        warn(f"{run} was judged by its probe, which is not kept: these are the predictions of the network's own head.")
    found = list(_followed(predict_files(trained, images, top=top, fit=fit)))
    read = [one for one in found if isinstance(one, Predicted)]
    failed = [one for one in found if isinstance(one, Unreadable)]
    if json:
        print(dumps(_form(trained, read, failed), indent=2, allow_nan=False))
    elif csv:
        _print_csv(trained, read)
    elif read:
        _print_table(trained, read)
    return 1 if failed else 0


def _followed(found: Iterable[Predicted | Unreadable]) -> Iterable[Predicted | Unreadable]:
    """The same, with a line on the error stream for each file that cannot be read, at once."""
    for one in found:
        if isinstance(one, Unreadable):
            warn(printable(f"{one.path}: {one.reason}"))
        yield one


def _form(trained: Trained, read: list[Predicted], failed: list[Unreadable]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": "predictions",
        "truelift": __version__,
        "run": str(trained.folder),
        "classes": list(trained.inputs.classes),
        "images": [
            {
                "file": one.file,
                "top": [{"class": c.name, "number": c.number, "probability": c.probability} for c in one.top],
                "log_likelihood": one.log_likelihood,
            }
            for one in read
        ],
        "failed": [{"file": one.path, "reason": one.reason} for one in failed],
    }


def _print_csv(trained: Trained, read: list[Predicted]) -> None:
    places = range(1, 1 + (len(read[0].top) if read else 1))
    writer = tables.writer(sys.stdout, lineterminator="\n")
    header = ["file", *(f"{name}_{i}" for i in places for name in ("class", "probability"))]
    writer.writerow([*header, *(["log_likelihood"] if trained.has_likelihood else [])])
    for one in read:
        cells: list[object] = [csv_cell(visible(one.file))]
        for choice in one.top:
            cells += [csv_cell(visible(choice.name)), choice.probability]
        writer.writerow([*cells, *([one.log_likelihood] if trained.has_likelihood else [])])


def _print_table(trained: Trained, read: list[Predicted]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    others = len(read[0].top) > 1
    table.add_column("image", overflow="fold")
    table.add_column("class", overflow="fold")
    table.add_column("probability", justify="right")
    if others:
        table.add_column("next", overflow="fold")
    if trained.has_likelihood:
        table.add_column("log-likelihood", justify="right")
    for one in read:
        first, *rest = one.top
        cells = [printable(one.file), printable(first.name), _percent(first.probability)]
        if others:
            cells.append(", ".join(f"{printable(c.name)} {_percent(c.probability)}" for c in rest))
        if one.log_likelihood is not None:
            cells.append(f"{one.log_likelihood:.1f}")
        table.add_row(*map(Text, cells))
    # A file or a pipe has no width: whoever searches it for a file's name finds it in one piece.
    Console(width=None if sys.stdout.isatty() else _NO_WIDTH).print(table)


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"
