"""Where and from which commit a user's program ran, as environment.json has it; without torch."""

import os
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

from truelift import __version__
from truelift.processes import processor_name, shared_gpu
from truelift.records import now

_GIT_SECONDS = 20.0


def describe(command: Sequence[str]) -> dict[str, Any]:
    """The environment of a program that is about to be started (docs/records.md lists the keys).

    Args:
        command: Its words.
    """
    commit, patched = code()
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return {
        "truelift": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
        **({"threads": int(threads)} if threads.isdecimal() and len(threads) < 9 else {}),
        **shared_gpu(),
        "commit": commit,
        "patched": patched,
        "command": list(command),
        "started": now(),
    }


def code() -> tuple[str | None, bool]:
    """The commit of the git checkout in which the study was started, and whether tracked files differ from it.

    None where there is none.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=_GIT_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
        return done.stdout

    try:
        return git("rev-parse", "HEAD").strip(), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, False
