"""`truelift cancel`."""

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift.records import Study
from truelift.records.progress import seen_from_outside
from truelift.studies.executors import CLUSTERS, cancel_all


def cancel(folder: Annotated[Path, Parameter(name="folder")], /) -> int:
    """End a study's jobs or tasks on a cluster. What has run is kept: truelift study goes on with it.

    Processes that no queue has started are named, and end by Ctrl-C where they were started.

    Args:
        folder: The study's folder.
    """
    study = Study.read(folder)
    told = cancel_all(folder)
    for line in told:
        print(line)
    others = dict.fromkeys(
        (one.holder.host, one.holder.executor, one.holder.process)
        for one in seen_from_outside(study.runs, time.time()).runs
        if one.holder is not None and one.holder.executor not in CLUSTERS
    )
    for host, executor, process in others:
        print(f"process {process} on {host} ({executor}) makes a run: end what has started it there, by Ctrl-C")
    if not told and not others:
        print("nothing of this study is in a queue or runs")
    return 0
