"""Runs a training function where it is not done yet, and records what it returns."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from truelift.errors import InputError, known
from truelift.judging.metric import Better, named
from truelift.judging.planned import PlannedRun, Train
from truelift.judging.scale import in_python, scaled
from truelift.metrics import Metric, no_result
from truelift.own import raised
from truelift.records import make_room, now, read_result, write_json
from truelift.records.elsewhere.names import METRICS, find
from truelift.verdicts import Scale


class Runner:
    """Runs what is not done, and learns from the first result what is judged."""

    def __init__(
        self, train: Train, home: Path, metric: Metric | None, better: Better | None, scale: Scale | None, quiet: bool
    ) -> None:
        self.metric = metric
        self.reasons: list[str] = []
        """Why runs failed."""
        self.results: list[float] = []
        """Of what is judged, of all runs that are done."""
        self._train = train
        self._home = home
        self._better = better
        self._scale = scale
        self._quiet = quiet

    def run(self, run: PlannedRun, told: str) -> None:
        """Run it, unless it is done.

        Raises:
            InputError: What `train` returns is no dict of numbers, or has not what is judged; or all results so far
                look like fractions and nobody says whether they are.
        """
        path = self._home / run.folder
        done = result_in(path)
        if done is not None:
            found = done["metrics"]
            judged_by = (self.metric or self._learn(found)).name
            if judged_by not in found and self._is_anywhere(judged_by):
                raise InputError(
                    f"{path} has a result without {judged_by}, only {', '.join(found)}: if it was no finite number, "
                    "judge by it in another folder, where such a run counts as failed."
                )
            self.results.append(found[self._learn(found).name])
            return
        if any(self.results):  # asked before the next run, not after the last; 0 is 0 in any scale
            self.judged_by()
        for line in make_room(path):
            self.say(line)
        (path / "failure.json").unlink(missing_ok=True)
        try:
            found = self._train(run.seed, **copy.deepcopy(run.settings))  # which it may change in place
        except Exception as error:
            self._fail(path, raised(error), told)
            return
        metrics = _numbers(found)
        judged_by = self._learn(metrics).name
        if (why := no_result(metrics[judged_by])) is not None:
            self._fail(path, f"{judged_by} is {why}", told)
            return
        finite = {name: value for name, value in metrics.items() if no_result(value) is None}
        settings = {"seed": run.seed, "settings": dict(run.settings)}
        write_json(path / "result.json", {"metrics": finite, "finished": now(), **settings})
        self.results.append(metrics[judged_by])
        self.say(f"{told}: {judged_by} {metrics[judged_by]:.4g}")

    def judged_by(self) -> Metric:
        """What is judged, in its scale; known after the first result.

        Raises:
            InputError: As `scaled`.
        """
        assert self.metric is not None
        try:
            return scaled(self.metric, self.results, self._scale, said=in_python)[0]
        except InputError as error:
            raise InputError(f"{error} Finished runs are kept.") from None

    def _learn(self, metrics: Mapping[str, float]) -> Metric:
        if self.metric is None:
            self.metric = _metric(metrics, self._better)
        known("metric", self.metric.name, metrics)
        return self.metric

    def _is_anywhere(self, name: str) -> bool:
        """Whether a result of the folder has a metric: it is no misspelt one."""
        results = (result_in(path.parent) for path in self._home.glob("runs/*/*/result.json"))
        return any(name in result["metrics"] for result in results if result is not None)

    def _fail(self, path: Path, reason: str, told: str) -> None:
        self.reasons.append(reason)
        write_json(path / "failure.json", {"reason": reason})
        self.say(f"{told}: failed: {reason}")

    def say(self, line: str) -> None:
        """Print a line, unless it is to be quiet."""
        if not self._quiet:
            print(line, flush=True)


def result_in(folder: Path) -> dict[str, Any] | None:
    """A run's; None where it is missing or damaged."""
    try:
        return read_result(folder)
    except InputError:
        return None


def _numbers(found: Any) -> dict[str, float]:
    """What `train` returned, as Python's own numbers.

    Raises:
        InputError: It is no dict of numbers.
    """
    if not isinstance(found, Mapping) or not found:
        raise InputError(f"train must return a dict of numbers by name, got {_shown(found)}.")
    numbers = {}
    for name, value in found.items():
        try:
            if isinstance(value, bool | str | bytes):
                raise TypeError
            numbers[str(name)] = float(value)
        except OverflowError:  # a whole number beyond all others
            numbers[str(name)] = math.inf
        except (TypeError, ValueError, RuntimeError):  # a tensor of several numbers
            raise InputError(f"train must return numbers, got {name}: {_shown(value)}.") from None
    return numbers


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]} …"


def _metric(metrics: Mapping[str, float], better: Better | None) -> Metric:
    usual = find(METRICS, metrics)
    if not usual and len(metrics) != 1:
        raise InputError(f"metric must name what is judged, one of {', '.join(metrics)}.")
    return named(usual[0] if usual else next(iter(metrics)), better)
