"""Live progress of a training: a bar on a terminal, else a plain line an evaluation."""

import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Reporter(Protocol):
    """Told of every line that goes into metrics.jsonl."""

    def __call__(self, line: dict[str, Any], steps: int) -> None:
        """Show `line`; the training has `steps` steps."""
        ...


class QuietReporter:
    """Says nothing."""

    def __call__(self, line: dict[str, Any], steps: int) -> None:
        """Take a line."""


class PlainReporter:
    """One line an evaluation, with speed and time left.

    Args:
        verbose: One more for every line of training.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self.first: tuple[int, float] | None = None
        self.last: tuple[int, float, float] | None = None

    def __call__(self, line: dict[str, Any], steps: int) -> None:
        """Print evaluations, with the speed of the training line before."""
        if line["kind"] == "train":
            now = time.monotonic()
            self.first = self.first or (line["step"], now)
            self.last = line["step"], now, line["images_per_second"]
            if self.verbose:
                told = f"step {line['step']}/{steps}: loss {line['train_loss']:.3f}{self._speed(steps)}"
                print(told, flush=True)
        else:
            print(f"epoch {line['epoch']:g}: {_evaluation(line)}{self._speed(steps)}", flush=True)

    def _speed(self, steps: int) -> str:
        """Speed and time left, as of the last line of training; nothing before the first."""
        if self.first is None or self.last is None:
            return ""
        (first_step, began), (step, now, speed) = self.first, self.last
        left = (now - began) / max(step - first_step, 1) * (steps - step)
        return f", {speed:.0f} images/s, {left:.0f} s left"


class BarReporter:
    """A bar with loss, speed and time left, the last evaluation beside it. A context manager."""

    def __init__(self) -> None:
        columns = ("{task.description}", BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True))
        self.task = self.bar.add_task("training", total=None, note="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def __call__(self, line: dict[str, Any], steps: int) -> None:
        """Move the bar."""
        if line["kind"] == "train":
            note = f"loss {line['train_loss']:.3f}, {line['images_per_second']:.0f} images/s"
            self.bar.update(self.task, total=steps, completed=line["step"], note=note)
        else:
            self.bar.print(f"epoch {line['epoch']:g}: {_evaluation(line)}")


def is_terminal() -> bool:
    """Whether a person watches the error stream."""
    return sys.stderr.isatty()


def _evaluation(line: dict[str, Any]) -> str:
    splits = [split for split in ("validation", "test") if f"{split}_loss" in line]
    return ", ".join(f"{s} accuracy {line[f'{s}_accuracy']:.2f} %, loss {line[f'{s}_loss']:.3f}" for s in splits)
