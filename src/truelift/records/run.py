"""One run of a study, as its folder tells it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from truelift.errors import InputError
from truelift.records.config_file import read_config_file
from truelift.records.features import Features
from truelift.records.json_files import read_environment, read_failure, read_result
from truelift.records.metric_lines import NO_CURVE, Curve, MetricLines
from truelift.records.own_result import is_own
from truelift.records.predictions import Predictions

Status = Literal["done", "failed", "unfinished"]

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One run of a study, as its folder tells it.

    It is done where its result.json and its config.toml can be read and are its own; where one cannot, it counts as not
    finished. Of the other records a program of the user's need leave none, or may leave others of the same names: what
    cannot be read counts as not there. `notes` says what was wrong.
    """

    variant: str
    seed: int
    folder: Path
    fingerprints: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Of all runs of the study, from their folders' names: a result with another's is not this run's."""

    @cached_property
    def status(self) -> Status:
        """`done` with a result, `failed` once failure.json is there, else `unfinished`.

        As it was when it was first asked: a report beside a running study sees each run in one state.
        """
        if not isinstance(self._found, InputError):
            return "done"
        return "failed" if os.path.lexists(self.folder / "failure.json") else "unfinished"

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read among the records that were asked for so far: a sentence for each file."""
        return tuple(self._notes.values())

    def result(self) -> dict[str, Any]:
        """The content of result.json, read once; its `metrics` maps a metric's name to a finite number.

        Raises:
            InputError: The run is not done: the result is missing, damaged or another run's.
        """
        if isinstance(self._found, InputError):
            raise self._found
        return self._found

    @cached_property
    def _found(self) -> dict[str, Any] | InputError:
        """The result, or why there is none."""
        path = self.folder / "result.json"
        try:
            found = read_result(self.folder)
            self._check_own(path, found)
            config = self._config()
            if config is not None and not is_own(found, config):
                raise InputError(f"{path} is no result of truelift's: the program has written a file of that name.")
        except InputError as error:
            if os.path.lexists(path):
                self._notes[path.name] = f"{error} The run counts as not finished."
            return error
        left_out = found.get("left_out")
        if left_out:
            told = ", ".join(left_out)
            file = self.folder / found.get("results", "metrics.json")
            self._notes[path.name] = f"{file}: left out, being no finite numbers: {told}."
        return found

    @cached_property
    def _environment(self) -> dict[str, Any]:
        return self._optional("environment.json", lambda _: read_environment(self.folder)) or {}

    def _check_own(self, path: Path, result: dict[str, Any]) -> None:
        """Refuse the result of another run, which somebody has copied or moved here.

        Raises:
            InputError: It has another seed, or the fingerprint of another run of the study.
        """
        seed, fingerprint = result.get("seed", self.seed), result.get("fingerprint")
        if seed != self.seed:
            raise InputError(f"{path} is the result of another run, with seed {seed}.")
        if fingerprint in self.fingerprints and fingerprint != fingerprint_of(self.folder.name):
            raise InputError(f"{path} is the result of another run, {fingerprint}.")

    def _config(self) -> dict[str, Any] | None:
        """The tables of config.toml; None where there is none.

        Raises:
            InputError: It is there and cannot be read.
        """
        try:
            return read_config_file(self.folder)
        except InputError:
            if os.path.lexists(self.folder / "config.toml"):
                raise
            return None

    def failure(self) -> dict[str, Any]:
        """The content of failure.json; its `reason` is one line, which says so where the file cannot be read."""
        try:
            return read_failure(self.folder)
        except InputError as error:
            if not os.path.lexists(self.folder / "failure.json"):
                return {"reason": "failure.json is gone: it was started again, perhaps"}
            return {"reason": str(error).removesuffix(".")}

    def environment(self) -> dict[str, Any]:
        """The content of environment.json, read once, or an empty mapping where the run left none."""
        return self._environment

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, oldest first; none where the run left none.

        Each has a `step` and finite numbers, and ours a `kind`. They are all held in memory: `curves` is for long runs.
        """
        return self._lines(list) or []

    def curves(self, names: Sequence[str], *, thinned: bool = False) -> dict[str, Curve]:
        """A curve for each of these quantities in metrics.jsonl, read as a stream; empty where it has none.

        Args:
            names: Of the quantities.
            thinned: In bounded memory (`MetricLines.curves`).
        """
        return self._lines(lambda lines: lines.curves(names, thinned=thinned)) or dict.fromkeys(names, NO_CURVE)

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
            elif lines.cut_short and self.status == "done":  # else it is being written, or the crash will be mended
                self._notes[path.name] = f"{path}: the last line is cut short and left out."
            return found

        return self._optional("metrics.jsonl", counted)

    def _optional(self, name: str, read: Callable[[Path], T]) -> T | None:
        """What a file holds; None, and a note, where it cannot be read."""
        path = self.folder / name
        self._notes.pop(name, None)
        try:
            return read(path)
        except InputError as error:
            if os.path.lexists(path):
                self._notes[name] = str(error)
            return None


def fingerprint_of(folder: str) -> str:
    """What the name of a run's folder ends with."""
    return folder.rpartition("-")[2]
