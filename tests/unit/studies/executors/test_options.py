"""What a user says about where a study runs."""

from typing import Any

import pytest

from truelift.errors import InputError
from truelift.studies.executors import ExecutorOptions, executor_options


def test_the_command_line_takes_the_place_of_the_file() -> None:
    file = {"name": "slurm", "partition": "gpu", "cpus": 4}
    assert executor_options(file, {}) == ExecutorOptions(name="slurm", partition="gpu", cpus=4)
    assert executor_options(file, {"partition": "long"}) == ExecutorOptions(name="slurm", partition="long", cpus=4)
    assert executor_options("slurm", {"time": "4h"}).seconds == 4 * 3600
    assert executor_options(None, {}) == ExecutorOptions()


def test_what_the_file_says_of_a_cluster_is_not_for_this_machine() -> None:
    assert executor_options({"name": "slurm", "gpus": 2}, {"name": "local", "retries": 1}) == ExecutorOptions(retries=1)


def test_what_the_file_says_of_one_cluster_is_not_for_another() -> None:
    file = {"name": "slurm", "partition": "gpu", "gpus": 2}
    assert executor_options(file, {"name": "ray", "gpus": 0.5}) == ExecutorOptions(name="ray", gpus=0.5)
    assert executor_options({"name": "ray", "autoscales": True}, {}).autoscales
    assert executor_options({"name": "ray", "gpus": 1, "memory": "3M"}, {}).memory_bytes == 3 * 2**20


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("4h", 14400), ("2d", 172800)])
def test_a_time(text: str, seconds: int) -> None:
    assert ExecutorOptions(name="slurm", time=text).seconds == seconds


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (3, r"executor must be a name, or a table of its options, got 3"),
        ("slrum", r'unknown executor "slrum"\. Did you mean "slurm"\?'),
        ({"partion": "gpu"}, r'unknown option of executor "partion"\. Did you mean "partition"\?'),
        ({"name": "slurm", "cpus": "4"}, r"executor\.cpus must be a whole number, got '4'"),
        ({"name": "slurm", "cpus": True}, r"executor\.cpus must be a whole number, got True"),
        ({"name": "slurm", "cpus": 0}, r"executor\.cpus must be at least 1, got 0"),
        (
            {"name": "slurm", "time": "4"},
            r"executor\.time must be a number with s, m, h or d, such as 90m",
        ),
        ({"name": "slurm", "time": "0h"}, r"executor\.time must be"),
        ({"name": "slurm", "memory": "16"}, r"executor\.memory must be a number with K, M, G or T"),
        ({"name": "slurm", "partition": "a b"}, r"executor\.partition must be one word"),
        ({"name": "slurm", "partition": "a\nb"}, r"executor\.partition must be one word"),
        ({"name": "slurm", "args": "a\n#SBATCH x"}, r"executor\.args must be one line"),
        ({"partition": "gpu"}, r"executor\.partition must be left out without --executor slurm, got gpu"),
        ({"name": "slurm", "gpus": 0.5}, r"executor\.gpus must be a whole number with --executor slurm, got 0\.5"),
        ({"name": "ray", "gpus": 1.5}, r"executor\.gpus must be a whole number, or a part below 1, got 1\.5"),
        ({"name": "ray", "time": "4h"}, r"executor\.time must be left out without --executor slurm, got 4h"),
        ({"name": "slurm", "address": "auto"}, r"executor\.address must be left out without --executor ray, got auto"),
        ({"name": "ray", "autoscales": 1}, r"executor\.autoscales must be true or false, got 1"),
        ({"cpus": 2}, r"executor\.cpus must be left out without --executor slurm or ray, got 2"),
    ],
)
def test_what_is_none(told: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        executor_options(told, {})
