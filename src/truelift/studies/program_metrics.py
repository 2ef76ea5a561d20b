"""The metrics that a program of the user's leaves: the finite numbers in its metrics.json, or in a table's last row."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from truelift.errors import InputError, is_number, one_line
from truelift.metrics import no_result
from truelift.records import Predictions
from truelift.records.elsewhere.delimited import read_delimited
from truelift.records.files import read_bytes
from truelift.records.predicted import measure, value_or_why

MOST_METRICS_BYTES = 2**20
"""Of a metrics.json."""
TABLES = (".csv", ".tsv")
"""How the names of files end of which the last row counts."""


class UnmeasuredError(InputError):
    """A program has ended well and left no metrics, or none of the name that counts: so will all its runs, probably."""

    ran: Mapping[str, Any] | None = None
    """What result.json would have had beside the metrics."""


def read_metrics(
    path: Path, metric: str | None = None, tell: Callable[[str], None] = print, *, folder: Path | None = None
) -> tuple[dict[str, float], list[str]]:
    """The metrics that a user's program left: the finite numbers in it; and the names of what else is there.

    Args:
        path: The file: a JSON object, or a table (`TABLES`).
        metric: The one that must be there, or that the run's predictions.npz must give.
        tell: Told what is left out, and why.
        folder: The run's, where the file is not right in it.

    Raises:
        UnmeasuredError: There is none, it is no JSON object in UTF-8, or it has nothing named as the metric, which the
            predictions do not give either.
        InputError: No regular file of at most `MOST_METRICS_BYTES`, no finite number, or the metric is none.
    """
    if not path.exists():
        raise UnmeasuredError(f"the command left no {path.name} in {{out}}")
    found = _last_row(path) if path.suffix in TABLES else _object(path)
    rule = f"{path.name} must be one JSON object of finite numbers by name"
    if not isinstance(found, dict):
        raise UnmeasuredError(f"{rule}, got {_shown(found)}")
    metrics = {name: value for name, value in found.items() if _is_metric(name, value)}
    if (
        metric is not None
        and metric not in metrics
        and (why := _unpredicted(folder or path.parent, metric)) is not None
    ):
        rule = f"{path.name} must have a finite number {metric}, got"
        if metric in found and found[metric] != "":  # the training went wrong, perhaps, and others do not
            raise InputError(f"{rule} {metric}: {_shown(found[metric])}{why}")
        raise UnmeasuredError(f"{rule} only {_shown(sorted(metrics))}{why}")
    if not metrics:
        raise InputError(f"{rule}, got {_shown(found)}")
    left_out = [name for name in found if name not in metrics]
    for name in left_out:
        why = (is_number(found[name]) and no_result(found[name])) or "no finite number"
        tell(f"truelift: {path.name}: {_shown(name)} is left out, since it is {why}: {_shown(found[name])}")
    return metrics, [_shown(name)[1:-1] for name in left_out]


def _object(path: Path) -> Any:
    try:
        # A NaN, which Python writes as such, is a stray value like others.
        return json.loads(read_bytes(path, MOST_METRICS_BYTES).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnmeasuredError(f"{path.name} is not UTF-8") from None
    except RecursionError:
        raise UnmeasuredError(f"{path.name} is nested too deeply") from None
    except InputError:
        raise
    except ValueError as error:
        raise UnmeasuredError(f"{path.name} is not JSON: {one_line(error)}") from None


def _last_row(path: Path) -> dict[str, Any]:
    """Of a table, each of its cells a number where it is one."""
    try:
        cells = read_delimited(path, runs=False).cells
    except InputError as error:
        raise UnmeasuredError(str(error).replace(str(path), path.name).rstrip(".")) from None
    return {name: _number(column[-1]) for name, column in cells.items()}


def _number(cell: Any) -> Any:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return cell


def result_of(ran: Mapping[str, Any], metrics: Mapping[str, float], left_out: Sequence[str]) -> dict[str, Any]:
    """The content of result.json.

    Args:
        ran: What the program was, and what it took.
        metrics: What `read_metrics` gives.
        left_out: Likewise.
    """
    return {"metrics": dict(metrics), "left_out": list(left_out), **ran}


def _unpredicted(folder: Path, metric: str) -> str | None:
    """Why the predictions that a program left do not give a metric, for the end of a sentence; None where they do."""
    one = measure(metric, [])
    if one is None:
        return ""
    try:
        value = value_or_why(one, Predictions.read(folder / "predictions.npz"))
    except InputError as error:
        value = str(error)
    return None if isinstance(value, float) else f"; nor does predictions.npz give it: {value.rstrip('.')}"


def _is_metric(name: str, value: Any) -> bool:
    if not is_number(value):
        return False
    try:
        name.encode()  # half a character, which JSON can have, can be written nowhere
        return no_result(value) is None
    except UnicodeEncodeError:
        return False


def _shown(value: Any) -> str:
    """A value in ASCII, and not at length."""
    try:
        text = ascii(value)
    except ValueError:  # a whole number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 200 else f"{text[:200]} …"
