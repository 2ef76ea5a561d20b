"""Where the machine gives too little: one line and nothing half written, or the run is as it should be."""

import resource
import subprocess
from pathlib import Path

import pytest
from tests.system.processes import ENVIRONMENT, TRUELIFT

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
