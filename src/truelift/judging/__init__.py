"""Verdicts for other people's runs, and for any function that trains: `truelift.judge` and `truelift.compare`."""

from truelift.judging.compare import compare
from truelift.judging.judge import judge
from truelift.judging.judged import Judged
from truelift.records.locks import InUseError

__all__ = ["InUseError", "Judged", "compare", "judge"]
