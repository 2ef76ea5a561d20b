"""The records: plain files that are the truth about every run and every study.

A run's folder                          a study's folder
    config.toml       what was to run       study.json       the plan: question, variants, runs
    environment.json  where it ran          study.log        what the study printed
    code.patch        code not committed    runs/<variant>/seed-<k>-<fingerprint>/   one folder a run
    metrics.jsonl     appended, flushed     report.html, report.md, report.csv, report.tex
    predictions.npz   a row a test image
    features.npz      likewise, where the features are two-dimensional
    checkpoint.pt     the last one
    result.json       written last: done    or failure.json: why not

Everything but `metrics.jsonl` and the log is written whole: to a temporary file in the same folder, flushed to the
disk, then renamed over the old one. So a reader sees the old file or the new one, never a part.
"""

import contextlib
import fcntl
import io
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from truelift.errors import InputError

Status = Literal["done", "failed", "unfinished"]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`, made where it is missing, against other processes; a killed holder lets go by itself.

    Raises:
        InputError: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o644)
    _held.add(file)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"{folder} is in use by another process.") from None
        yield
    finally:
        if file in _held:
            _held.remove(file)
            os.close(file)


# A forked process, such as one that decodes photographs, has its parent's locks, and may outlive it by seconds.
_held: set[int] = set()


def _let_go() -> None:
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write `path` whole or not at all: the file appears only when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all. Numbers that JSON lacks (NaN, infinities) are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}.") from None


@dataclass(frozen=True)
class Predictions:
    """What a trained network said of each test image.

    Shapes: N test images, in the order of the test set.
    """

    labels: np.ndarray
    """(N,) int64, the true class."""
    predicted: np.ndarray
    """(N,) int64, the class with the largest logit."""
    probability: np.ndarray
    """(N,) float32, the probability given to the true class; (0,) from a classifier that gives none."""

    @classmethod
    def joined(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """One after the other; of no image where there is no part."""
        none = cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        columns = zip(*((p.labels, p.predicted, p.probability) for p in (none, *parts)), strict=True)
        return cls(*map(np.concatenate, columns))

    def write(self, path: Path) -> None:
        """Write as a compressed npz file, whole or not at all."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, labels=self.labels, predicted=self.predicted, probability=self.probability)
        with whole_file(path) as file:
            file.write(buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """Read what `write` wrote."""
        with np.load(path) as arrays:
            return cls(arrays["labels"], arrays["predicted"], arrays["probability"])


@dataclass(frozen=True)
class Features:
    """Two-dimensional features of the test images, and the Gaussians over them where the head has some.

    Shapes: N test images, in the order of the test set; K classes.
    """

    features: np.ndarray
    """(N, 2) float32, what the classifier sees."""
    labels: np.ndarray
    """(N,) int64, the true class."""
    means: np.ndarray
    """(K, 2) float32, each class's mean; (0, 2) for a head without Gaussians."""
    variances: np.ndarray
    """(K, 2) float32, each class's variance along each feature; (0, 2) likewise."""
    class_names: tuple[str, ...]
    """K names."""

    def write(self, path: Path) -> None:
        """Write as a compressed npz file, whole or not at all."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            features=self.features,
            labels=self.labels,
            means=self.means,
            variances=self.variances,
            class_names=np.array(self.class_names, dtype=np.str_),
        )
        with whole_file(path) as file:
            file.write(buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> "Features":
        """Read what `write` wrote."""
        with np.load(path) as arrays:
            names = tuple(arrays["class_names"].tolist())
            return cls(arrays["features"], arrays["labels"], arrays["means"], arrays["variances"], names)


@dataclass(frozen=True)
class Run:
    """One run of a study, as its folder tells it."""

    variant: str
    seed: int
    folder: Path

    @property
    def status(self) -> Status:
        """`done` once result.json is there, `failed` once failure.json is, else `unfinished`."""
        if (self.folder / "result.json").exists():
            return "done"
        return "failed" if (self.folder / "failure.json").exists() else "unfinished"

    def result(self) -> dict[str, Any]:
        """The content of result.json; its `metrics` maps a metric's name to a number."""
        return dict(read_json(self.folder / "result.json"))

    def failure(self) -> dict[str, Any]:
        """The content of failure.json; its `reason` is one line."""
        return dict(read_json(self.folder / "failure.json"))

    def environment(self) -> dict[str, Any]:
        """The content of environment.json, or an empty mapping where the run never began."""
        path = self.folder / "environment.json"
        return dict(read_json(path)) if path.exists() else {}

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, oldest first; none where the run left none."""
        path = self.folder / "metrics.jsonl"
        return read_lines(path) if path.exists() else []

    def predictions(self) -> Predictions | None:
        """The test predictions, or none where the run left none (a user's own program need not)."""
        path = self.folder / "predictions.npz"
        return Predictions.read(path) if path.exists() else None

    def features(self) -> Features | None:
        """The test features, or none where the run left none: most have more than two dimensions."""
        path = self.folder / "features.npz"
        return Features.read(path) if path.exists() else None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file. A last line that a crash cut short is left out."""
    lines = []
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            lines.append(json.loads(line))
    return lines


@dataclass(frozen=True)
class Study:
    """A study, as its folder tells it."""

    folder: Path
    plan: dict[str, Any]
    """The content of study.json; docs/records.md lists its keys."""
    runs: tuple[Run, ...]

    @classmethod
    def read(cls, folder: Path) -> "Study":
        """Read the plan and find the runs.

        Raises:
            InputError: the folder holds no study.json.
        """
        plan = read_json(folder / "study.json")
        runs = (Run(run["variant"], run["seed"], folder / run["folder"]) for run in plan["runs"])
        return cls(folder, plan, tuple(runs))
