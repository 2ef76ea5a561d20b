"""How far a study is, from its folders alone: what ended, what runs where and how fast, what waits."""

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from truelift.errors import InputError
from truelift.records.config_file import read_config_file
from truelift.records.files import end_of
from truelift.records.leases import Holder, holder_of
from truelift.records.metric_lines import MOST_LINE_BYTES
from truelift.records.run import Run
from truelift.records.study import Study

State = Literal["done", "failed", "running", "waiting"]


@dataclass(frozen=True)
class Progress:
    """How far one run is."""

    run: Run
    state: State
    holder: Holder | None = None
    """Who runs it, or has its folder."""
    reason: str | None = None
    """Why it failed, one line."""
    last: Mapping[str, Any] | None = None
    """The last line of training in metrics.jsonl, of one that runs or waits."""

    @property
    def step(self) -> int | None:
        """The last that was told."""
        return None if self.last is None else int(self.last["step"])

    @property
    def images_per_second(self) -> float | None:
        """As of the last line."""
        return None if self.last is None else self.last.get("images_per_second")

    @cached_property
    def steps(self) -> int | None:
        """All of the training; none where nothing tells, as of a program of the user's."""
        epoch, epochs = (self.last or {}).get("epoch"), self._setting("epochs")
        return round(self.last["step"] / epoch * epochs) if self.last and epoch and epochs else None

    @cached_property
    def seconds_left(self) -> float | None:
        """Of training, as fast as it was last; none where nothing tells."""
        speed, batch_size = self.images_per_second, self._setting("batch_size")
        if self.steps is None or self.step is None or not speed or not batch_size:
            return None
        return max(0.0, (self.steps - self.step) * batch_size / speed)

    def _setting(self, name: str) -> float | None:
        value = self._config.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    @cached_property
    def _config(self) -> Mapping[str, Any]:
        try:
            return read_config_file(self.run.folder)
        except InputError:
            return {}


def progress(study: Study) -> list[Progress]:
    """Each run of a study."""
    return [_of(run) for run in study.runs]


def counted(found: Iterable[Progress]) -> dict[str, int]:
    """How many runs are in each state."""
    counts: dict[str, int] = {"done": 0, "failed": 0, "running": 0, "waiting": 0}
    for one in found:
        counts[one.state] += 1
    return counts


def _of(run: Run) -> Progress:
    # As far as names tell, so that ten thousand finished runs take a second.
    if os.path.lexists(run.folder / "result.json") and run.status == "done":
        return Progress(run, "done")
    holder = None
    with contextlib.suppress(OSError):
        holder = holder_of(run.folder)
    if holder is not None:
        return Progress(run, "running", holder, last=last_line(run.folder))
    if os.path.lexists(run.folder / "failure.json"):
        return Progress(run, "failed", reason=str(run.failure()["reason"]))
    return Progress(run, "waiting", last=last_line(run.folder))


def last_line(folder: Path) -> dict[str, Any] | None:
    """The last line of training of metrics.jsonl that is whole, read from the file's end; none where there is none."""
    try:
        lines = end_of(folder / "metrics.jsonl", MOST_LINE_BYTES).content.split(b"\n")
    except InputError:
        return None
    for line in reversed(lines):
        try:
            found = json.loads(line)
            if found.get("kind", "train") == "train" and 0 <= found["step"] < 2**53:
                return {name: value for name, value in found.items() if isinstance(value, int | float | str)}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
    return None
