"""A quick end is an end as any other, but for the interpreter's own."""

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, os, sys, threading, time
atexit.register(print, "earlier")  # of the interpreter's own way alone
from truelift.ending import QuickEnd

end = QuickEnd()
atexit.register(print, "later")
threading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()

class Left:
    def __del__(self):
        os.write(1, b"taken apart\\n")

left = Left()
print("written", end="\\n")
"""


def ended(last: str) -> tuple[int, list[str]]:
    done = subprocess.run([sys.executable, "-c", PROGRAM + last], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("status", [0, 3])
def test_threads_functions_and_output_are_waited_for(status: int) -> None:
    assert ended(f"sys.exit(end.here({status}))") == (status, ["written", "thread", "later"])


@pytest.mark.parametrize(("last", "status"), [("sys.exit(4)", 4), ("raise ValueError", 1)])
def test_without_a_status_the_interpreter_ends_in_its_own_way(last: str, status: int) -> None:
    found, lines = ended(last)
    assert found == status
    assert sorted(lines) == ["earlier", "later", "taken apart", "thread", "written"]


def test_a_forked_process_ends_in_its_own_way() -> None:
    last = "end.here(0)\nsys.stdout.flush()\nif os.fork() == 0:\n    sys.exit(5)\n"
    status, lines = ended(last + "print(os.waitstatus_to_exitcode(os.wait()[1]))\nsys.exit(0)")
    assert status == 0
    assert "5" in lines


def test_what_torch_has_registered_is_left_and_all_else_finalized() -> None:
    program = """
import weakref
def taken_back(): print("taken back")
def finalized(): print("finalized")
taken_back.__module__ = "torch.library"
kept = [Left(), Left()]
for one, function in zip(kept, (taken_back, finalized)):
    weakref.finalize(one, function)
sys.exit(end.here(0))
"""
    assert ended(program) == (0, ["written", "thread", "finalized", "later"])
