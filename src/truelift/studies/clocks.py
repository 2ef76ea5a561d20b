"""Whether the runs of a study will have times that can be compared."""

from collections.abc import Mapping, Sequence

from truelift.metrics import is_time
from truelift.studies.executors.local import Local
from truelift.studies.plan import StudyPlan


def times_that_mislead(plan: StudyPlan, local: Local, unrecorded: Mapping[str, str]) -> list[str]:
    """A sentence for each reason why the times that a study is judged by will say little; none where they will.

    Args:
        plan: The study.
        local: What will run it.
        unrecorded: Why each variant's steps are not recorded as CUDA graphs; empty where they are.
    """
    judged = [name for name in (plan.metric.name, *(guard.metric.name for guard in plan.guards)) if is_time(name)]
    if not judged:
        return []
    if not local.gpus:
        return _on_cores(judged, local.jobs)
    told, gpus = [], len(local.gpus)
    if local.jobs > gpus:
        there = f"{gpus} GPU{'s' * (gpus > 1)}"
        told.append(
            f"{judged[0]} is judged, and {local.jobs} runs at a time share {there}: with --jobs {gpus} each has one to "
            "itself."
        )
    without = [name for name, why in unrecorded.items() if why]
    if without and len(without) < len(unrecorded):
        told.append(
            f"{judged[0]} is judged, and steps of {', '.join(without)} are not recorded as CUDA graphs "
            f"({unrecorded[without[0]]}) while others are: such times are not compared. With --no-cuda_graphs all are "
            "alike."
        )
    return told


def _on_cores(judged: Sequence[str], jobs: int) -> list[str]:
    # The process's own time is what is left to compare where runs share caches and memory.
    clocks = [name for name in judged if not name.endswith("cpu_seconds")]
    if jobs == 1 or not clocks:
        return []
    return [f"{clocks[0]} is judged, and {jobs} runs at a time slow each other down: --jobs 1 runs them one by one."]
