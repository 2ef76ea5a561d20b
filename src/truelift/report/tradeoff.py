"""What a saving of training time costs: each variant's saving, counted and measured, against the study's metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truelift.metrics import Metric
from truelift.report.judged import Results
from truelift.report.rows import Row, mean_and_sd, mean_digits
from truelift.verdicts import at_equal_time, compare, pareto_front
from truelift.verdicts.numbers import number

# Percent of the baseline's operations: heads that differ a little are no saving to speak of.
_LEAST_SAVING = 1.0


@dataclass(frozen=True)
class Saving(Row):
    """Percent saved under each seed. Its mean is that of the ratios, as in the table's comparison of times."""

    @property
    def mean(self) -> float:
        """100 (1 - geometric mean of the ratios); NaN without one."""
        if not self.done:
            return math.nan
        return 0.0 - 100 * math.expm1(float(np.log1p(np.divide(self.done, -100)).mean()))  # never -0.0


@dataclass(frozen=True)
class Choice:
    """One variant: what it saves, and what it reaches."""

    metric: Row
    """The study's metric."""
    counted: Saving
    """Operations of training saved, in percent of the baseline's under the same seed, as the runs counted them."""
    measured: Saving
    """Time of training saved, in percent of the baseline's under the same seed; see `TradeOff.clock`."""
    on_front: bool
    """Whether no other variant saves at least as much time and is at least as good; see `pareto_front`."""

    @property
    def variant(self) -> str:
        """Its name."""
        return self.metric.variant


@dataclass(frozen=True)
class TradeOff:
    """The choices that a study offers."""

    metric: Metric
    clock: str
    """The metric that tells the time: the processor's, which other work beside does not lengthen, but on a GPU."""
    choices: tuple[Choice, ...]
    """The variants that have all three numbers, the baseline first; none where none saves a percent of operations."""
    lengths: frozenset[str]
    """The baseline and the variants that differ from it in epochs alone."""
    at_equal_time: tuple[Row, ...]
    """Each other variant with its difference to the line through `lengths` at its own time, corrected for all."""


def trade_off(
    rows: Sequence[Row],
    results: Results,
    seeds: Sequence[int],
    metric: Metric,
    *,
    on_cpu: bool,
    lengths: frozenset[str],
    smallest_effect: float,
) -> TradeOff:
    """What each variant saves and reaches.

    Args:
        rows: Of the study's metric, the baseline first.
        results: The metrics of all done runs.
        seeds: The study's, in the order of the rows' values.
        metric: The study's.
        on_cpu: Whether no run used another device.
        lengths: See `TradeOff`.
        smallest_effect: In the metric's unit.
    """
    clock = "cpu_seconds" if on_cpu else "train_seconds"
    choices = _choices(rows, results, seeds, metric, clock)
    return TradeOff(metric, clock, choices, lengths, _at_equal_time(choices, metric, lengths, smallest_effect))


def _choices(
    rows: Sequence[Row], results: Results, seeds: Sequence[int], metric: Metric, clock: str
) -> tuple[Choice, ...]:
    def values(variant: str, name: str) -> NDArray[np.float64]:
        found = [results.get((variant, seed), {}).get(name) for seed in seeds]
        return np.array(found, dtype=np.float64)  # None is NaN

    def saved(variant: str, name: str) -> Saving:
        of_baseline, of_variant = values(rows[0].variant, name), values(variant, name)
        of_baseline[~(of_baseline > 0)] = np.nan  # a program of the user's may say 0
        of_variant[~(of_variant > 0)] = np.nan
        return Saving(variant, tuple((100 * (1 - of_variant / of_baseline)).tolist()), None, None)

    each = [(row, saved(row.variant, "training_operations"), saved(row.variant, clock)) for row in rows]
    found = [three for three in each if all(row.done for row in three)]
    if not any(counted.mean >= _LEAST_SAVING for _, counted, _ in found):
        return ()
    front = pareto_front(
        [measured.mean for _, _, measured in found],
        [row.mean for row, _, _ in found],
        higher_is_better=metric.higher_is_better,
    )
    return tuple(Choice(*three, on_front=bool(on)) for three, on in zip(found, front, strict=True))


def _at_equal_time(
    choices: Sequence[Choice], metric: Metric, lengths: frozenset[str], smallest_effect: float
) -> tuple[Row, ...]:
    """None without variants that differ from the baseline in epochs alone, or for a metric that is itself a time."""
    line = [choice for choice in choices if choice.variant in lengths]
    if len(line) < 2 or metric.relative:
        return ()
    savings, reached = [end.measured.values for end in line], [end.metric.values for end in line]
    others = {choice.variant: choice for choice in choices if choice.variant not in lengths}
    differences = {
        name: at_equal_time(choice.measured.values, choice.metric.values, savings, reached)
        for name, choice in others.items()
    }
    comparisons = compare(
        np.zeros(len(line[0].metric.values)),
        {name: found for name, found in differences.items() if not np.isnan(found).all()},
        higher_is_better=metric.higher_is_better,
        smallest_effect=smallest_effect,
        unit=metric.unit,
        scale="none",  # differences
        may_be_constant=True,
    )
    return tuple(Row(name, others[name].metric.values, comparison, None) for name, comparison in comparisons.items())


def header(found: TradeOff) -> tuple[str, ...]:
    """Of the table."""
    return ("variant", "counted saving, %", "measured saving, %", found.metric.label, "Pareto front")


def cells(found: TradeOff) -> list[tuple[str, ...]]:
    """The choices, each under `header`; none where there is none."""
    of_metric = mean_digits([choice.metric for choice in found.choices])
    return [
        (
            choice.variant,
            number(choice.counted.mean, digits=1),
            mean_and_sd(choice.measured, 1),
            mean_and_sd(choice.metric, of_metric),
            "yes" if choice.on_front else "",
        )
        for choice in found.choices
    ]


def legend(found: TradeOff) -> str:
    """What the table and the picture show."""
    time = "processor time" if found.clock == "cpu_seconds" else "time"
    return (
        "Counted: what freezing leaves out of the operations of training's convolutions and matrix products. "
        f"Measured: {time} of training. Both are savings against the baseline under the same seed, mean of the ratios "
        "± standard deviation over seeds. On the Pareto front: no other variant saves at least as much time and is at "
        "least as good."
    )


EQUAL_TIME_LEGEND = (
    "To train for fewer epochs saves time too. Here each variant is compared with what the baseline reaches in the "
    "same time, seed by seed: in a line between the nearest two of the baseline and the variants that differ from it "
    "in epochs alone, which flatters the variant where these lie far apart. Variants whose time lies beyond all of "
    "them are not compared."
)
