"""All families of attacks, and what runs them: each in a process of its own, so that a crash or a hang is seen.

By hand, one family: `python -m tests.attack.suite NAME`.
"""

import itertools
import json
import os
import resource
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from tests.attack.case import Case, judge
from tests.commands.started import begin_call

FAMILIES = (
    "settings",
    "studies",
    "command_line",
    "folders",
    "images",
    "parquet",
    "arrow",
    "shards",
    "records",
    "finished",
    "texts",
)
"""Modules `tests.attack.NAME_cases`, each with `cases(random, number)`: its table, then so many random ones."""

SEED = 14

# Beyond a case's own time, after which its process does not answer any more: it hangs where no signal reaches it.
_GRACE = 60.0
# That one case may add to the memory of its process.
_MOST_BYTES = 3 << 29
# That a process may address: what takes more ends by itself, not the machine.
_MOST_ADDRESSES = 12 << 30


@dataclass
class Outcome:
    """What a run of the suite has seen."""

    cases: int = 0
    seconds: float = 0.0
    slowest: tuple[float, str] = (0.0, "")
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    """Of each: its kind, the case's name, and what was seen."""

    def count(self, kind: str) -> int:
        """How many faults of a kind."""
        return sum(kind == other for other, _, _ in self.faults)


def cases(family: str, number: int, seed: int = SEED) -> Iterator[Case]:
    """The cases of a family: the same for the same seed."""
    module = import_module(f"tests.attack.{family}_cases")
    made: Callable[[Random, int], Iterable[Case]] = module.cases
    yield from made(Random(f"{seed} {family}"), number)


def attack(family: str, number: int, *, first: int = 0, every: int = 1, seed: int = SEED) -> Outcome:
    """Run each `every`-th case of a family, from number `first` on."""
    outcome, began = Outcome(), time.monotonic()
    next_one: int | None = first
    while next_one is not None:
        next_one = _served(_Server(family, number, next_one, every, seed), outcome, every)
    outcome.seconds = time.monotonic() - began
    return outcome


class _Server:
    """The process that runs the cases, and its lines."""

    def __init__(self, family: str, number: int, first: int, every: int, seed: int) -> None:
        self.first = first
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in `end`
        read, write = os.pipe()
        self.process = begin_call(
            _serve,
            (family, number, first, every, seed),
            env={**os.environ, "COLUMNS": "100"},
            stdout=write,
            stderr=self._log.fileno(),
        )
        os.close(write)
        self._stdout = open(read, "rb", buffering=0)  # noqa: SIM115 - closed in `end`
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)

    def line(self, seconds: float) -> dict[str, Any] | None:
        """The next line; None where the process has ended.

        Raises:
            TimeoutError: None came in that time.
        """
        if not self._selector.select(seconds):
            raise TimeoutError
        text = self._stdout.readline()
        return dict(json.loads(text)) if text else None

    def end(self, *, late: bool = False) -> str:
        """Say how it ended, killed if it does not end."""
        try:
            status = self.process.wait(0 if late else _GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self._selector.close()
        self._stdout.close()
        self._log.seek(0)
        with self._log:
            return f"status {status}: {' '.join(self._log.read()[-600:].split())}"


def _served(server: _Server, outcome: Outcome, every: int) -> int | None:
    """Take a process's lines until its end; where it died or hangs, the number of the case to go on with."""
    running: dict[str, Any] | None = None
    number = server.first
    while True:
        try:
            line = server.line((running["seconds"] if running else 60.0) + _GRACE)
        except TimeoutError:
            outcome.faults.append(("hangs", running["begin"] if running else "start", server.end(late=True)[:300]))
            return number + every if running else None
        if line is None:
            told = server.end()
            if running is not None:  # it died of the case
                outcome.faults.append(("tracebacks", running["begin"], f"the process died, {told}"))
                return number + every
            if server.process.returncode:
                outcome.faults.append(("tracebacks", "start", told))
            return None
        if "begin" in line:
            running, number = line, line["number"]
            continue
        assert running is not None
        outcome.cases += 1
        outcome.slowest = max(outcome.slowest, (line["took"], running["begin"]))
        outcome.faults += [(kind, running["begin"], told) for kind, told in line["faults"]]
        running = None


def _serve(family: str, number: int, first: int, every: int, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESSES, _MOST_ADDRESSES))
    answers = os.fdopen(os.dup(1), "w")  # what a case prints by mistake goes elsewhere
    os.dup2(2, 1)
    scratch = Path(tempfile.mkdtemp(prefix="attack-"))
    try:
        for place, case in enumerate(itertools.islice(cases(family, number, seed), first, None, every)):
            begin = {"begin": case.name, "number": first + place * every, "seconds": case.seconds}
            print(json.dumps(begin), file=answers, flush=True)
            folder = scratch / "case"
            folder.mkdir()
            held, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
            faults = [(fault.kind, fault.told) for fault in judge(case, folder)]
            took = time.monotonic() - began
            grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held)
            if grown > _MOST_BYTES:
                faults.append(("hangs", f"it took {grown / 2**30:.1f} GiB of memory"))
            print(json.dumps({"faults": faults, "took": round(took, 3)}), file=answers, flush=True)
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    from tests.attack import suite  # its processes find its functions there

    name, *numbers = sys.argv[1:]
    done = suite.attack(name, int(numbers[0]) if numbers else 50, every=int(numbers[1]) if len(numbers) > 1 else 1)
    for found in done.faults:
        print(*found, sep=" | ")
    print(f"{done.cases} cases, {done.seconds:.0f} s, slowest {done.slowest}, {len(done.faults)} faults")
