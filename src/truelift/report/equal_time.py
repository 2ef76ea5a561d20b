"""Does a technique that saves time beat a baseline that simply trains for a shorter time? Compared at equal time."""

import numpy as np
from numpy.typing import NDArray

from truelift.report.summary import Row, Summary
from truelift.report.tradeoff import Choice, trade_off
from truelift.verdicts import compare

LEGEND = (
    "To train for fewer epochs saves time too. Here each variant is compared with what the baseline reaches in the "
    "same time, seed by seed: in a line between the nearest two of the baseline and the variants that differ from it "
    "in epochs alone, which flatters the variant where these lie far apart. Of a variant whose time lies beyond all of "
    "them nothing is said."
)


def rows(summary: Summary) -> tuple[Row, ...]:
    """Each variant with its difference to the baseline's line at its own time, corrected for all of them.

    None without variants that differ from the baseline in epochs alone, or for a metric that is itself a time.
    """
    choices = trade_off(summary)
    lengths = other_lengths(summary)
    line = [choice for choice in choices if choice.variant in lengths]
    if len(line) < 2 or summary.metric.relative:
        return ()
    others = [choice for choice in choices if choice.variant not in lengths]
    differences = {choice.variant: _differences(choice, line) for choice in others}
    metric = summary.metric
    comparisons = compare(
        np.zeros(len(summary.seeds)),
        {name: found for name, found in differences.items() if not np.isnan(found).all()},
        higher_is_better=metric.higher_is_better,
        smallest_effect=float(summary.study.plan["smallest_effect"]),
        unit=metric.unit,
    )
    values = {choice.variant: choice.metric.values for choice in others}
    return tuple(Row(name, values[name], comparison, None) for name, comparison in comparisons.items())


def csv_columns(summary: Summary) -> tuple[list[str], dict[str, list[object]]]:
    """The names of the columns and what stands in them by variant; no columns where `rows` has nothing."""
    compared = rows(summary)
    kinds = ("pairs", "difference", "interval_low", "interval_high", "p_adjusted", "verdict")
    names = [f"equal_time_{kind}" for kind in kinds] if compared else []
    fields: dict[str, list[object]] = {row.variant: [None] * len(names) for row in summary.rows}
    for row in compared:
        c = row.comparison
        assert c is not None
        fields[row.variant] = [c.seeds, c.difference, *(c.interval or (None, None)), c.p_adjusted, c.verdict]
    return names, fields


def other_lengths(summary: Summary) -> set[str]:
    """The baseline and the variants that differ from it in epochs alone."""
    variants = summary.study.plan["variants"]

    def what(name: str) -> tuple[object, ...]:
        settings = {key: value for key, value in variants[name]["settings"].items() if key != "epochs"}
        return settings, variants[name]["command"]

    wanted = what(summary.rows[0].variant)
    return {name for name in variants if wanted[1] is None and what(name) == wanted}


def _differences(choice: Choice, line: list[Choice]) -> NDArray[np.float64]:
    """Of each seed; NaN where the line does not reach so far, or a run is missing."""
    found = []
    for seed, (saving, value) in enumerate(zip(choice.measured.values, choice.metric.values, strict=True)):
        points = np.array([(end.measured.values[seed], end.metric.values[seed]) for end in line])
        points = points[~np.isnan(points).any(axis=1)]
        savings, values = points[points[:, 0].argsort()].T
        inside = len(savings) > 1 and savings[0] <= saving <= savings[-1]
        found.append(value - np.interp(saving, savings, values) if inside else np.nan)
    return np.array(found)
