"""Processes that never outlive the one that started them.

Three means, each for what the others miss:

- a pipe: its reader sees its end when the process at the other end is gone, on any system;
- on Linux, a process can ask to be killed when its parent ends (`end_with_parent`), and to become the parent of
  descendants whose own parent has ended (`adopt_orphans`), so that none is lost, whatever session it starts;
- a mark in the environment, which descendants inherit (`marked`), for those that lost their worker all the same.
"""

import contextlib
import ctypes
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

LINUX = sys.platform.startswith("linux")

MARK = "TRUELIFT_WORKER"
"""Environment variable of a worker's descendants: the worker's number as a process, and the run's folder."""

# Loaded once: a process that is just forked should load nothing.
_LIBC = ctypes.CDLL(None) if LINUX else None
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36  # of prctl

_POLL_SECONDS = 0.01


def available_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory() -> int | None:
    """The machine's memory in bytes; None where the system does not tell it so, as Windows does not."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def processor_name() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


RUNS_A_GPU = "TRUELIFT_RUNS_A_GPU"
"""In a run's environment: how many runs of its study share its GPU at most, where they do."""


def shared_gpu() -> dict[str, int]:
    """`RUNS_A_GPU` as environment.json has it; empty where this process has a GPU to itself, or none."""
    runs = os.environ.get(RUNS_A_GPU, "")
    return {"runs_a_gpu": int(runs)} if runs.isdecimal() and len(runs) < 9 else {}


def end_with_parent(parent: int) -> None:
    """Have Linux kill this process when `parent` ends; elsewhere nothing is done."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)


def outlive_parent() -> None:
    """Take `end_with_parent` back."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_PARENT_DEATH_SIGNAL, 0)


def adopt_orphans() -> None:
    """Have Linux make this process the parent of descendants whose own parent ends; elsewhere nothing is done."""
    if _LIBC is not None:
        _LIBC.prctl(_SET_CHILD_SUBREAPER, 1)


def descendants(ancestor: int) -> list[int]:
    """The running descendants of a process, by their numbers; on Linux only, elsewhere none."""
    children: dict[int, list[int]] = {}
    ended = set()
    for process in _processes():
        state, parent, _ = _stat(process)
        children.setdefault(int(parent), []).append(process)
        if state in "ZX":
            ended.add(process)
    found, waiting = [], [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return [process for process in found if process not in ended]


def listed_below(ancestor: int) -> list[int]:
    """The descendants of a process, from Linux's lists of each thread's children; elsewhere none.

    It reads about the descendants alone, where `descendants` reads about every process of the machine. One that starts
    or ends meanwhile may be missing. That is good enough for measuring them, not for killing them.
    """
    if not os.path.exists("/proc/thread-self/children"):  # a kernel that was built without
        return descendants(ancestor)
    found = [ancestor]
    for process in found:  # which grows meanwhile
        with contextlib.suppress(OSError):  # it, or one of its threads, has just ended
            for thread in os.listdir(f"/proc/{process}/task"):
                found += map(int, Path(f"/proc/{process}/task/{thread}/children").read_text().split())
    return found[1:]


def resident_bytes_of(process: int) -> int:
    """The memory that a process uses, with the pages that it shares with others; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def marked(wanted: Callable[[int, str], bool]) -> list[int]:
    """The processes that still run and carry a `MARK` for which `wanted(worker, folder)` holds; on Linux alone."""
    found = []
    for process in _processes():
        with contextlib.suppress(OSError, ValueError):
            environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
            prefix = f"{MARK}=".encode()
            mark = next((entry.removeprefix(prefix) for entry in environment if entry.startswith(prefix)), b"")
            worker, _, folder = os.fsdecode(mark).partition(" ")
            if mark and process != os.getpid() and wanted(int(worker), folder) and _stat(process)[0] not in "ZX":
                found.append(process)
    return found


def left_by(worker: int) -> list[int]:
    """What a killed worker has left: the processes with its mark, or in its session; on Linux only."""
    in_session = [p for p in _processes() if _stat(p)[2] == str(worker) and _stat(p)[0] not in "ZX"]
    return sorted({*in_session, *marked(lambda of, folder: of == worker)} - {worker})


def orphans(folder: str) -> list[int]:
    """The processes that killed workers of this run's folder have left."""
    return marked(lambda worker, of: of == folder and not is_running(worker))


def is_running(process: int) -> bool:
    """Whether a process of this number is running."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not LINUX or _stat(process)[0] not in "ZX"


def beginning(process: int) -> str:
    """When a process started, in Linux's own units: with the number it identifies it. Empty elsewhere, or if gone."""
    fields = _fields(process)
    return fields[19] if fields else ""


def send(number: int, processes: Iterable[int]) -> None:
    """Send a signal to those of the processes that still exist."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def send_group(number: int, group: int) -> None:
    """Send a signal to a process group, if there still is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kill_all(find: Callable[[], list[int]], seconds: float = 10.0) -> bool:
    """Kill what `find` finds, again and again until it finds nothing: a process may start others meanwhile.

    Returns:
        Whether nothing is left; False after so many seconds, for instance where a process waits for a device.
    """
    deadline = time.monotonic() + seconds
    while left := find():
        send(signal.SIGKILL, left)
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _processes() -> list[int]:
    if not LINUX:
        return []
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return []


def _stat(process: int) -> tuple[str, str, str]:
    """State, parent and session; the state is `X` for one that is gone."""
    state, parent, _, session = (_fields(process) or ["X", "0", "0", "0"])[:4]
    return state, parent, session


def _fields(process: int) -> list[str]:
    """What Linux tells of a process behind its name; nothing of one that is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
