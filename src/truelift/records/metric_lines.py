"""metrics.jsonl: a line for every few steps, millions in a long run, so it is read as a stream.

A line that counts is a JSON object with a `step` (a number, at least 0); what is measured is in further numbers. Our
own trainings also say what `kind` of line it is (a text). A program of the user's may write a file of this name too,
and a crash may leave half a line: what is no such line is passed over and counted, and a value that is no finite number
is left out of its line.
"""

import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Protocol

import msgspec
import numpy as np
from msgspec import Meta

from truelift.records.files import regular_file

MOST_BYTES = 2**32
"""Of the file: some 20 million lines."""
MOST_LINE_BYTES = 2**16
MOST_POINTS = 2**14
"""Of a thinned curve: many times what a picture shows."""
# Larger ones are slower: what is decoded together should stay in the processor's cache.
_BLOCK_BYTES = 2**16

# A text is found whole, so that what stands in it is left; its end may be cut off.
_TEXT_OR_NOT_FINITE = re.compile(rb'"(?:[^"\\]|\\.)*"?|-?\b(?:NaN|Infinity)\b', re.DOTALL)

_DAMAGED = (msgspec.MsgspecError, ValueError, RecursionError)


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps of a run. S lines that have it."""

    steps: np.ndarray
    """(S,) float64, in the order of the lines."""
    values: np.ndarray
    """(S,) float64, finite."""


NO_CURVE = Curve(np.empty(0), np.empty(0))


class _Column:
    """Collects a curve: every point, or in bounded memory.

    Thinned, it is as it is up to `MOST_POINTS`, and beyond has means of 2, 4, 8 … points, each at the step of its last.
    So thinned curves of different lengths have the steps of the longest in common.
    """

    def __init__(self, *, thinned: bool) -> None:
        self._thinned = thinned
        self._steps, self._values = array("d"), array("d")
        self._means = NO_CURVE
        self._points = 1
        """Of a mean."""

    def extend(self, steps: np.ndarray, values: np.ndarray) -> None:
        """Add points, float64."""
        self._steps.frombytes(steps.tobytes())
        self._values.frombytes(values.tobytes())
        if self._thinned and len(self._values) > MOST_POINTS:
            self._fold()

    def curve(self) -> Curve:
        """What was collected; the last points, too few for a mean, are left out."""
        if not self._thinned or self._means is NO_CURVE:
            return Curve(np.array(self._steps), np.array(self._values))
        self._fold()
        return self._means

    def _fold(self) -> None:
        """Make means of the points that wait, and halve all until they are few enough."""
        whole = len(self._values) // self._points * self._points
        steps, values = np.array(self._steps[:whole]), np.array(self._values[:whole])
        del self._steps[:whole], self._values[:whole]
        steps = np.concatenate([self._means.steps, steps[self._points - 1 :: self._points]])
        values = np.concatenate([self._means.values, _means(values, self._points)])
        while len(steps) > MOST_POINTS:
            if len(steps) % 2:  # the last waits again, as points that have its mean
                again = array("d", [steps[-1]]) * self._points, array("d", [values[-1]]) * self._points
                self._steps, self._values = again[0] + self._steps, again[1] + self._values
                steps, values = steps[:-1], values[:-1]
            steps, values = steps[1::2], _means(values, 2)
            self._points *= 2
        self._means = Curve(steps, values)


class MetricLines:
    """The lines of a metrics.jsonl, oldest first. Each pass reads the file anew and holds a small part of it.

    Args:
        path: The file.

    Raises:
        InputError: In a pass: the file is missing, no regular file, too large, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.passed_over = 0
        """Of the last pass: how many lines are no lines of metrics. Blank ones, and a last one that a crash cut short,
        are not counted."""
        self.cut_short = False
        """Of the last pass: whether there is such a last one."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each line's finite numbers, and its `kind` where it has one."""
        decoder = msgspec.json.Decoder(dict[str, Any])
        for line in chain.from_iterable(self._decoded(decoder, decoder)):
            step = _number(line.get("step"))
            if step is None or step < 0 or not isinstance(line.get("kind", ""), str):
                self.passed_over += 1
            else:
                yield {name: value for name, value in line.items() if name == "kind" or _number(value) is not None}

    def curves(self, names: Sequence[str], *, thinned: bool = False) -> dict[str, Curve]:
        """A curve for each of these quantities; without a point where no line has it.

        Several times as quick as to go through the lines, and 16 bytes a point.

        Args:
            names: Of the quantities.
            thinned: Have at most `MOST_POINTS` points in each, means of several lines where there are more; memory is
                bounded then.
        """
        # A line's kind and step are no quantities; a program of the user's may name a metric so.
        columns = {name: _Column(thinned=thinned) for name in names if name not in ("kind", "step")}
        quick, patient = (_decoder_of(tuple(columns), kind) for kind in (float, Any))
        wanted = attrgetter("step", "step", *(f"f{place}" for place in range(len(columns))))  # a tuple, even of no name
        for lines in self._decoded(quick, patient):
            table = np.fromiter(chain.from_iterable(map(wanted, lines)), np.float64).reshape(-1, 2 + len(columns))
            there = ~np.isnan(table)
            of_columns = zip(columns.values(), table.T[2:], there.T[2:], there.sum(0)[2:].tolist(), strict=True)
            for column, values, here, count in of_columns:
                if count == len(table):
                    column.extend(table[:, 0], values)
                elif count:
                    column.extend(table[here, 0], values[here])
        return {name: columns[name].curve() if name in columns else NO_CURVE for name in names}

    def _decoded(self, quick: "_Decoder", patient: "_Decoder") -> Iterator[list[Any]]:
        """All lines, some hundreds at a time.

        Args:
            quick: For a block of lines; it may refuse a block that has anything unusual.
            patient: For each line of such a block.
        """
        self.passed_over, self.cut_short = 0, False
        with regular_file(self.path, MOST_BYTES) as file:
            for block, last in self._blocks(file):
                try:
                    found = quick.decode_lines(block)
                    # Several objects on one line, or one on several, are no lines.
                    usual = len(found) == block.count(b"\n") or len(found) == len(_lines(block))
                except _DAMAGED:
                    usual = False
                yield found if usual else list(self._one_by_one(patient, block, last))

    def _one_by_one(self, decoder: "_Decoder", block: bytes, last: bool) -> Iterator[Any]:
        for content in _lines(block):
            try:
                yield decoder.decode(_in_json(content))
            except _DAMAGED:
                self.passed_over += not last
                self.cut_short = last

    def _blocks(self, file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
        """Whole lines, many at a time; at the end what follows the last line's end, and True."""
        rest = b""
        while content := file.read(_BLOCK_BYTES):
            cut = content.rfind(b"\n") + 1
            if cut:
                if len(rest) <= MOST_LINE_BYTES:
                    yield rest + content[:cut], False
                else:
                    begin = content.find(b"\n") + 1
                    self.passed_over += 1
                    yield content[begin:cut], False
                rest = content[cut:]
            elif len(rest) <= MOST_LINE_BYTES:  # else what is longer is not kept
                rest += content
        if len(rest) > MOST_LINE_BYTES:
            self.cut_short = True
        elif rest:
            yield rest, True


class _Decoder(Protocol):
    """As msgspec's."""

    def decode(self, content: bytes, /) -> Any: ...

    def decode_lines(self, content: bytes, /) -> list[Any]: ...


@lru_cache(maxsize=16)  # a report asks for the same of every run, and a type takes a while to make
def _decoder_of(names: tuple[str, ...], kind: Any) -> _Decoder:
    """For lines of which only the step and these quantities are wanted, as attributes f0, f1 and so on.

    A quantity that a line lacks is NaN, which is no number in JSON.

    Args:
        names: Of the quantities.
        kind: Their type: float, to refuse all else; any, to have what is no finite number become NaN.
    """
    tolerant = kind is Any
    fields = [(f"f{place}", kind, msgspec.field(name=name, default=math.nan)) for place, name in enumerate(names)]

    def without_others(self: Any) -> None:
        for field, _, _ in fields:
            number = _number(getattr(self, field))
            setattr(self, field, math.nan if number is None else number)

    line: Any = msgspec.defstruct(
        "Line",
        [("step", Annotated[float, Meta(ge=0)]), ("kind", str, ""), *fields],
        namespace={"__post_init__": without_others} if tolerant else None,
        gc=False,
    )
    decoder: _Decoder = msgspec.json.Decoder(line)
    return decoder


def _means(values: np.ndarray, of: int) -> np.ndarray:
    """Means of each `of` values that follow each other; their number is a multiple of it."""
    means: np.ndarray = values if of == 1 else values.reshape(-1, of).mean(1)
    return means


def _lines(block: bytes) -> list[bytes]:
    """Those that are not blank."""
    return [line for line in block.split(b"\n") if line.strip()]


def _in_json(line: bytes) -> bytes:
    """A line with null in place of NaN and the infinities, which Python's json writes and JSON lacks."""
    if b"NaN" not in line and b"Infinity" not in line:
        return line
    return _TEXT_OR_NOT_FINITE.sub(lambda found: found[0] if found[0].startswith(b'"') else b"null", line)


def _number(value: object) -> float | None:
    """A value as a finite number, if it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
