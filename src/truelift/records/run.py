"""One run of a study, as its folder tells it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from truelift.errors import InputError
from truelift.records.features import Features
from truelift.records.json_files import read_environment, read_failure, read_result
from truelift.records.metric_lines import Curve, MetricLines
from truelift.records.predictions import Predictions

Status = Literal["done", "failed", "unfinished"]

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One run of a study, as its folder tells it.

    Only result.json must be readable. Of the other records a program of the user's need leave none, or may leave others
    of the same names: what cannot be read counts as not there, and `notes` says so.
    """

    variant: str
    seed: int
    folder: Path

    @cached_property
    def status(self) -> Status:
        """`done` once result.json is there, `failed` once failure.json is, else `unfinished`.

        As it was when it was first asked: a report beside a running study sees each run in one state.
        """
        if (self.folder / "result.json").exists():
            return "done"
        return "failed" if (self.folder / "failure.json").exists() else "unfinished"

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read among the records that were asked for so far: a sentence for each file."""
        return tuple(self._notes.values())

    def result(self) -> dict[str, Any]:
        """The content of result.json; its `metrics` maps a metric's name to a finite number.

        Raises:
            InputError: It is missing or damaged.
        """
        return read_result(self.folder)

    def failure(self) -> dict[str, Any]:
        """The content of failure.json; its `reason` is one line, which says so where the file cannot be read."""
        try:
            return read_failure(self.folder)
        except InputError as error:
            if not (self.folder / "failure.json").exists():
                return {"reason": "failure.json is gone: it was started again, perhaps"}
            return {"reason": str(error).removesuffix(".")}

    def environment(self) -> dict[str, Any]:
        """The content of environment.json, or an empty mapping where the run left none."""
        return self._optional("environment.json", lambda _: read_environment(self.folder)) or {}

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, oldest first; none where the run left none.

        Each has a `kind`, a `step` and finite numbers. They are all held in memory: `curves` is for long runs.
        """
        return self._lines(list) or []

    def curves(self, names: Sequence[str]) -> dict[str, Curve]:
        """A curve for each of these quantities in metrics.jsonl, read as a stream; empty where it has none."""
        return self._lines(lambda lines: lines.curves(names)) or {
            name: Curve(np.empty(0), np.empty(0)) for name in names
        }

    def predictions(self) -> Predictions | None:
        """The test predictions, or none where the run left none (a user's own program need not)."""
        return self._optional("predictions.npz", Predictions.read)

    def features(self) -> Features | None:
        """The test features, or none where the run left none: most have more than two dimensions."""
        return self._optional("features.npz", Features.read)

    @cached_property
    def _notes(self) -> dict[str, str]:
        """By the file's name."""
        return {}

    def _lines(self, read: Callable[[MetricLines], T]) -> T | None:
        def counted(path: Path) -> T:
            lines = MetricLines(path)
            found = read(lines)
            if lines.passed_over:
                told = "1 line is no line" if lines.passed_over == 1 else f"{lines.passed_over:,} lines are no lines"
                self._notes[path.name] = f"{path}: {told} of metrics and left out."
            return found

        return self._optional("metrics.jsonl", counted)

    def _optional(self, name: str, read: Callable[[Path], T]) -> T | None:
        """What a file holds; None, and a note, where it cannot be read."""
        path = self.folder / name
        self._notes.pop(name, None)
        try:
            return read(path)
        except InputError as error:
            if path.exists():
                self._notes[name] = str(error)
            return None
