"""How a study stands, judged as its report judges it: without curves, features and the other metrics."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from truelift.errors import InputError
from truelift.records import Run, Status, Study
from truelift.report.asked import Asked
from truelift.report.growing import Grown, by_run, grown
from truelift.report.judged import compared
from truelift.report.kept import Key
from truelift.report.seen import seen
from truelift.verdicts import Comparison


@dataclass(frozen=True)
class Standing:
    """The verdicts, and what they rest on."""

    asked: Asked
    statuses: tuple[tuple[Run, Status], ...]
    """Of every run of the plan, all looked at once."""
    comparisons: Mapping[str, Comparison]
    """By variant, the baseline left out."""
    goes_on: bool
    """Whether runs are to come that may change them."""
    not_needed: frozenset[Key]
    """Runs, by variant and seed, that a study until decided was decided without."""


def standing(study: Study) -> Standing:
    """Judge every variant of a study by what is there.

    Raises:
        InputError: As `compared`.
    """
    now = seen(study)
    asked, statuses, found = now.asked, now.statuses, now.comparable
    growth, counted = None, list(statuses)
    comparisons: Mapping[str, Comparison]
    if asked.looks is None:
        comparisons = compared(asked, asked.metric, found, smallest_effect=asked.smallest_effect, guards=asked.guards)
    else:
        growth = grown(asked, found, by_run(statuses), begun(study))
        counted = [(run, status) for run, status in statuses if (run.variant, run.seed) not in growth.uncounted]
        comparisons = growth.comparisons
    unneeded = frozenset[Key]() if growth is None else growth.not_needed
    return Standing(asked, statuses, comparisons, goes_on(counted, growth), unneeded)


def decide(study: Study) -> Mapping[str, Comparison]:
    """The comparisons of `standing`, which a study until decided asks for after each of its runs."""
    return standing(study).comparisons


def not_needed(study: Study) -> frozenset[Key]:
    """The `not_needed` of `standing`; empty where nothing can be judged yet, or seeds are a fixed number."""
    with suppress(InputError):
        return standing(study).not_needed
    return frozenset()


def begun(study: Study) -> frozenset[Key]:
    """The runs that have a folder, by variant and seed."""
    return frozenset((run.variant, run.seed) for run in study.runs if os.path.lexists(run.folder))


def goes_on(statuses: Sequence[tuple[Run, Status]], growth: Grown | None) -> bool:
    """Whether runs are to come.

    Args:
        statuses: Of the runs that count.
        growth: Of a study until decided.
    """
    undecided = growth is not None and any(stop.ended is None for stop in growth.stops.values())
    return undecided or any(status == "unfinished" for _, status in statuses)
