"""Runs that were made elsewhere: tables of results, and what experiment trackers leave. Each reader is a file.

Nothing here imports a tracker unless a folder needs it to be read: TensorBoard's event files and offline runs of
Weights & Biases.
"""

from truelift.records.elsewhere.find import read_runs
from truelift.records.elsewhere.run_table import OneRun, RunTable, Series, Wanted

__all__ = ["OneRun", "RunTable", "Series", "Wanted", "read_runs"]
