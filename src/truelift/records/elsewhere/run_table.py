"""Runs that were made elsewhere: what every reader gives, whatever it reads. S steps, letters as in each field."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Fact = str | int | float | bool | None
"""A setting, a tag, or a cell that is no result."""


@dataclass(frozen=True)
class Series:
    """One quantity of one run."""

    steps: NDArray[np.float64]
    """(S,) rising; a single 0 where the source knows no steps."""
    values: NDArray[np.float64]
    """(S,); NaN where the run logged one."""


@dataclass(frozen=True)
class OneRun:
    """One run of one variant."""

    variant: str
    seed: int | str | None
    """None where the source has no seeds: such runs cannot be paired."""
    series: Mapping[str, Series]
    """By the metric's name."""
    place: str
    """Where it stands, for messages: "line 4", or the run's name."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """Settings, as far as the source has some."""
    failed: str | None = None
    """Why it did not end well, where the source says so."""

    @property
    def label(self) -> str:
        """Which run it is, for a reader."""
        seed = "" if self.seed is None else f", seed {self.seed}"
        return f'variant "{self.variant}"{seed}'


@dataclass(frozen=True)
class RunTable:
    """All runs of one source."""

    source: str
    """What was read, as it was named."""
    runs: tuple[OneRun, ...]
    variant_from: str
    """Where the variants were found, in words."""
    seed_from: str
    """Where the seeds were found, in words; "nowhere" without any."""
    seeds_are_folds: bool = False
    """Whether the seeds' name says that they are the folds of one data set."""
    steps_from: str | None = None
    """What counts the steps; None where every run has one result."""
    has_empty_cells: bool = False
    """Whether a run without a number may be a row with an empty cell: its result is missing, and it has not failed."""
    notes: tuple[str, ...] = ()
    """What a reader should know of how it was read, one sentence each."""

    @property
    def told(self) -> str:
        """How it was read, in one line."""
        steps = f", steps from {self.steps_from}" if self.steps_from else ""
        count = f"{len(self.runs)} {'run' if len(self.runs) == 1 else 'runs'}"
        return f"read {count} from {self.source}: variant from {self.variant_from}, seed from {self.seed_from}{steps}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all quantities, in the order in which they come."""
        return tuple(dict.fromkeys(name for run in self.runs for name in run.series))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user said of a source; None is found by usual names."""

    baseline: str | None = None
    metric: str | None = None
    variant: tuple[str, ...] = ()
    """Columns or settings; several make one name together."""
    seed: str | None = None
    step: str | None = None
