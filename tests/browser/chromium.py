"""Chromium, asked for what a page becomes in it."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium")


def dom(page: Path, profile: Path, *, dark: bool = False, may_complain: bool = False) -> str:
    """The document after its scripts have run.

    Args:
        page: A file.
        profile: A folder for the browser's own files.
        dark: The colours that the reader prefers.
        may_complain: Else nothing may be told on the console: a script's error, or what could not be fetched.
    """
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
        f"--user-data-dir={profile}", f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert may_complain or "CONSOLE" not in done.stderr, done.stderr
    return done.stdout


def axe() -> str | None:
    """The source of axe-core: from the file that TRUELIFT_AXE names, or of the package axe-core-python."""
    if path := os.environ.get("TRUELIFT_AXE"):
        return Path(path).read_text(encoding="utf-8")
    found = importlib.util.find_spec("axe_core_python")
    if found is None or found.origin is None:
        return None
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")
