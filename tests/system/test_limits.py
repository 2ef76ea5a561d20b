"""Where the machine gives too little: one line and nothing half written, or the run is as it should be."""

import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.commands.started import run
from tests.system.processes import ENVIRONMENT, TRUELIFT

from truelift.records import Study

TRAIN = ["train", "--model", "resnet8", "--model.width", "4", "--data.train_images", "200", "--epochs", "1"]


@pytest.mark.parametrize(
    ("limit", "most"),
    [(resource.RLIMIT_NOFILE, 12), (resource.RLIMIT_AS, 600_000_000), (resource.RLIMIT_FSIZE, 2048)],
    ids=["open files", "memory", "size of a file"],
)
def test_one_line_or_a_whole_run(tmp_path: Path, limit: int, most: int) -> None:
    done = subprocess.run(
        [*TRUELIFT, *TRAIN, "--out", "run"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(limit, (most, most)),
        check=False,
    )
    run = tmp_path / "run"
    assert not list(tmp_path.rglob("*.partial"))
    if done.returncode == 0:
        assert (run / "result.json").exists()
        return
    assert done.returncode == 2
    assert done.stderr.startswith("truelift: error: ")
    assert done.stderr.count("\n") == 1
    assert not (run / "result.json").exists()
    assert not (run / "checkpoint.pt").exists()


STUDY = """
question = "Is a stopped study the same study?"
baseline = "plain"
seeds = 2
experiment.model.name = "resnet8"
experiment.model.width = 4
experiment.data.train_images = 200
experiment.epochs = 1
[variants.plain]
[variants.shifted]
augmentation.crop_padding = 2
"""


def mounted(folder: Path, options: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """truelift in a file system of its own in memory, what is left of it copied to `folder`/left.

    Skips where one may not be made.
    """
    (folder / "disk").mkdir()
    (folder / "study.toml").write_text(STUDY)
    script = """
        cd "$0" && mount -t tmpfs -o size=40k tmpfs disk && mount -o remount,"$1" disk || exit 99
        shift
        TRUELIFT_CACHE=off "$@"
        status=$?
        cp -r disk left
        exit $status
    """
    command = ["unshare", "--mount", "sh", "-c", script, str(folder), options, *TRUELIFT, *arguments]
    if shutil.which("unshare") is None:
        pytest.skip("no `unshare` here")
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=200, check=False)
    if done.returncode == 99:
        pytest.skip("a file system may not be mounted here")
    return done


def test_a_full_disk_is_told_with_the_file_and_the_study_goes_on_elsewhere(tmp_path: Path) -> None:
    done = mounted(tmp_path, "size=40k", "study", "study.toml", "--out", "disk/out")
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2
    assert last.startswith("truelift: error: ")
    assert "No space left on device: disk/out/" in last
    assert "Traceback" not in done.stderr
    left = tmp_path / "left/out"
    assert not list(left.rglob("*.partial"))
    again = run(["study", "study.toml", "--out", left], cwd=tmp_path, env=ENVIRONMENT)
    assert again.returncode == 0, again.stderr
    assert [run.status for run in Study.read(left).runs] == ["done"] * 4
    assert (left / "report.html").exists()


@pytest.mark.parametrize("command", ["train", "study"])
def test_a_disk_that_may_not_be_written(tmp_path: Path, command: str) -> None:
    of = TRAIN if command == "train" else ["study", "study.toml"]
    done = mounted(tmp_path, "ro", *of, "--out", "disk/out")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("truelift: error: ")
    assert ("Read-only file system" if command == "train" else "must be a folder that can be written") in last
    assert "disk/out" in last
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "left").iterdir())


@pytest.mark.parametrize("most", [2, 6])
def test_no_further_process(tmp_path: Path, most: int) -> None:
    """A user of its own, whose processes and threads are limited; root's never are."""
    (tmp_path / "study.toml").write_text(STUDY)
    powers = "+dac_override,+dac_read_search"  # the interpreter may lie in root's own folder
    user = ["setpriv", "--reuid", str(54321 + most), "--clear-groups", "--inh-caps", powers, "--ambient-caps", powers]
    if shutil.which("setpriv") is None or subprocess.run([*user, "true"], capture_output=True, check=False).returncode:
        pytest.skip("another user's processes may not be started here")
    limited = [*user, "prlimit", f"--nproc={most}", *TRUELIFT, "study", "study.toml", "--out", "out", "--jobs", "2"]
    done = subprocess.run(
        limited, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=200, check=False
    )
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        assert [run.status for run in Study.read(tmp_path / "out").runs] == ["done"] * 4
        return
    assert done.returncode in (1, 2)
    assert done.stderr.splitlines()[-1].startswith(("truelift: error: ", "truelift: failed: "))
    again = run(["study", "study.toml", "--out", "out"], cwd=tmp_path, env=ENVIRONMENT)
    assert again.returncode == 0, again.stderr
    assert [run.status for run in Study.read(tmp_path / "out").runs] == ["done"] * 4
