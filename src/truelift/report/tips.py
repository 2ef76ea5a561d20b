"""What a pointer shows on a variant's differences."""

import math
from typing import NamedTuple

from truelift.report.rows import Row, difference_digits
from truelift.report.summary import Summary
from truelift.verdicts.numbers import number


class DifferenceTips(NamedTuple):
    """Texts of one variant."""

    of_pairs: tuple[str, ...]
    """One a difference, with its seed where runs are pairs."""
    of_mean: str


def difference_tips(summary: Summary, row: Row) -> DifferenceTips:
    """The texts of a variant that has a comparison."""
    c = row.comparison
    assert c is not None
    digits, unit = difference_digits(summary.rows), summary.metric.unit

    def shown(value: float) -> str:
        return number(value, digits=digits, sign=True)

    seeds = [
        seed
        for seed, *pair in zip(summary.asked.seeds, row.values, summary.rows[0].values, strict=True)
        if not any(map(math.isnan, pair))
    ]
    named = summary.asked.paired and len(seeds) == len(c.differences)
    whose = [f"{row.variant}, seed {seed}" for seed in seeds] if named else [row.variant] * len(c.differences)
    pairs = tuple(f"{who}: {shown(value)} {unit}".rstrip() for who, value in zip(whose, c.differences, strict=True))
    within = f", interval {' to '.join(map(shown, c.interval))}" if c.interval is not None else ""
    within += f", as wide as rounding to {row.step:.3g} {unit} alone makes it" if row.step else ""
    mean = f"{row.variant}: mean {shown(c.difference)} {unit}".rstrip()
    return DifferenceTips(pairs, f"{mean}{within}, {c.verdict}")
