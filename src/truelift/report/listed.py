"""Verdicts for a list of studies: without curves, features and the other metrics, which a report has."""

import os
from collections import Counter
from collections.abc import Mapping

from truelift.records import Study
from truelift.report.asked import read_asked
from truelift.report.growing import by_run, found_in, grown
from truelift.report.judged import compared
from truelift.verdicts import Comparison

_MOST_NAMES = 3
"""Of variants in a line."""


def verdicts(study: Study) -> dict[str, str]:
    """The verdict of each variant but the baseline: those of the study's report.

    Raises:
        InputError: As `summarise`.
    """
    asked = read_asked(study.plan)
    statuses = [(run, run.status) for run in study.runs]
    found = found_in(statuses)
    comparisons: Mapping[str, Comparison]
    if asked.looks is None:
        comparisons = compared(asked, asked.metric, found, smallest_effect=asked.smallest_effect, guards=asked.guards)
    else:
        begun = frozenset((run.variant, run.seed) for run in study.runs if os.path.lexists(run.folder))
        comparisons = grown(asked, found, by_run(statuses), begun).comparisons
    return {name: comparison.verdict for name, comparison in comparisons.items()}


def in_words(found: Mapping[str, str]) -> str:
    """Verdicts in a word or a few: one that all have by itself, of a few variants each with its name, else counted."""
    counts = Counter(found.values())
    if not counts:
        return ""
    if len(counts) == 1:
        return next(iter(counts))
    if len(found) > _MOST_NAMES:
        return ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    return ", ".join(f"{name} {verdict}" for name, verdict in found.items())
