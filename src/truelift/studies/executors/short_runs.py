"""How many runs one task of a job array makes, where nobody has said it: by how long those took that have ended.

Each task starts Python and waits for its turn in the queue, so tasks of seconds are a waste. On a login node nothing is
trained to find out how long a run takes: what is known is what the study's own folder shows.
"""

import math
from itertools import islice
from pathlib import Path

from truelift.errors import InputError
from truelift.records import Study
from truelift.records.progress import took

SHORT_SECONDS = 60.0
"""A run that takes less shares its task with others."""
TASK_SECONDS = 300.0
"""What such a task is to take."""
FEWEST_TASKS = 16
"""At least so many tasks, so that the runs of a small study still run at the same time."""

_MOST_READ = 100
"""Of the results: they tell how long a run takes, not more."""


def mean_seconds(study: Path) -> float | None:
    """Seconds of a run of the study, as those that have ended show; None where none has.

    Args:
        study: Its folder, which need not be there.
    """
    try:
        runs = Study.read(study).runs
    except InputError:
        return None
    known = (seconds for run in runs if (seconds := took(run)) is not None)
    found = list(islice(known, _MOST_READ))
    return sum(found) / len(found) if found else None


def most_runs_a_task(seconds: float | None, runs: int) -> int:
    """How many runs a task makes.

    Args:
        seconds: Of a run, at least 0; None where it is not known.
        runs: That are to come, at least 1.

    >>> most_runs_a_task(10.0, 1000), most_runs_a_task(10.0, 32), most_runs_a_task(90.0, 1000)
    (30, 2, 1)
    """
    if seconds is None or seconds >= SHORT_SECONDS:
        return 1
    fill = math.ceil(TASK_SECONDS / max(seconds, 1.0))
    return max(1, min(fill, math.ceil(runs / FEWEST_TASKS)))
