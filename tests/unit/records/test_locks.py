"""One process at a time in a folder, and what a killed one leaves there."""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from truelift.errors import InputError
from truelift.records import locked, whole_file, write_text
from truelift.records.locks import check_held


def _try(folder: Path, queue: "multiprocessing.Queue[str]") -> None:
    try:
        with locked(folder):
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
            with locked(tmp_path):
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
from truelift.records import locked
with locked(Path(sys.argv[1])):
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
            with locked(tmp_path):
                os.kill(child, 0)  # is alive
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from truelift.records import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
    arguments = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="in use by another process"), locked(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with locked(tmp_path):
            assert check_held(tmp_path)
    assert not check_held(tmp_path)


def test_a_folder_is_held_once_by_a_process(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with locked(tmp_path):
        with pytest.raises(InputError, match="in use by this process already"), locked(tmp_path / "link"):
            pass
        assert check_held(tmp_path / "link")
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("code", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_a_file_system_without_locks_is_told_from_a_lock_that_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def lacking(file: int, *, blocking: bool) -> bool:
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock, "lock_descriptor", lacking)
    files = len(os.listdir("/dev/fd"))
    with pytest.raises(InputError) as raised, locked(tmp_path):
        pass
    assert str(raised.value).startswith(f"{tmp_path} cannot be locked: ")
    assert "in use" not in str(raised.value)
    write_text(tmp_path / "x.txt", "writing needs no lock")
    assert (tmp_path / "x.txt").read_text() == "writing needs no lock"
    assert len(os.listdir("/dev/fd")) == files


def test_a_file_in_a_folders_place(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match="cannot be locked"), locked(tmp_path / "x"):
        pass
    (tmp_path / "y" / ".lock").mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be locked"), locked(tmp_path / "y"):
        pass


KILLED = """
import os, signal, sys
from pathlib import Path
from truelift.records import locked, whole_file
path = Path(sys.argv[1])
with locked(path.parent), whole_file(path) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_temporary_files_of_killed_writes_go_with_the_next_holder(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -signal.SIGKILL
    of_ours = {entry.name for entry in tmp_path.iterdir()} - {".lock"}
    assert len(of_ours) == 1
    before = ".checkpoint.pt.ab_12cd9"  # as version 0.1 named them
    others = [".mine.abcdefgh", ".checkpoint.pt.abcdefghi", "result.json.00000000.partial", ".x.0000000.partial"]
    for name in (before, *others):
        (tmp_path / name).touch()
    (tmp_path / ".x.00000000.partial").mkdir()
    with locked(tmp_path):
        left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {".lock", ".x.00000000.partial", *others}


def test_a_temporary_file_that_is_being_written_stays(tmp_path: Path) -> None:
    """As when a study begins while its report is written."""
    program = "import sys, pathlib, truelift.records as r\nwith r.locked(pathlib.Path(sys.argv[1])): print('held')"
    with whole_file(tmp_path / "report.html") as file:
        file.write(b"whole")
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=True)
        assert done.stdout == b"held\n"
    assert (tmp_path / "report.html").read_bytes() == b"whole"


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_folder_removed_while_it_is_held(tmp_path: Path, comes_back: bool) -> None:
    folder = tmp_path / "run"
    with locked(folder):
        write_text(folder / "a.txt", "a")
        shutil.rmtree(folder)
        if comes_back:
            folder.mkdir()
            (folder / ".lock").touch()
        with pytest.raises(InputError, match=r"run was removed while it was in use\.$"):
            write_text(folder / "result.json", "{}")
    assert folder.exists() == comes_back
    assert not (folder / "result.json").exists()
