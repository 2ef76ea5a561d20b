"""Studies on a real Slurm: whatever is killed or queued again, each run ends once, with a laptop's numbers."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.commands.started import PIPE, Command, begin
from tests.system import slurm
from tests.system.on_cluster import TRAININGS, ended, programs
from tests.system.processes import until
from tests.system.test_study import numbers

from truelift.records import Study
from truelift.records.holder import Holder
from truelift.records.leases import holder_of

pytestmark = [
    pytest.mark.skipif(slurm.missing() is not None, reason=f"no Slurm: {slurm.missing()}"),
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Cluster]:
    with slurm.cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def truelift(cluster: slurm.Cluster, home: Path, *arguments: str) -> Command:
    return begin(arguments, cwd=home, env=cluster.environment, stdout=PIPE, stderr=PIPE)


def holders(folder: Path) -> dict[Path, Holder]:
    """The runs that somebody has, on this machine."""
    found = {run.folder: holder_of(run.folder) for run in Study.read(folder).runs}
    return {run: holder for run, holder in found.items() if holder is not None}


def test_whatever_is_killed_all_runs_end_with_the_same_numbers(cluster: slurm.Cluster, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(TRAININGS)
    options = ["study", "study.toml", "--seeds", "6", "--checkpoint_seconds", "0"]
    handed = [*options, "--out", "slurm", "--executor", "slurm", "--wait", "--executor.runs_per_task", "2"]
    waiting = truelift(cluster, tmp_path, *handed)
    folder = tmp_path / "slurm"
    assert until(lambda: list(folder.glob("runs/*/*/checkpoint.pt")), 400), waiting.poll()
    assert until(lambda: holders(folder), 60)
    holder = next(iter(holders(folder).values()))
    assert (holder.executor, holder.job.partition("_")[0].isdecimal()) == ("slurm", True)
    os.kill(holder.process, signal.SIGKILL)
    running = until(lambda: any("RUNNING" in job for job in cluster.jobs()), 60)
    assert running
    waiting.kill()
    waiting.communicate()
    task = next(job.partition(" ")[0] for job in cluster.jobs() if "RUNNING" in job)
    cluster.ask("scontrol", "requeue", task)
    assert until(lambda: f"{task} PENDING" in cluster.jobs(), 120), cluster.jobs()
    # Not at once: Slurm itself would hold a task that it queues again while slurmd is gone.
    assert until(lambda: any("RUNNING" in job for job in cluster.jobs()), 120), cluster.jobs()
    cluster.kill_node()
    cluster.start_node()
    again, _ = ended(truelift(cluster, tmp_path, *handed))
    assert "queued or running already" in again
    assert len(list(folder.glob("slurm/*/job.json"))) == 1, again  # nothing was handed over twice
    ended(truelift(cluster, tmp_path, *options, "--out", "local", "--jobs", "2"))
    assert numbers(folder) == numbers(tmp_path / "local")
    tables = [
        json.loads(ended(truelift(cluster, tmp_path, "report", name, "--json"))[0]) for name in ("slurm", "local")
    ]
    assert tables[0]["variants"] == tables[1]["variants"]
    assert not list(folder.rglob(".lease-*"))


def test_a_task_that_is_told_to_end_is_queued_again_and_goes_on(cluster: slurm.Cluster, tmp_path: Path) -> None:
    """As ahead of its limit, or of preemption: TERM for the batch script alone."""
    study = programs(tmp_path, 60, seeds=1)
    out, _ = ended(truelift(cluster, tmp_path, "study", study, "--out", "s", "--executor", "slurm"))
    assert "truelift status s" in out
    folder = tmp_path / "s"
    assert until(lambda: len(list(folder.glob("runs/*/*/place"))) == 2, 100)
    status = json.loads(ended(truelift(cluster, tmp_path, "status", "s", "--json"))[0])
    assert (status["running"], status["done"]) == (2, 0)
    assert {run["executor"] for run in status["runs"]} == {"slurm"}
    # The last task's, whose own number is the whole array's.
    job = max((holder.job for holder in holders(folder).values()), key=lambda job: int(job.split("_")[1]))
    cluster.ask("scancel", "--batch", "--signal=TERM", job)
    begun = next(run for run, holder in holders(folder).items() if holder.job == job) / "begun"
    ended(truelift(cluster, tmp_path, "study", study, "--out", "s", "--executor", "slurm", "--wait"))
    assert begun.read_text() == "once\n" * 2
    assert not list(folder.glob("runs/*/*/failure.json"))
    assert len(list(folder.glob("slurm/*/job.json"))) == 1


def test_cancelled_it_stays_so_and_another_executor_goes_on(cluster: slurm.Cluster, tmp_path: Path) -> None:
    study = programs(tmp_path, 60, seeds=2)
    waiting = truelift(cluster, tmp_path, "study", study, "--out", "s", "--executor", "slurm", "--wait")
    assert until(lambda: list(tmp_path.glob("s/runs/*/*/place")), 100)
    waiting.send_signal(signal.SIGINT)
    out, err = ended(waiting, 130)
    assert "the jobs go on: truelift status s shows them, truelift cancel s ends them" in out
    assert err.endswith("truelift: stopped. To go on: truelift study study.toml --out s --executor slurm --wait\n")
    assert cluster.jobs()
    out, _ = ended(truelift(cluster, tmp_path, "cancel", "s"))
    assert "is cancelled" in out
    assert until(lambda: not cluster.jobs(), 60), cluster.jobs()
    assert "4 waiting" in ended(truelift(cluster, tmp_path, "status", "s"))[0]
    ended(truelift(cluster, tmp_path, "study", study, "--out", "s", "--jobs", "2"))
    assert [run.status for run in Study.read(tmp_path / "s").runs] == ["done"] * 4


def test_what_cannot_work_is_told_before_anything_is_written(cluster: slurm.Cluster, tmp_path: Path) -> None:
    study = programs(tmp_path, 0, seeds=5)
    command = ["study", study, "--out", "s", "--executor", "slurm"]
    _, err = ended(truelift(cluster, tmp_path, *command, "--executor.partition", "mian"), 2)
    assert err == 'truelift: error: unknown partition as executor.partition "mian". Did you mean "main"? Known: main.\n'
    _, err = ended(truelift(cluster, tmp_path, *command, "--executor.runs_per_task", "1"), 2)
    assert "executor.runs_per_task must be at least 2 for 10 runs, since the cluster's arrays have 8 tasks" in err
    script, _ = ended(truelift(cluster, tmp_path, *command, "--dry_run", "--executor.time", "4h"))
    assert "#SBATCH --array=0-4\n" in script
    assert "#SBATCH --time=0-04:00:00\n" in script
    assert not (tmp_path / "s" / "slurm").exists()
