"""Processes that descend from another."""

import os
import subprocess
import sys

import pytest

from truelift import processes


@pytest.mark.skipif(not processes.LINUX, reason="only Linux tells")
def test_listed_and_found_among_all_they_are_the_same() -> None:
    """A child, one that a thread of it has started, and that one's own."""
    start = "import subprocess, sys, threading; p = subprocess.Popen"
    wait = "p.stdout.readline(); print(flush=True); sys.stdin.read()"
    last = "[sys.executable, '-c', 'import sys; print(flush=True); sys.stdin.read()']"
    middle = f"{start}({last}, stdout=-1, text=True); {wait}"
    code = f"""
import subprocess, sys, threading
def begin():
    p = subprocess.Popen([sys.executable, "-c", {middle!r}], stdout=-1, text=True)
    p.stdout.readline()
    print(flush=True)
    sys.stdin.read()
threading.Thread(target=begin).start()
"""
    pipe = subprocess.PIPE
    before = set(processes.listed_below(os.getpid()))
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        below = processes.listed_below(child.pid)
        assert sorted(below) == sorted(processes.descendants(child.pid))
        assert len(below) == 2
        assert {child.pid, *below} == set(processes.listed_below(os.getpid())) - before
    assert processes.listed_below(child.pid) == []
