"""Which processes still run, told by a text in their command lines or environments."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from weakref import WeakKeyDictionary

from tests.commands.started import PIPE, Command, begin

TRUELIFT = [sys.executable, "-m", "truelift"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def started(cwd: Path, *arguments: str | Path, launcher: list[str] | None = None) -> "subprocess.Popen[str]":
    """A command that runs, in a process group of its own, its error stream kept."""
    return subprocess.Popen(
        [*(TRUELIFT if launcher is None else launcher), *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        process_group=0,
    )


def together(cwd: Path, *arguments: str | Path, script: Path | None = None) -> list[Command]:
    """A command in two processes that train one network, with the variables that torchrun sets.

    As torchrun does, this process holds the store where they find each other, at a port that the system gives it: a
    free one that was chosen for them might be another's by the time that they need it.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    common = {
        **ENVIRONMENT,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "WORLD_SIZE": "2",
    }
    places = [{"RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]
    both = [begin(arguments, cwd=cwd, env=common | place, stdout=PIPE, stderr=PIPE, script=script) for place in places]
    _stores.update(dict.fromkeys(both, store))
    return both


_stores: WeakKeyDictionary[Command, object] = WeakKeyDictionary()
"""Where commands find each other, as long as they are known here."""


def running(text: str | Path) -> list[int]:
    """The processes, but for this one, that have the text in their command lines or environments."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                state = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
                about = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            except OSError:
                continue
            if str(text).encode() in about and state not in "ZX":
                found.append(int(folder.name))
    return found


def until(holds: Callable[[], object], seconds: float = 120.0) -> bool:
    """Wait for it; whether it came."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.01)
    return bool(holds())


def kill(process: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> str:
    """Send a signal to the process alone; what it had written on its error stream when it ended."""
    process.send_signal(number)
    return process.communicate(timeout=60)[1]
