"""Verdicts for other people's runs, and for any function that trains: `truelift.judge` and `truelift.compare`."""

from truelift.judging.compare import compare
from truelift.judging.judge import judge
from truelift.judging.judged import Judged

__all__ = ["Judged", "compare", "judge"]
