"""A run that was made elsewhere, as a report sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from truelift.metrics import DRAWN
from truelift.records import Curve, Features, Predictions, Run, Status
from truelift.records.elsewhere import Series


@dataclass(frozen=True)
class ReadRun(Run):
    """A run whose results are in memory. `folder` is what it was read from."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    """Its results, finite, by the metric's name."""
    series: Mapping[str, Series] = field(default_factory=dict)
    reason: str | None = None
    """Why it has no result that counts."""

    @cached_property
    def status(self) -> Status:
        """Never unfinished: what was read is all there is."""
        return "done" if self.reason is None else "failed"

    def result(self) -> dict[str, Any]:
        """Its metrics."""
        return {"metrics": dict(self.numbers)}

    def failure(self) -> dict[str, Any]:
        """Why it failed."""
        return {"reason": self.reason or ""}

    def environment(self) -> dict[str, Any]:
        """Nothing is known of it."""
        return {}

    def metrics(self) -> list[dict[str, Any]]:
        """The series that a report draws, as lines by step."""
        lines: dict[float, dict[str, Any]] = {}
        for name in (drawn.name for drawn in DRAWN if drawn.name in self.series):
            found = self.series[name]
            for step, value in zip(found.steps.tolist(), found.values.tolist(), strict=True):
                if np.isfinite(value):
                    lines.setdefault(step, {"step": step})[name] = value
        return [lines[step] for step in sorted(lines)]

    def curves(self, names: Sequence[str], *, thinned: bool = False) -> dict[str, Curve]:
        """Its series of these names, all of each whether `thinned` or not: they are in memory already."""
        found = {}
        for name in names:
            series = self.series.get(name, Series(np.empty(0), np.empty(0)))
            kept = np.isfinite(series.values)
            found[name] = Curve(series.steps[kept], series.values[kept])
        return found

    def predictions(self) -> Predictions | None:
        """None: what was read has no test images."""
        return None

    def features(self) -> Features | None:
        """None likewise."""
        return None
