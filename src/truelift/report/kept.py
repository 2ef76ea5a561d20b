"""The predictions of a study's runs, read no earlier than they are needed."""

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from truelift.records import Predictions, Run
from truelift.records.predicted import class_of

Key = tuple[str, int]
"""Of a run: variant and seed."""


class KeptPredictions(Mapping[Key, Predictions]):
    """The predictions of those runs that left some, each read when it is first asked for.

    Verdicts need them of programs alone, whose results do not say how many test images there are.
    """

    def __init__(self, runs: Mapping[Key, Run]) -> None:
        self._runs = runs
        self._read: dict[Key, Predictions | None] = {}

    def __getitem__(self, key: Key) -> Predictions:
        if key not in self._read:
            self._read[key] = self._runs[key].predictions()
        if (found := self._read[key]) is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[Key]:
        return (key for key in self._runs if key in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def images_of_class(self, name: str) -> int | None:
        """Test images of the class whose recall a metric is, that every run has; None of any other metric."""
        number = class_of(name, list(self._runs.values()))
        if number is None:
            return None
        counts = (int(np.count_nonzero(p.labels == number)) for p in self.values() if not p.several)
        return min(filter(None, counts), default=None)

    def only(self, keys: Collection[Key]) -> "KeptPredictions":
        """Those of some runs, none read twice."""
        kept = KeptPredictions({key: run for key, run in self._runs.items() if key in keys})
        kept._read = self._read
        return kept
