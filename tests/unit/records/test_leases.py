"""One process at a time in a folder, on one machine and on several, and what a killed one leaves there."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest

from truelift.errors import InputError
from truelift.records import leased, whole_file, write_text
from truelift.records.lease_files import SILENT_BEATS, take
from truelift.records.leases import LeaseLostError, check_held, holder_of, is_lost
from truelift.records.locks import InUseError


def _try(folder: Path, queue: "multiprocessing.Queue[str]") -> None:
    try:
        with leased(folder):
            queue.put("got it")
    except InputError as error:
        queue.put(str(error))


def test_a_folder_is_held_against_other_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[str] = context.Queue()
    answers = []
    for held in (True, False):
        process = context.Process(target=_try, args=(tmp_path, queue))
        if held:
            with leased(tmp_path):
                process.start()
                answers.append(queue.get(timeout=60))
        else:
            process.start()
            answers.append(queue.get(timeout=60))
        process.join()
    assert answers == [f"{tmp_path} is in use by another process.", "got it"]


def test_a_killed_holders_child_holds_nothing(tmp_path: Path) -> None:
    program = """
import os, sys, time
from pathlib import Path
from truelift.records import leased
with leased(Path(sys.argv[1])):
    if child := os.fork():
        print(child, flush=True)
        os._exit(0)
    time.sleep(60)
"""
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            assert holder.wait() == 0
            with leased(tmp_path, wait_seconds=10):  # the child may not have let go at once
                os.kill(child, 0)  # is alive
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from truelift.records import leased
with leased(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="in use by another process"), leased(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with leased(tmp_path):
            assert check_held(tmp_path)
    assert not check_held(tmp_path)


def test_a_folder_is_held_once_by_a_process(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with leased(tmp_path):
        with pytest.raises(InputError, match="in use by this process already"), leased(tmp_path / "link"):
            pass
        assert check_held(tmp_path / "link")
    with leased(tmp_path):
        pass


def test_a_name_that_leads_elsewhere_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that it was taken under a folder is found without a look at its way, and never another one."""
    first, second, name = tmp_path / "first", tmp_path / "second", tmp_path / "name"
    first.mkdir()
    second.mkdir()
    name.symlink_to(first)
    with leased(name):
        name.unlink()
        name.symlink_to(second)
        with pytest.raises(InputError, match="while it was in use"):
            write_text(name / "x.txt", "x")
        assert not check_held(second)
    assert list(second.iterdir()) == []
    (second / "third").mkdir()
    monkeypatch.chdir(tmp_path)
    with leased(Path("third")):
        assert check_held(Path("third"))
        monkeypatch.chdir(second)
        assert not check_held(Path("third"))
        monkeypatch.chdir(tmp_path)
    assert list((tmp_path / "third").iterdir()) == []


@pytest.mark.parametrize("code", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_a_file_system_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    def lacking(file: int, *, blocking: bool) -> bool:
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock, "lock_descriptor", lacking)
    files = len(os.listdir("/dev/fd"))
    with leased(tmp_path):
        write_text(tmp_path / "x.txt", "writing needs no lock")
        with pytest.raises(InUseError):
            take(tmp_path)
    assert (tmp_path / "x.txt").read_text() == "writing needs no lock"
    assert len(os.listdir("/dev/fd")) == files


@pytest.mark.parametrize("code", ["EPERM", "EOPNOTSUPP"])
def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    def lacking(source: Path, place: Path) -> None:
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", lacking)
    for _ in range(2):
        with leased(tmp_path):
            assert [path.name for path in tmp_path.iterdir()] == [".lease-1"]
            with pytest.raises(InUseError):
                take(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_thread_that_cannot_be_started_leaves_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError, match="can't start new thread"), leased(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
    with leased(tmp_path, briefly=True):
        assert check_held(tmp_path)


def test_a_file_in_a_folders_place(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match="x must be a folder: a file is in its way"), leased(tmp_path / "x"):
        pass
    (tmp_path / "y" / ".lease-1").mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be locked"), leased(tmp_path / "y"):
        pass


KILLED = """
import os, signal, sys
from pathlib import Path
from truelift.records import leased, whole_file
path = Path(sys.argv[1])
with leased(path.parent), whole_file(path) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_temporary_files_of_killed_writes_go_with_the_next_holder(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -signal.SIGKILL
    of_ours = {entry.name for entry in tmp_path.iterdir()} - {".lease-1"}
    assert len(of_ours) == 1
    before = ".checkpoint.pt.ab_12cd9"  # as version 0.1 named them
    others = [".mine.abcdefgh", ".checkpoint.pt.abcdefghi", "result.json.00000000.partial", ".x.0000000.partial"]
    for name in (before, *others):
        (tmp_path / name).touch()
    (tmp_path / ".x.00000000.partial").mkdir()
    with leased(tmp_path):
        left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {".lease-2", ".x.00000000.partial", *others}


def test_a_temporary_file_that_is_being_written_stays(tmp_path: Path) -> None:
    """As when a study begins while its report is written."""
    program = "import sys, pathlib, truelift.records as r\nwith r.leased(pathlib.Path(sys.argv[1])): print('held')"
    with whole_file(tmp_path / "report.html") as file:
        file.write(b"whole")
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=True)
        assert done.stdout == b"held\n"
    assert (tmp_path / "report.html").read_bytes() == b"whole"


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_folder_removed_while_it_is_held(tmp_path: Path, comes_back: bool) -> None:
    folder = tmp_path / "run"
    with leased(folder):
        write_text(folder / "a.txt", "a")
        shutil.rmtree(folder)
        if comes_back:
            folder.mkdir()
            (folder / ".lease-1").touch()
        told = "taken over, or removed and made again," if comes_back else "removed"
        with pytest.raises(InputError, match=rf"run was {told} while it was in use\.$"):
            write_text(folder / "result.json", "{}")
        assert is_lost(folder) == comes_back
    assert folder.exists() == comes_back
    assert not (folder / "result.json").exists()


def elsewhere(folder: Path, *, silent_seconds: float, number: int = 1, **other: object) -> Path:
    """The lease of a process on another machine whose last heartbeat was so long ago."""
    about = {"host": "node7", "system": "x/1", "process": 4711, "began": "5", "executor": "slurm", "job": "8_1"}
    about |= {"since": "2026-01-02T03:04:05+00:00", "heartbeat": 2.0, "token": f"{number:08x}"}
    path = folder / f".lease-{number}"
    path.write_text(json.dumps(about | other))
    then = time.time() - silent_seconds
    os.utime(path, (then, then))
    return path


def test_a_silent_holder_on_another_machine_is_taken_over(tmp_path: Path) -> None:
    path = elsewhere(tmp_path, silent_seconds=2.0 * SILENT_BEATS - 1)
    told = "process 4711 on node7, job 8_1, since 2026-01-02T03:04:05+00:00"
    with pytest.raises(InUseError) as raised, leased(tmp_path):
        pass
    assert str(raised.value) == f"{tmp_path} is in use by another process: {told}."
    holder = holder_of(tmp_path)
    assert holder is not None
    assert (holder.words(), holder.executor) == (told, "slurm")
    elsewhere(tmp_path, silent_seconds=2.0 * SILENT_BEATS + 0.5)
    assert holder_of(tmp_path) is None
    with leased(tmp_path):
        assert not path.exists()
        assert [path.name for path in tmp_path.iterdir()] == [".lease-2"]
    assert not list(tmp_path.iterdir())


def test_the_heartbeat_that_counts_is_the_holders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELIFT_HEARTBEAT", "0.01")
    elsewhere(tmp_path, silent_seconds=60.0, heartbeat=30.0)
    with pytest.raises(InUseError), leased(tmp_path):
        pass


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "x", "3601"])
def test_a_heartbeat_is_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TRUELIFT_HEARTBEAT", text)
    with pytest.raises(InputError, match=r"TRUELIFT_HEARTBEAT must be seconds, above 0"), leased(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_holder_gives_heartbeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUELIFT_HEARTBEAT", "0.02")
    with leased(tmp_path):
        lease = tmp_path / ".lease-1"
        before = lease.stat().st_mtime_ns
        deadline = time.monotonic() + 10
        while lease.stat().st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lease.stat().st_mtime_ns > before


def test_who_was_taken_over_learns_it_before_it_writes(tmp_path: Path) -> None:
    with leased(tmp_path):
        write_text(tmp_path / "a.txt", "mine")
        elsewhere(tmp_path, silent_seconds=0, number=2)
        (tmp_path / ".lease-1").unlink()
        assert is_lost(tmp_path)
        with pytest.raises(LeaseLostError, match=r"was taken over by process 4711 on node7, job 8_1, since"):
            write_text(tmp_path / "a.txt", "late")
    assert (tmp_path / "a.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", ".lease-2"}


def test_who_was_taken_over_by_one_that_has_ended_learns_it(tmp_path: Path) -> None:
    with leased(tmp_path):
        (tmp_path / ".lease-1").unlink()
        assert is_lost(tmp_path)
        with pytest.raises(LeaseLostError):
            write_text(tmp_path / "a.txt", "late")
    assert not list(tmp_path.iterdir())


def test_who_was_taken_over_while_it_wrote_does_not_finish(tmp_path: Path) -> None:
    def write() -> None:
        with whole_file(tmp_path / "a.txt") as file:
            file.write(b"late")
            elsewhere(tmp_path, silent_seconds=0, number=2)

    with leased(tmp_path), pytest.raises(LeaseLostError):
        write()
    assert {path.name for path in tmp_path.iterdir()} == {".lease-2"}


def test_the_number_of_another_process_holds_nothing(tmp_path: Path) -> None:
    """A holder's number may be given again: the process that has it began at another time."""
    with leased(tmp_path):
        about = json.loads((tmp_path / ".lease-1").read_text())
    (tmp_path / ".lease-1").write_text(json.dumps(about | {"began": "1"}))
    with leased(tmp_path):
        assert (tmp_path / ".lease-2").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 1}', b"\xff" * 9000])
def test_a_damaged_lease_holds_until_it_is_old(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ".lease-3"
    path.write_bytes(content)
    with pytest.raises(InUseError), leased(tmp_path):
        pass
    os.utime(path, (1, 1))
    with leased(tmp_path):
        assert (tmp_path / ".lease-4").exists()
    assert not list(tmp_path.iterdir())


TAKER = """
import os, sys, time
from pathlib import Path
from truelift.records import leased
from truelift.records.locks import InUseError
folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
for number in range(rounds):
    try:
        with leased(folder):
            file = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)  # fails where two are inside
            os.close(file)
            os.unlink(folder / "inside")
            print("in", flush=True)
            if number % 3 == 0:  # as if this were another machine, and dead
                lease = max(folder.glob(".lease-*"), key=lambda path: int(path.name[7:]))
                lease.write_text(lease.read_text().replace('"host": "', '"host": "other-'))
                os.utime(lease, (1, 1))
                from truelift.records import leases
                held = leases._held.popitem()[1]
                held._ended.set()
    except InUseError:
        time.sleep(0.001)
"""


def test_of_many_takers_one_wins(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKER, str(tmp_path), "150"]
    takers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    told = [taker.communicate(timeout=120) for taker in takers]
    assert [taker.returncode for taker in takers] == [0] * 4, told
    assert sum(out.count(b"in") for out, _ in told) >= 40
