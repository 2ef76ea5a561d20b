"""Published figures beside the study's own, and whether they agree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from truelift.report.numbers import number
from truelift.report.summary import Row, Summary, mean_digits
from truelift.verdicts import agreement_interval

HEADER = ("variant", "source", "published", "ours", "difference", "agrees within", "agreement")
_LEGEND = (
    "Mean ± standard deviation, the number of runs in brackets; difference: ours less the published. One published "
    "run, or a mean without a standard deviation, agrees where it lies in the 95 % prediction interval for as many "
    "further runs of ours; a published mean with a standard deviation agrees where Welch's t-test does not tell the "
    "two apart at 5 %. So of twenty figures that are reproduced one is expected to differ; and a wide interval "
    "agrees with much: more seeds narrow it."
)


@dataclass(frozen=True)
class Beside:
    """One published figure and our own of the same variant."""

    row: Row
    figure: Mapping[str, Any]
    """value, source, runs and sd, as study.json has them."""
    difference: float
    """Ours less the published; NaN where there is nothing to compare."""
    interval: tuple[float, float] | None
    """Published figures in it agree with ours; None where that cannot be told."""
    agreement: str
    """agrees, differs, why it cannot be told, or a dash where there is nothing to compare."""


def beside(summary: Summary) -> list[Beside]:
    """Each published figure of the study, beside ours; at another protocol than the published one without agreement."""
    plan = summary.study.plan
    published = plan.get("published", {})
    return [
        _beside(row, figure, comparable=not plan.get("changed"))
        for row in summary.rows
        for figure in published.get(row.variant, ())
    ]


def _beside(row: Row, figure: Mapping[str, Any], *, comparable: bool) -> Beside:
    if not comparable or not row.done:
        return Beside(row, figure, math.nan, None, "–")
    difference = row.mean - figure["value"]
    interval = agreement_interval(row.done, runs=figure["runs"], sd=figure["sd"])
    if interval is None:
        return Beside(
            row, figure, difference, None, f"{'no spread' if len(row.done) > 1 else 'one seed'}: cannot be told"
        )
    low, high = interval
    return Beside(row, figure, difference, interval, "agrees" if low <= figure["value"] <= high else "differs")


def cells(summary: Summary) -> list[tuple[str, ...]]:
    """The rows under HEADER; none where nothing is published."""
    digits = mean_digits(summary.rows)
    return [_cells(found, digits) for found in beside(summary)]


def _cells(found: Beside, digits: int) -> tuple[str, ...]:
    row, figure = found.row, found.figure
    several = f" ({figure['runs']})" if figure["runs"] > 1 else ""
    return (
        row.variant,
        figure["source"],
        f"{figure['value']:g}" + (f" ± {figure['sd']:g}" if figure["sd"] is not None else "") + several,
        f"{number(row.mean, digits=digits)} ± {number(row.sd, digits=digits)} ({len(row.done)})" if row.done else "–",
        number(found.difference, digits=digits, sign=True),
        " to ".join(number(end, digits=digits) for end in found.interval or ()) or "–",
        found.agreement,
    )


_CSV = ("", "_source", "_runs", "_sd", "_difference", "_low", "_high", "_agreement")


def csv_columns(summary: Summary) -> tuple[list[str], dict[str, list[object]]]:
    """The names of the columns, a set of them a figure, and what stands in them by variant."""
    fields: dict[str, list[object]] = {row.variant: [] for row in summary.rows}
    for found in beside(summary):
        stated = (found.figure[key] for key in ("value", "source", "runs", "sd"))
        fields[found.row.variant] += [*stated, found.difference, *(found.interval or (None, None)), found.agreement]
    most = max(map(len, fields.values()))
    names = [f"published_{1 + set_}{ending}" for set_ in range(most // len(_CSV)) for ending in _CSV]
    return names, {variant: [*found, *[None] * (most - len(found))] for variant, found in fields.items()}


def legend(summary: Summary) -> str:
    """How to read the table, or why it says nothing of agreement."""
    changed = summary.study.plan.get("changed")
    if not changed:
        return _LEGEND
    return (
        "The published figures belong to the full protocol (--scale paper), and these runs change "
        f"{', '.join(changed)}: they stand here for orientation, and nothing is said of agreement."
    )
