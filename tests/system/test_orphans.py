"""A program of the user's never outlives its study, and never runs twice in one folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.processes import kill, running, started, until

from truelift.processes import is_running

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for orphans in /proc")

# Each leaves its number in DEEP, a grandchild of the study's worker.
PROGRAM = """
import os, pathlib, signal, sys, time
out, kind, deep = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a stubborn one
if kind == "detached":  # it leaves group, session and parent
    if os.fork():
        time.sleep(1000)
    os.setsid()
    if os.fork():
        os._exit(0)
(out / "started").open("a").write("once\\n")
(deep.parent / "new").write_text(str(os.getpid()))
os.rename(deep.parent / "new", deep)
time.sleep(float(sys.argv[4]) if len(sys.argv) > 4 else 1000)
(out / "metrics.json").write_text('{"accuracy": 95}')
"""


def study_of(tmp_path: Path, kind: str, seconds: float = 1000) -> tuple[Path, Path]:
    """A study of one run behind a shell, and the file with the number of what the shell has started."""
    (tmp_path / "program.py").write_text(PROGRAM)
    deep = tmp_path / "deep"
    (tmp_path / "job.sh").write_text(f"cd /\n{sys.executable} {tmp_path}/program.py $1 {kind} {deep} {seconds}\ntrue\n")
    study = tmp_path / "study.toml"
    study.write_text(
        f'command = "sh {tmp_path}/job.sh {{out}} {{seed}}"\nmetric = "accuracy"\nseeds = 1\n'
        "[variants.a]\n[variants.b]\n"
    )
    return study, deep


@pytest.mark.parametrize("kind", ["plain", "detached"])
@pytest.mark.parametrize("victim", ["study", "group", "worker"])
def test_what_a_shell_has_started_ends_with_the_study(tmp_path: Path, kind: str, victim: str) -> None:
    study, deep = study_of(tmp_path, kind)
    process = started(tmp_path, "study", study, "--jobs", "1")
    assert until(deep.exists)
    first = int(deep.read_text())
    if victim == "study":
        process.kill()
    elif victim == "group":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(worker_of(process), signal.SIGKILL)
    assert until(lambda: not is_running(first), 3.0)
    if victim == "worker":
        assert until(lambda: any(tmp_path.glob("runs/study/runs/*/*/failure.json")), 3.0)
        (failure,) = tmp_path.glob("runs/study/runs/*/*/failure.json")
        assert "killed by signal 9" in failure.read_text()
        process.kill()  # the other variant has begun
    process.communicate(timeout=20)
    assert until(lambda: not running(deep), 3.0), running(deep)


def worker_of(process: "subprocess.Popen[str]") -> int:
    """The worker that a study has started."""
    (worker,) = (p for p in running("truelift.studies.worker") if parent(p) == process.pid)
    return worker


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_same_command_at_once_does_not_start_it_beside_itself(tmp_path: Path) -> None:
    study, deep = study_of(tmp_path, "detached")
    kill(started_until(deep, tmp_path, study))
    first = int(deep.read_text())
    deep.unlink()
    process = started_until(deep, tmp_path, study)
    assert not is_running(first)
    assert len(running(deep)) == 2  # the program and its detached self, once
    kill(process)
    assert until(lambda: not running(deep), 3.0)


def test_what_lost_study_and_worker_is_ended_before_it_is_started_again(tmp_path: Path) -> None:
    study, deep = study_of(tmp_path, "detached")
    process = started_until(deep, tmp_path, study)
    first = int(deep.read_text())
    worker = worker_of(process)
    os.kill(worker, signal.SIGSTOP)  # else one of the two would end it
    process.kill()
    os.kill(worker, signal.SIGKILL)
    process.communicate()
    assert is_running(first)
    deep.unlink()
    process = started_until(deep, tmp_path, study)
    assert not is_running(first)
    kill(process)
    assert until(lambda: not running(deep), 3.0)


def started_until(there: Path, tmp_path: Path, study: Path) -> "subprocess.Popen[str]":
    process = started(tmp_path, "study", study, "--jobs", "1")
    assert until(there.exists)
    return process


def test_what_a_finished_program_leaves_running_is_ended(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    (tmp_path / "job.sh").write_text(
        f"sleep 1000.5 &\nsetsid sleep 1000.5 &\necho '{{\"accuracy\": 95}}' > $1/metrics.json # {tmp_path}\n"
    )
    study.write_text(
        f'command = "sh {tmp_path}/job.sh {{out}} {{seed}}"\nmetric = "accuracy"\nseeds = 1\n'
        "[variants.a]\n[variants.b]\n"
    )
    process = started(tmp_path, "study", study, "--jobs", "1")
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0, told
    assert not running(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_programs_and_counts_no_failure(tmp_path: Path, number: int) -> None:
    study, deep = study_of(tmp_path, "plain")
    process = started_until(deep, tmp_path, study)
    told = kill(process, number)
    by = " by SIGTERM" if number == signal.SIGTERM else ""
    line = f"truelift: stopped{by}. To go on: truelift study {study} --jobs 1\n"
    assert told.endswith(line)
    assert told.count("\n") == 3  # after two warnings of the study's: one seed, equal variants
    assert process.returncode == 128 + number
    assert not running(deep)  # killed, since it ignores SIGTERM
    assert not list(tmp_path.glob("runs/study/runs/*/*/failure.json"))
    study_of(tmp_path, "plain", 0)
    deep.unlink()
    again = started(tmp_path, "study", study, "--jobs", "1")
    _, told = again.communicate(timeout=30)
    assert again.returncode == 0, told


def test_a_second_interrupt_ends_at_once(tmp_path: Path) -> None:
    study, deep = study_of(tmp_path, "plain")
    process = started_until(deep, tmp_path, study)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)  # the program is stubborn
    process.send_signal(signal.SIGINT)
    assert process.wait(1.0) == 130
    _, told = process.communicate()
    assert told.count("stopped") == 1
    assert until(lambda: not running(deep), 3.0)


TRAININGS = """
seeds = 1
[experiment]
model.name = "resnet8"
model.width = 4
epochs = 4000
data.train_images = 200
[variants.a]
[variants.b]
model.last_relu = false
"""


@pytest.mark.parametrize("victim", ["study", "server", "study while it imports"])
def test_our_own_trainings_and_their_server_end_with_the_study(tmp_path: Path, victim: str) -> None:
    (tmp_path / "study.toml").write_text(TRAININGS)
    process = started(tmp_path, "study", "study.toml", "--jobs", "2")
    assert until(lambda: server_of(process))
    server = server_of(process)[0]
    if victim == "study while it imports":
        process.kill()
    else:
        assert until(lambda: len(list(tmp_path.glob("runs/study/runs/*/*/metrics.jsonl"))) == 2, 100.0)
        runs = children(server)
        assert len(runs) == 2
        if victim == "server":
            os.kill(server, signal.SIGKILL)
            assert until(lambda: not any(map(is_running, runs)), 5.0)
            # Each run goes on in a new interpreter.
            assert until(lambda: len(running("truelift.studies.worker")) >= 2, 10.0)
        process.kill()
    process.communicate(timeout=20)
    assert until(lambda: not running(tmp_path), 5.0), running(tmp_path)


def server_of(process: "subprocess.Popen[str]") -> list[int]:
    return [p for p in running("truelift.studies.fork_server") if parent(p) == process.pid]


def children(process: int) -> list[int]:
    return [p for p in running("truelift.studies.fork_server") if parent(p) == process]
