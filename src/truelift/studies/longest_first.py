"""Which run of a study comes next, with a fixed number of seeds.

Seeds keep their order, so that a study cut short has complete pairs. Of the runs of one seed those start first whose
variant has taken longest so far: a run of twice the epochs that started last would end alone, while all other processes
wait for it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from truelift.records import Run
from truelift.records.progress import took


class LongestFirst:
    """The runs that are to come, in the order in which they start.

    Args:
        runs: Each run's folder, with its variant and seed, in the order of the plan.
        pending: The folders of those that are not finished, in that order.
    """

    def __init__(self, runs: Mapping[Path, tuple[str, int]], pending: Sequence[Path]) -> None:
        self._runs = runs
        self._pending = pending
        self._seconds: dict[str, float] = {}
        """Of a run of each variant, of those that have ended one."""
        self.runs_ended = 0
        """How many runs have ended, in earlier commands too."""
        self.runs_at_most = len(runs)
        """How many runs there are in the end."""
        waiting = set(pending)
        for path in runs:
            if path not in waiting:
                self.ended(path)

    def folders(self) -> Iterator[Path]:
        """The next run to start, each time it is asked for."""
        for _, of_seed in groupby(self._pending, key=lambda path: self._runs[path][1]):
            waiting = list(of_seed)
            while waiting:
                # The first of those that take equally long; what nobody knows comes before all that is known.
                path = max(waiting, key=self._expected)
                waiting.remove(path)
                yield path

    def ended(self, path: Path) -> list[str]:
        """Take up a run that has ended.

        Returns:
            Nothing that there is to say of it, as `Growing` has.
        """
        self.runs_ended += 1
        variant, seed = self._runs[path]
        if variant not in self._seconds and (run := Run(variant, seed, path)).status == "done":
            seconds = took(run)
            if seconds is not None:
                self._seconds[variant] = seconds
        return []

    def _expected(self, path: Path) -> float:
        return self._seconds.get(self._runs[path][0], math.inf)
