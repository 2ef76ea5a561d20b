"""An attack, and the judgement of what it did. Everything runs in one process, so that thousands take minutes.

A case prepares an empty folder, which is then the working directory, and attacks. What it may end with:

- status 0: the input was taken; nothing but truelift's own lines on the error stream;
- status 1: a training failed, one line;
- status 2: one line that names what is wrong, and nothing new or changed in the folder.
"""

import contextlib
import hashlib
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

KINDS = ("tracebacks", "hangs", "silent", "half_written")

_LONGEST_LINE = 4000
_LARGEST_FILE = 1 << 24

Attack = Callable[[], int | None]
"""Ends with a status, or with None for 0; or raises SystemExit, as the command line does."""


@dataclass(frozen=True)
class Case:
    """One attack.

    Attributes:
        name: Says what is attacked with what; unique in its family.
        prepare: Fills an empty folder and returns the attack. The folder is the working directory of both.
        bad: Whether the input must be refused; False where it must be taken; None where either is sound.
        seconds: The time that the attack may take on a slow machine.
        writes: Whether something may be written although the status is not 0: a training had begun.
        changes: Whether what was there may be changed: a study goes on, and sets aside what is damaged.
    """

    name: str
    prepare: Callable[[Path], Attack]
    bad: bool | None = None
    seconds: float = 20.0
    writes: bool = False
    changes: bool = False


@dataclass(frozen=True)
class Fault:
    """What a case ended with that it must not: one of `KINDS`, and in a line what was seen."""

    kind: str
    told: str


class _Late(BaseException):
    """The case's time is over."""


def judge(case: Case, folder: Path) -> list[Fault]:
    """Run a case in an empty folder and say what is wrong with how it ended; nothing where all is well."""
    home = os.getcwd()
    os.chdir(folder)
    try:
        attack = case.prepare(folder)
        before = _contents(folder)
        status, out, err, faults = _run(attack, case.seconds)
        after = _contents(folder)
    finally:
        os.chdir(home)
    return [*faults, *_of_status(case, status, out, err, bool(faults)), *_of_files(case, status, before, after)]


def as_command(call: Callable[[], object]) -> Attack:
    """An attack on a function of the library: the errors that the command line makes one line of are made that here."""
    from truelift.errors import InputError, one_line

    def attack() -> int:
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            call()
        except (InputError, OSError, MemoryError, RecursionError) as error:
            print(f"truelift: error: {one_line(error) or type(error).__name__}", file=sys.stderr)
            return 2
        return 0

    return attack


def command(*arguments: str) -> Attack:
    """An attack by the command line."""

    def attack() -> int | None:
        from truelift.cli import main

        main(list(arguments))
        return None

    return attack


def _run(attack: Attack, seconds: float) -> tuple[object, str, str, list[Fault]]:
    written = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(stream, encoding="utf-8", write_through=True) for stream in written)
    status: object = None
    faults: list[Fault] = []
    with _timed(seconds), _ordinary_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = attack() or 0
        except SystemExit as end:
            status = end.code or 0
        except _Late:
            faults = [Fault("hangs", f"not over after {seconds:g} s")]
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            faults = [Fault("tracebacks", f"{error!r:.300} in {Path(where.filename).name}:{where.lineno}")]
    texts = [stream.getvalue().decode() for stream in written]
    return status, texts[0], texts[1], faults


@contextlib.contextmanager
def _timed(seconds: float) -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise _Late

    earlier = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


@contextlib.contextmanager
def _ordinary_warnings() -> Iterator[None]:
    """What a user would see of Python's warnings, anew in each case; what was seen once is not held against it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield


def _of_status(case: Case, status: object, out: str, err: str, ended: bool) -> Iterator[Fault]:
    foreign = {c for c in out + err if not (c.isprintable() or c == "\n")}
    if foreign:
        yield Fault("silent", f"control characters reach the terminal: {sorted(foreign)!r:.100}")
    if ended:
        return
    lines = err.splitlines()
    notes = [line for line in lines if line.startswith(("truelift: warning: ", "truelift: note: "))]
    told = [line for line in lines if line not in notes]
    if any(len(line) > _LONGEST_LINE for line in lines):
        yield Fault("tracebacks", f"a line of {max(map(len, lines))} characters")
    starts: dict[object, str | None] = {0: None, 1: "truelift: failed: ", 2: "truelift: error: "}
    start = starts.get(status, "") if _is_int(status) else ""
    if start == "":
        yield Fault("tracebacks", f"status {status!r:.100}: {err!r:.300}")
    elif start is None and told:
        yield Fault("tracebacks", f"status 0 with {err!r:.300}")
    elif start is not None and (len(told) != 1 or not told[0].startswith(start) or len(told[0]) <= len(start)):
        yield Fault("tracebacks", f"status {status} without one clear line: {err!r:.300}")
    if case.bad is not None and case.bad != (status != 0):
        yield Fault("silent", "it was taken" if case.bad else f"what is sound was refused: {err!r:.300}")


def _is_int(status: object) -> bool:
    return isinstance(status, int) and not isinstance(status, bool)


def _of_files(case: Case, status: object, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Fault]:
    changed = [name for name, content in before.items() if after.get(name) != content]
    new = sorted(after.keys() - before.keys())
    if changed and not case.changes:
        yield Fault("half_written", f"changed or gone: {changed[0]!r:.200}")
    partial = [name for name in new if name.endswith(".partial")]
    if partial:
        yield Fault("half_written", f"a temporary file is left: {partial[0]!r:.200}")
    elif new and status != 0 and not case.writes:
        yield Fault("half_written", f"written although refused: {new[0]!r:.200}")


def _contents(folder: Path) -> dict[str, object]:
    """What lies in a folder: to each path its kind and a digest of what it holds."""
    found: dict[str, object] = {}
    for root, folders, files in os.walk(folder):
        if "__pycache__" in folders:
            folders.remove("__pycache__")  # Python's own, where a user's part was imported
        for name in (*folders, *files):
            path = os.path.join(root, name)
            status = os.lstat(path)
            held: object = None
            if os.path.islink(path):
                held = os.readlink(path)
            elif os.path.isfile(path) and status.st_size <= _LARGEST_FILE:
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    held = hashlib.sha256(file.read()).digest()
            size = 0 if os.path.isdir(path) else status.st_size
            found[os.path.relpath(path, folder)] = (status.st_mode, size, held)
    return found
