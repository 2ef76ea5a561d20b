"""What is handed to Slurm, and how its answers are read; a real one is in tests/system."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from truelift.errors import InputError
from truelift.studies.executors import ExecutorOptions, Work
from truelift.studies.executors.slurm import Slurm, cancel
from truelift.studies.executors.slurm_script import script
from truelift.studies.executors.submissions import read_submissions, read_tasks, write_job, write_submission


def test_the_script_is_one_that_bash_takes(tmp_path: Path) -> None:
    options = ExecutorOptions(
        name="slurm", partition="gpu", time="26h", cpus=8, gpus=2, memory="32G", at_once=4, args="--constraint=a100"
    )
    text = script(options, Work(tmp_path / "my study"), tmp_path / "my study" / "slurm" / "x", 12)
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    for wanted in (
        "--requeue",
        "--array=0-11%4",
        "--signal=B:TERM@90",
        "--partition=gpu",
        "--time=1-02:00:00",
        "--cpus-per-task=8",
        "--gres=gpu:2",
        "--mem=32G",
        "--constraint=a100",
        f'--output="{tmp_path}/my study/slurm/x/%a.txt"',
        "--job-name=truelift-my-study",
    ):
        assert f"#SBATCH {wanted}" in lines
    assert f"work '{tmp_path}/my study' --tasks '{tmp_path}/my study/slurm/x/tasks.json' --threads 8" in text
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_a_short_task_is_told_to_end_a_quarter_before() -> None:
    text = script(ExecutorOptions(name="slurm", time="2m"), Work(Path("s")), Path("s/slurm/x"), 1)
    assert "#SBATCH --signal=B:TERM@30\n" in text


@pytest.mark.parametrize("name", ['a"b', "a%b", "a\nb", "a\\b"])
def test_a_folder_that_no_script_can_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="the folder must be without"):
        script(ExecutorOptions(name="slurm"), Work(tmp_path / name), tmp_path / name / "slurm" / "x", 1)


def stand_in(folder: Path, **answers: str) -> None:
    """Commands of Slurm's that say the same whatever they are asked; `false` for one that fails."""
    folder.mkdir()
    for name, answer in answers.items():
        path = folder / name
        end = "" if answer != "false" else "echo 'slurm_load: Unable to contact slurm controller' >&2; exit 1\n"
        path.write_text(f"#!/bin/sh\necho \"{name} $*\" >> {folder}/asked\n{end}cat <<'END'\n{answer}\nEND\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def runs(study: Path, count: int) -> list[Path]:
    folders = [study / "runs" / "a" / f"seed-{number}-00000000" for number in range(count)]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


def test_runs_are_handed_over_once(tmp_path: Path, commands: Path) -> None:
    stand_in(commands, sbatch="77;cluster", scontrol="MaxArraySize            = 4", squeue="0\n2", scancel="")
    study = tmp_path / "s"
    told: list[str] = []
    there = runs(study, 7)
    executor = Slurm(ExecutorOptions(name="slurm"))
    assert not list(executor.run(there, Work(study, tell=told.append)))
    (first,) = read_submissions(study)
    assert (first.job, [len(task) for task in first.tasks]) == ("77", [2, 2, 2, 1])
    (handed,) = study.glob("slurm/*/script.sh")
    assert told == [f"job 77: 7 runs in 4 tasks, handed to Slurm by {handed}"]
    # Tasks 0 and 2 are in the queue still.
    assert not list(executor.run(there, Work(study, tell=told.append)))
    second = read_submissions(study)[1]
    assert second.tasks == tuple((run.relative_to(study).as_posix(),) for run in (*there[2:4], there[6]))
    assert told[-1] == "4 runs are queued or running already"
    assert cancel(study) == ["77", "77"]
    assert (commands / "asked").read_text().endswith("\nscancel 77 77\n")


def test_short_runs_are_made_several_a_task(tmp_path: Path, commands: Path) -> None:
    from tests.unit.studies.executors.test_short_runs import finish, study_of

    stand_in(commands, sbatch="77", scontrol="MaxArraySize = 1001", squeue="")
    study = study_of(tmp_path / "s", 65)
    told: list[str] = []
    finish(study, 64, 8.0)
    there = [study / "runs" / "a" / f"seed-{number}-00000000" for number in range(64)]
    assert not list(Slurm(ExecutorOptions(name="slurm")).run(there, Work(study, tell=told.append)))
    why = "4 runs a task, since those that have ended took 8 s each"
    assert told[0] == why
    (submission,) = read_submissions(study)
    assert [len(task) for task in submission.tasks] == [4] * 16
    (handed,) = study.glob("slurm/*/script.sh")
    assert f"# {why}.\n" in handed.read_text()
    own = Slurm(ExecutorOptions(name="slurm", runs_per_task=1)).shown(there, Work(study))
    assert "#SBATCH --array=0-63\n" in own
    assert "runs a task" not in own


def test_runs_that_depend_on_others_are_handed_over_as_they_end(
    tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("truelift.studies.executors.slurm._LOOK_SECONDS", 0.01)
    stand_in(commands, sbatch="77", scontrol="MaxArraySize = 1001", squeue="")
    study = tmp_path / "s"
    there = runs(study, 5)
    asked: list[Path] = []
    told: list[str] = []

    def following() -> Iterator[Path]:
        for run in there:
            asked.append(run)
            yield run

    executor = Slurm(ExecutorOptions(name="slurm", at_once=2), waits=True)
    running = executor.run(following(), Work(study, tell=told.append, one_by_one=True))
    for number, run in enumerate(there):
        # It is asked for a run only when there is room, and what has ended was told.
        (run / "result.json").touch()
        assert next(running) == run
        assert asked == there[: number + 2]
    assert next(running, None) is None
    assert [line.partition(",")[0] for line in told] == ["job 77: 2 runs", *["job 77: 1 run"] * 3]


def test_a_study_until_decided_needs_to_know_how_many_at_a_time(tmp_path: Path, commands: Path) -> None:
    stand_in(commands, sbatch="1", sinfo="main")
    for options, wait in ((ExecutorOptions(name="slurm"), True), (ExecutorOptions(name="slurm", at_once=2), False)):
        with pytest.raises(InputError, match=r"needs --wait and --executor\.at_once with --executor slurm"):
            Slurm(options, wait).check(tmp_path, one_by_one=True)


def test_a_task_that_slurm_holds_is_told_once(tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LOOK_SECONDS", "_QUEUE_SECONDS"):
        monkeypatch.setattr(f"truelift.studies.executors.slurm.{name}", 0.01)
    stand_in(commands, sbatch="77", scontrol="MaxArraySize = 1001", squeue="0")
    study = tmp_path / "s"
    told: list[str] = []
    (run,) = runs(study, 1)
    (commands / "squeue").write_text(
        "#!/bin/sh\ncase \"$*\" in *PENDING*) echo '77_0 launch failed requeued held'; echo '77_1 Resources';;"
        " *) echo 0;; esac\n"
    )
    looks = 0

    def tell(line: str) -> None:
        told.append(line)
        if "is held" in line:
            (run / "result.json").touch()

    for _ in Slurm(ExecutorOptions(name="slurm"), waits=True).run([run], Work(study, tell=tell)):
        looks += 1
    assert looks == 1
    assert told[1:] == ["task 77_0 is held by Slurm (launch failed requeued held): scontrol release 77_0 lets it go on"]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"sinfo": "false"}, "Slurm refuses: slurm_load: Unable to contact slurm controller"),
        ({"sinfo": "main"}, r'unknown partition as executor\.partition "gpu"\. Known: main'),
        ({"sinfo": "gpu\nnode7"}, "the study's folder must be one that the nodes see too"),
    ],
)
def test_what_cannot_work(commands: Path, answers: dict[str, str], message: str) -> None:
    stand_in(commands, sbatch="1", **answers)
    with pytest.raises(InputError, match=message):
        Slurm(ExecutorOptions(name="slurm", partition="gpu")).check(Path("/tmp/study"))


def test_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="executor slurm needs sbatch on the path"):
        Slurm(ExecutorOptions(name="slurm")).check(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", '[["a"], [3]]', '{"a": []}', "[" * 100_000])
def test_damaged_tasks(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "slurm" / "x"
    write_submission(folder, "", [["a"]])
    write_job(folder, "5")
    assert [submission.tasks for submission in read_submissions(tmp_path)] == [(("a",),)]
    (folder / "tasks.json").write_text(content)
    with pytest.raises(InputError, match=r"tasks\.json"):
        read_tasks(folder / "tasks.json")
    assert not read_submissions(tmp_path)
