"""Where and with what code a run ran, so that it can be repeated."""

import importlib.metadata
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch

from truelift.processes import processor_name, shared_gpu
from truelift.records import now

PACKAGE = Path(__file__).parent.parent


def describe(device: str, precision: str, threads: int, processes: int) -> tuple[dict[str, Any], str]:
    """The environment, and the patch on the commit that ran (docs/records.md lists the keys)."""
    commit, patch, untracked = code()
    environment = {
        **machine(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device.partition(":")[0],
        "precision": precision,
        "threads": threads,
        "processes": processes,
        **shared_gpu(),
        "commit": commit,
        "patched": bool(patch),
        "untracked": untracked,
        "command": ["truelift", *sys.argv[1:]],
        "started": now(),
    }
    return environment, patch


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@cache
def machine() -> dict[str, str]:
    """Versions, system and processor, which are looked up once a process: one of them is asked of another program."""
    return {
        **{name: _version(name) for name in ("truelift", "torch", "numpy")},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor_name(),
    }


@cache
def code() -> tuple[str | None, str, list[str]]:
    """Commit and patch of the code that runs, and files that git does not track.

    Looked at once, by the process that imported it: the files may change while its runs are made.

    None of them where it is no git checkout, as when installed from a wheel.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, check=True)
        return done.stdout

    try:
        # In a virtual environment inside somebody's repository the package is ignored: that commit is not ours.
        git("ls-files", "--error-unmatch", "__init__.py")
        untracked = git("ls-files", "--others", "--exclude-standard").splitlines()
        return (
            git("rev-parse", "HEAD").strip(),
            git("diff", "--no-ext-diff", "--no-textconv", "HEAD", "--", "."),
            untracked,
        )
    except (OSError, subprocess.CalledProcessError):
        return None, "", []
