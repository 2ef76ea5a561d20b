"""What a study says of runs that failed before, and are tried again."""

from collections.abc import Sequence

from truelift.errors import printable, shortened
from truelift.records import Run
from truelift.verdicts.wording import missing_runs


def tried_again(failed: Sequence[Run]) -> list[str]:
    """One line that these runs, which failed, are tried again; none without any."""
    if not failed:
        return []
    seeds: dict[tuple[str, str], list[int]] = {}
    for run in failed:
        seeds.setdefault((run.variant, run.failure()["reason"]), []).append(run.seed)
    which = "; ".join(missing_runs(variant, of_variant, why) for (variant, why), of_variant in seeds.items())
    runs = "1 failed run is" if len(failed) == 1 else f"{len(failed)} failed runs are"
    return [f"{runs} tried again: {printable(shortened(which))}"]
