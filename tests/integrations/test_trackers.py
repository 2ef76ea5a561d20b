"""A study tells a real tracker of its runs; what it wrote is judged as the study is. Skipped where not installed."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.commands.started import run

STUDY = """
metric = "test_accuracy"
smallest_effect = 0.5
seeds = 3

[experiment]
model.name = "resnet8"
model.width = 4
epochs = 8
data.train_images = 320
batch_size = 32
precision = "fp32"

[variants.plain]

[variants.slow]
optimizer.lr = 0.0001
"""
WHERE = {
    "tensorboard": "runs/study/tensorboard",
    "wandb": "runs/study/wandb",
    "trackio": "trackio/study.db",
    "mlflow": "mlflow.db",
}


def truelift(folder: Path, *arguments: str, ends: int = 0) -> str:
    environment = {
        **os.environ,
        "WANDB_MODE": "offline",
        "TRACKIO_DIR": str(folder / "trackio"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_OFFLINE": "1",
    }
    environment.pop("WANDB_DIR", None)
    done = run(arguments, cwd=folder, env=environment)
    assert done.returncode == ends, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("tracker", WHERE)
def test_what_a_study_wrote_is_judged_as_the_study_is(tracker: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(tracker) is None:
        pytest.skip(f"{tracker} is not installed")
    (tmp_path / "study.toml").write_text(STUDY)
    told = json.loads(truelift(tmp_path, "study", "study.toml", "--tracker", tracker, "--json"))
    for log in tmp_path.rglob("log.txt"):
        assert "has failed" not in log.read_text()
    options = ["--baseline", "plain", "--metric", "test_accuracy", "--smallest-effect", "0.5", "--json"]
    judged = json.loads(truelift(tmp_path, "judge", WHERE[tracker], *options))
    assert verdicts(judged) == verdicts(told)
    assert verdicts(told)["slow"][0] == "hurts"


def verdicts(report: dict[str, Any]) -> dict[str, Any]:
    """Verdict and mean difference by variant, to what float32 holds."""
    return {
        one["name"]: (one["verdict"], pytest.approx(one["difference"] or 0.0, rel=1e-5), one["pairs"])
        for one in report["variants"]
    }
