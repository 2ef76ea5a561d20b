"""How many runs fit into memory, and what is said and done where more were to be at a time."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from truelift.errors import InputError
from truelift.studies import room as of_room
from truelift.studies import shares as of_shares
from truelift.studies.cost import study_cost
from truelift.studies.executors.base import Work
from truelift.studies.executors.local import Local
from truelift.studies.folders import by_folder
from truelift.studies.how import How, check_study
from truelift.studies.need import Need
from truelift.studies.room import Room, room_for
from truelift.studies.study import run_study
from truelift.studies.study_file import read_plan

GIB = 2**30
STUDY = """
question = "?"
baseline = "plain"
seeds = 3
smallest_effect = 1
experiment.model.name = "small-cnn"
[variants.plain]
[variants.smoothed]
objective.label_smoothing = 0.1
"""


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_room, "memory_free", lambda: 4 * GIB)
    monkeypatch.setattr(of_room, "gpu_memory_free", lambda device: 16 * GIB)


def within(tmp_path: Path, jobs: int, need: Need, *, asked: bool) -> tuple[Local, list[str], list[str]]:
    """What becomes of so many jobs, and what is told and warned of."""
    (tmp_path / "study.toml").write_text(STUDY)
    runs = by_folder(read_plan(tmp_path / "study.toml"), tmp_path / "out")
    told: list[str] = []
    warned: list[str] = []
    local = of_shares.within_memory(
        Local(jobs, 1), runs, list(runs), {"plain": need}, asked=asked, tell=told.append, warn=warned.append
    )
    return local, told, warned


@pytest.mark.usefixtures("free")
def test_what_is_shared_is_not_taken_anew() -> None:
    room = room_for([Need(GIB, GIB // 2), Need(3 * GIB // 4, GIB // 2)], gpus=0)
    assert room == Room(GIB // 2, 4 * GIB)
    assert room.fits == 8


@pytest.mark.usefixtures("free")
def test_the_scarcer_memory_counts_and_each_gpu_has_its_own() -> None:
    room = room_for([Need(GIB, gpu=6 * GIB, device="cuda")], gpus=1)
    assert room == Room(6 * GIB, 16 * GIB, "GPU memory")
    assert room.fits == 2
    several = room_for([Need(GIB, gpu=6 * GIB, device="cuda")], gpus=3)
    assert several == Room(GIB, 4 * GIB)  # of GPU memory there is enough for six
    assert room_for([], gpus=0) is None


@pytest.mark.usefixtures("free")
def test_by_default_as_many_run_as_fit(tmp_path: Path) -> None:
    local, told, warned = within(tmp_path, 5, Need(3 * GIB // 2), asked=False)
    assert local.jobs == 2
    assert told == ["a run takes about 1.5 GiB of memory, 4.0 GiB are free: 2 run at a time, not 5"]
    assert not warned


@pytest.mark.usefixtures("free")
def test_who_asks_for_more_has_them_and_a_warning(tmp_path: Path) -> None:
    local, told, warned = within(tmp_path, 5, Need(3 * GIB // 2), asked=True)
    assert local.jobs == 5
    assert warned == [
        "a run takes about 1.5 GiB of memory, 4.0 GiB are free: 2 at a time would fit; 5 run all the same, as --jobs "
        "says, and may run out of it"
    ]
    assert not told


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize("jobs", [1, 5])
def test_one_is_tried_where_not_even_one_fits(tmp_path: Path, jobs: int) -> None:
    local, told, warned = within(tmp_path, jobs, Need(5 * GIB), asked=False)
    assert local.jobs == 1
    assert warned == ["a run takes about 5.0 GiB of memory, 4.0 GiB are free: not even one would fit; one is tried"]
    assert not told


@pytest.mark.usefixtures("free")
def test_nothing_is_said_where_all_fit_or_fewer_are_left(tmp_path: Path) -> None:
    assert within(tmp_path, 2, Need(2 * GIB), asked=False) == (Local(2, 1), [], [])
    assert within(tmp_path, 8, Need(4 * GIB // 6), asked=False) == (Local(8, 1), [], [])  # there are six runs


@pytest.mark.parametrize("jobs", [0, 1025])
def test_a_number_of_jobs_that_cannot_be_is_refused_by_the_study_and_its_dry_run(tmp_path: Path, jobs: int) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    plan = read_plan(tmp_path / "study.toml")
    with pytest.raises(InputError, match="jobs must be at"):
        check_study(plan, tmp_path / "out", How(jobs=jobs))
    with pytest.raises(InputError, match="jobs must be at"):
        study_cost(plan, tmp_path / "out", How(jobs=jobs))


@pytest.mark.parametrize(("jobs", "runs"), [(None, 1), (3, 3)])
def test_a_study_looks_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int | None, runs: int
) -> None:
    monkeypatch.setattr(of_room, "memory_free", lambda: 300 * 2**20)  # a run takes some 190 of its own
    monkeypatch.setattr(of_shares, "available_cores", lambda: 4)
    ran: list[Local] = []

    def run(self: Local, folders: Iterable[Path], work: Work) -> Iterator[Path]:
        ran.append(self)
        yield from ()

    monkeypatch.setattr(Local, "run", run)
    (tmp_path / "study.toml").write_text(STUDY)
    plan = read_plan(tmp_path / "study.toml")
    told: list[str] = []
    warned: list[str] = []
    run_study(
        plan,
        tmp_path / "out",
        How(jobs=jobs),
        repeat="",
        report_run=lambda run, ended, total: None,
        warn=warned.append,
        tell=told.append,
    )
    assert [local.jobs for local in ran] == [runs]
    lines = [line for line in (told if jobs is None else warned) if "GiB are free" in line]
    assert len(lines) == 1
    assert lines[0].endswith("one runs at a time, not 4" if jobs is None else "as --jobs says, and may run out of it")
