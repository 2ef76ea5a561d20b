"""From a training to its predictions, its files for use elsewhere and its card, as a user types it."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from tests.system.conftest import Truelift

TRAIN = ("train", "--model", "small-cnn", "--epochs", "3", "--data.train_images", "600", "--optimizer.lr", "0.05")
MIXTURE = ("--objective", "gaussian-mixture", "--quiet", "--out", "lgm")


def digits(folder: Path, count: int) -> None:
    """Some images of the bundled set as files."""
    folder.mkdir()
    found = load_digits()
    for i in range(count):
        pixels = np.round(found.images[i] * (255 / 16)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")


@pytest.mark.timeout(600)
def test_predict(tmp_path: Path, truelift: Truelift) -> None:
    assert truelift(*TRAIN, *MIXTURE).returncode == 0
    digits(tmp_path / "pictures", 30)
    (tmp_path / "pictures" / "broken.png").write_bytes(b"\x89PNG")

    table = truelift("predict", "lgm", "pictures", "--top", "2")
    assert table.returncode == 1  # one image of them
    assert table.stdout.splitlines()[0].split() == ["image", "class", "probability", "next", "log-likelihood"]
    assert len(table.stdout.splitlines()) == 31
    assert table.stderr.count("\n") == 1
    assert "broken.png: cannot identify" in table.stderr

    form = json.loads(truelift("predict", "lgm", "pictures", "--json").stdout)
    assert form["kind"] == "predictions"
    assert [Path(one["file"]).name for one in form["failed"]] == ["broken.png"]
    rows = list(csv.DictReader(io.StringIO(truelift("predict", "lgm", "pictures", "--csv", "--top", "1").stdout)))
    assert [row["class_1"] for row in rows] == [one["top"][0]["class"] for one in form["images"]]
    assert [float(row["log_likelihood"]) for row in rows] == [one["log_likelihood"] for one in form["images"]]


@pytest.mark.timeout(900)
def test_export(tmp_path: Path, truelift: Truelift) -> None:
    assert truelift(*TRAIN, *MIXTURE).returncode == 0
    digits(tmp_path / "pictures", 30)
    form = json.loads(truelift("predict", "lgm", "pictures", "--json").stdout)
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    pixels = np.stack([np.asarray(Image.open(tmp_path / "pictures" / f"{i:02d}.png"))[None] for i in range(30)])
    logits = {}
    for to, ending in (("onnx", "onnx"), ("torch-export", "pt2"), ("safetensors", "safetensors")):
        said = truelift("export", "lgm", "--to", to)
        assert said.returncode == 0, said.stderr
        assert f"model.{ending}: outputs as the network's own on 8 images, largest difference" in said.stdout
        told = json.loads((tmp_path / "lgm" / f"model.{ending}.json").read_text())
        assert told["classes"] == [str(i) for i in range(10)]
        assert told["checked"]["largest_difference"] <= 1e-5
    session = onnxruntime.InferenceSession(tmp_path / "lgm" / "model.onnx", providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["truelift"])["form"] == "onnx"
    logits["onnx"], likelihood = session.run(None, {"images": pixels})
    program = torch.export.load(tmp_path / "lgm" / "model.pt2")
    logits["torch-export"] = program.module()(torch.from_numpy(pixels))[0].numpy()
    for found in logits.values():
        assert found.argmax(1).tolist() == [one["top"][0]["number"] for one in form["images"]]
    expected = [one["log_likelihood"] for one in form["images"]]
    np.testing.assert_allclose(likelihood, expected, rtol=2e-2)  # the run's may be in bfloat16


@pytest.mark.timeout(600)
def test_refusals_are_one_line(tmp_path: Path, truelift: Truelift) -> None:
    for arguments, told in (
        (("predict", "gone", "x.png"), "gone must be the folder of a run"),
        (("predict", "gone"), "images"),
        (("predict", "gone", "x.png", "--json", "--csv"), "exclude each other"),
        (("export", "gone", "--to", "onx"), 'Did you mean "onnx"?'),
    ):
        said = truelift(*arguments)
        assert said.returncode == 2
        assert told in said.stderr
        assert said.stderr.count("\n") == 1


FOLDS = """
replicates = "folds"
folds = 3
[experiment]
model = "small-cnn"
epochs = 2
data.train_images = 300
[variants.plain]
[variants.slow]
optimizer.lr = 0.0001
"""


@pytest.mark.timeout(900)
def test_a_study_over_folds_another_metric_and_a_card(tmp_path: Path, truelift: Truelift) -> None:
    (tmp_path / "folds.toml").write_text(FOLDS)
    study = truelift("study", "folds.toml", "--jobs", "2", "--json")
    assert study.returncode == 0, study.stderr
    form = json.loads(study.stdout)
    assert form["replicates"] == "folds"
    assert [variant["pairs"] for variant in form["variants"]] == [None, 3]
    results = [json.loads(path.read_text()) for path in (tmp_path / "runs/folds").glob("runs/plain/*/result.json")]
    assert sum(result["test_images"] for result in results) == 1797  # each image once
    differences = np.subtract(form["variants"][1]["values"], form["variants"][0]["values"])
    ratio = max(result["test_images"] / result["train_images"] for result in results)
    spread = max(differences.std(ddof=1), 100 / min(result["test_images"] for result in results) / np.sqrt(6))
    low, high = form["variants"][1]["interval"]
    assert (high - low) / 2 == pytest.approx(4.302653 * spread * np.sqrt(1 / 3 + ratio), rel=1e-5)

    other = truelift("report", "runs/folds", "--metric", "macro_f1", "--json")
    assert json.loads(other.stdout)["metric"]["name"] == "test_macro_f1"
    assert "planned with test_accuracy" in (tmp_path / "runs/folds/by-test_macro_f1/report.md").read_text()

    [run] = (tmp_path / "runs/folds/runs/plain").glob("seed-1-*")
    assert truelift("card", run).returncode == 0
    text = (run / "README.md").read_text()
    assert "mean ± sd over 3 runs" in text
    assert f"{results[0]['metrics']['parameters']:,} parameters" in text
