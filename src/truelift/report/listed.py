"""Verdicts for a list of studies: without curves, features and the other metrics, which a report has."""

from collections import Counter
from collections.abc import Mapping

from truelift.records import Study
from truelift.report.standing import standing

_MOST_NAMES = 3
"""Of variants in a line."""


def verdicts(study: Study) -> dict[str, str]:
    """The verdict of each variant but the baseline: those of the study's report.

    Raises:
        InputError: As `summarise`.
    """
    return {name: comparison.verdict for name, comparison in standing(study).comparisons.items()}


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
