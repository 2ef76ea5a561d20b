"""What a saving of training time costs: each variant's saving, counted and measured, against the study's metric."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from truelift.report.numbers import number
from truelift.report.summary import Row, Summary, mean_digits

# Percent of the baseline's operations: heads that differ a little are no saving to speak of.
_LEAST_SAVING = 1.0


@dataclass(frozen=True)
class Choice:
    """One variant: what it saves, and what it reaches."""

    metric: Row
    """The study's metric."""
    counted: Row
    """Operations of training saved, in percent of the baseline's under the same seed, as the runs counted them."""
    measured: Row
    """Time of training saved, in percent of the baseline's under the same seed; see `clock`."""
    on_front: bool
    """Whether no other variant saves at least as much time and is at least as good; see `pareto_front`."""

    @property
    def variant(self) -> str:
        """Its name."""
        return self.metric.variant


def trade_off(summary: Summary) -> list[Choice]:
    """The variants that have all three, the baseline first; none where none saves a percent of the operations."""

    def values(variant: str, name: str) -> NDArray[np.float64]:
        found = [summary.results.get((variant, seed), {}).get(name) for seed in summary.seeds]
        return np.array(found, dtype=np.float64)  # None is NaN

    def saved(variant: str, name: str) -> Row:
        of_baseline = values(summary.rows[0].variant, name)
        of_baseline[~(of_baseline > 0)] = np.nan  # a program of the user's may say 0
        return Row(variant, tuple((100 * (1 - values(variant, name) / of_baseline)).tolist()), None, None)

    timed = clock(summary)
    each = [(row, saved(row.variant, "training_operations"), saved(row.variant, timed)) for row in summary.rows]
    found = [three for three in each if all(row.done for row in three)]
    if not any(counted.mean >= _LEAST_SAVING for _, counted, _ in found):
        return []
    front = pareto_front(
        [measured.mean for _, _, measured in found],
        [row.mean for row, _, _ in found],
        higher_is_better=summary.metric.higher_is_better,
    )
    return [Choice(*three, on_front=bool(on)) for three, on in zip(found, front, strict=True)]


def clock(summary: Summary) -> str:
    """The metric that tells the time: the processor's, which other work beside does not lengthen, but on a GPU."""
    on_cpu = all(environment.get("device", "cpu") == "cpu" for environment in summary.environments)
    return "cpu_seconds" if on_cpu else "train_seconds"


def legend(summary: Summary) -> str:
    """What the table and the picture show."""
    time = "processor time" if clock(summary) == "cpu_seconds" else "time"
    return (
        "Counted: operations of training's convolutions and matrix products. "
        f"Measured: {time} of training. Both are savings against the baseline under the same seed, mean ± standard "
        "deviation over seeds. On the Pareto front: no other variant saves at least as much time and is at least as "
        "good."
    )


def header(summary: Summary) -> tuple[str, ...]:
    """Of the table."""
    metric = summary.metric.name.replace("_", " ")
    return ("variant", "counted saving, %", "measured saving, %", metric, "Pareto front")


def cells(summary: Summary) -> list[tuple[str, ...]]:
    """The variants of `trade_off`, each under `header`; none where it has none."""
    choices = trade_off(summary)
    of_metric = mean_digits([choice.metric for choice in choices])

    def spread(row: Row, digits: int) -> str:
        return f"{number(row.mean, digits=digits)} ± {number(row.sd, digits=digits)}"

    return [
        (
            choice.variant,
            number(choice.counted.mean, digits=1),
            spread(choice.measured, 1),
            spread(choice.metric, of_metric),
            "yes" if choice.on_front else "",
        )
        for choice in choices
    ]


def csv_columns(summary: Summary) -> tuple[list[str], dict[str, list[object]]]:
    """The names of the columns and what stands in them by variant; no columns where `trade_off` has nothing."""
    choices = trade_off(summary)
    names = ["counted_saving", "measured_saving", "measured_saving_sd", "pareto_front"] if choices else []
    fields: dict[str, list[object]] = {row.variant: [None] * len(names) for row in summary.rows}
    fields |= {c.variant: [c.counted.mean, c.measured.mean, c.measured.sd, c.on_front] for c in choices}
    return names, fields


def pareto_front(saving: ArrayLike, metric: ArrayLike, *, higher_is_better: bool) -> NDArray[np.bool_]:
    """Which points no other one beats: none saves at least as much and is at least as good, and better in one of both.

    Args:
        saving: (n,), more is better.
        metric: (n,).
        higher_is_better: Whether a larger metric is.

    Returns:
        Booleans (n,); equal points are on the front together.
    """
    saved = np.asarray(saving, dtype=np.float64)
    good = np.asarray(metric, dtype=np.float64) * (1 if higher_is_better else -1)
    as_much, as_good = saved[:, None] >= saved, good[:, None] >= good
    more = (saved[:, None] > saved) | (good[:, None] > good)
    beaten = as_much & as_good & more
    return np.logical_not(beaten.any(axis=0), dtype=np.bool_)
