"""Several runs on one GPU: a study's own service, with a program in its place that only notes what is done."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from truelift.studies.executors import one_gpu
from truelift.studies.executors.one_gpu import side_by_side

SERVICE = """#!/bin/sh
if [ "$1" = -f ]; then
    echo "$$" > "{folder}/pid"
    echo "$CUDA_VISIBLE_DEVICES" > "{folder}/visible"
    {begin}
    while :; do sleep 0.05; done
fi
read what
echo "$what" > "{folder}/told"
kill -9 "$(cat "{folder}/pid")"
"""
PIPES = "CUDA_MPS_PIPE_DIRECTORY"
BEGINS = f'echo > "${PIPES}/control"'


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, begin: str = BEGINS) -> None:
    program = folder / "nvidia-cuda-mps-control"
    program.write_text(SERVICE.format(folder=folder, begin=begin))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.delenv(PIPES, raising=False)
    monkeypatch.setattr(one_gpu, "_shows", lambda gpu, environment: True)


def ends(pid: int) -> bool:
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_the_service_is_there_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    with side_by_side(3, ["0"]) as environment:
        pipes = Path(environment[PIPES])
        assert (pipes / "control").exists()
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, 0)
    assert (tmp_path / "told").read_text().startswith("quit")
    assert ends(pid)
    assert not pipes.exists()


def test_it_ends_with_a_study_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    code = """
import time
from truelift.studies.executors import one_gpu
one_gpu._shows = lambda gpu, environment: True
from truelift.studies.executors.one_gpu import side_by_side
with side_by_side(2, ["0"]):
    print("within", flush=True)
    time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as study:
        assert study.stdout is not None
        assert study.stdout.readline() == b"within\n"
        study.send_signal(signal.SIGKILL)
    assert ends(int((tmp_path / "pid").read_text()))


def test_one_that_does_not_begin_is_gone_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, begin="exit 1")
    with side_by_side(2, ["0"]) as environment:
        assert environment == {}


@pytest.mark.parametrize(("jobs", "gpus"), [(1, ["0"]), (2, ["0", "1"]), (4, [])])
def test_not_where_each_run_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int, gpus: list[str]
) -> None:
    install(tmp_path, monkeypatch)
    with side_by_side(jobs, gpus) as environment:
        assert environment == {}
    assert not (tmp_path / "pid").exists()


def test_the_users_own_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    monkeypatch.setenv(PIPES, str(tmp_path))
    with side_by_side(2, ["0"]) as environment:
        assert environment == {}
    assert not (tmp_path / "pid").exists()


def test_the_service_has_all_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would count those that it sees from 0, and its clients know them by their own names."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    install(tmp_path, monkeypatch)
    with side_by_side(2, ["3"]):
        assert (tmp_path / "visible").read_text() == "\n"


def test_one_through_which_no_gpu_is_seen_is_gone_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_gpu, "_TRY", "raise SystemExit(1)")
    shows = one_gpu._shows
    install(tmp_path, monkeypatch)
    monkeypatch.setattr(one_gpu, "_shows", shows)
    with side_by_side(2, ["0"]) as environment:
        assert environment == {}
    assert ends(int((tmp_path / "pid").read_text()))


def test_a_signal_to_all_processes_ends_it_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a scheduler sends it to a job: the runs still have to write their checkpoints."""
    install(tmp_path, monkeypatch)
    with side_by_side(2, ["0"]) as environment:
        service = int((tmp_path / "pid").read_text())
        keeper = int(Path(f"/proc/{service}/stat").read_text().rpartition(")")[2].split()[1])
        for process in (service, keeper):
            os.kill(process, signal.SIGTERM)
        time.sleep(0.3)
        os.kill(service, 0)
    assert ends(service)
    assert not Path(environment[PIPES]).exists()
