"""Photographs of any size, streamed, as a user trains on them."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands.started import begin
from tests.system.conftest import Truelift

OPTIONS = [
    *("--data.stream", "--data.resize", "24", "--data.progressive", "16", "24", "--data.workers", "2"),
    *("--model", "resnet8", "--model.width", "4", "--precision", "fp32", "--threads", "1"),
    *("--epochs", "4", "--batch_size", "8", "--checkpoint_seconds", "0"),
]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two classes of 40 photographs, red and blue ones, no two of one size."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    for number in range(80):
        name = ("red", "blue")[number % 2]
        pixels = rng.integers(0, 200, (40 + number, 90 - number // 2, 3), dtype=np.uint8)
        pixels[..., 0 if name == "red" else 2] += 55
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name / f"{number:02}.jpg", quality=90)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    network = torch.load(folder / "checkpoint.pt", weights_only=False)["network"]
    assert isinstance(network, dict)
    return network


def test_killed_in_the_middle_of_an_epoch_it_ends_the_same(
    truelift: Truelift, photographs: Path, tmp_path: Path
) -> None:
    options = ["train", "--data.path", str(photographs), "--data.name", "colours", *OPTIONS]
    whole = truelift(*options, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    for lines in (1, 12):  # in the first epoch; in the second, after images have grown
        process = begin([*options, "--out", "killed"], cwd=tmp_path)
        metrics = tmp_path / "killed" / "metrics.jsonl"
        while not (metrics.exists() and len(metrics.read_text().splitlines()) >= lines):
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert truelift(*options, "--out", "killed").returncode == 0
    expected = weights(tmp_path / "whole")
    for name, value in weights(tmp_path / "killed").items():
        assert torch.equal(value, expected[name]), name
    results = [json.loads((tmp_path / run / "result.json").read_text()) for run in ("whole", "killed")]
    assert results[0]["metrics"]["test_accuracy"] == results[1]["metrics"]["test_accuracy"]
    assert results[0]["train_images"] == 58


def test_a_corrupt_photograph_is_named_or_skipped(truelift: Truelift, photographs: Path) -> None:
    for name in ("red/00.jpg", "red/02.jpg", "red/04.jpg", "blue/77.jpg"):
        (photographs / name).write_bytes((photographs / name).read_bytes()[:600])
    options = ["train", "--data.path", str(photographs), "--data.name", "colours", *OPTIONS]
    stopped = truelift(*options)
    assert stopped.returncode == 2, stopped
    assert len(stopped.stderr.splitlines()) == 1
    assert ".jpg: cannot decode the image" in stopped.stderr
    skipped = truelift(*options, "--data.on_error", "skip")
    assert skipped.returncode == 0, skipped.stderr
    assert "4 images skipped" in skipped.stdout
    assert sorted(line.split(": ")[2].removesuffix(".jpg")[-2:] for line in skipped.stderr.splitlines()) == [
        *("00", "02", "04", "77")
    ]


def test_folders_that_cannot_be_streamed(truelift: Truelift, photographs: Path, tmp_path: Path) -> None:
    options = ["train", "--data.name", "colours", *OPTIONS]
    (tmp_path / "empty").mkdir()
    empty = truelift(*options, "--data.path", "empty")
    assert empty.returncode == 2
    assert "no image found" in empty.stderr
    photographs.rename(tmp_path / "train")
    (tmp_path / "split" / "val" / "green").mkdir(parents=True)
    (tmp_path / "train").rename(tmp_path / "split" / "train")
    Image.new("RGB", (40, 40)).save(tmp_path / "split" / "val" / "green" / "1.jpg")
    lacking = truelift(*options, "--data.path", "split")
    assert lacking.returncode == 2
    assert 'class "green" has no folder in the training split' in lacking.stderr
    assert not (tmp_path / "runs").exists()
