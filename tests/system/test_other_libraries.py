"""timm's and torchvision's networks by `truelift train`, by short form and by import path."""

import json
from pathlib import Path

import pytest
from tests.system.conftest import Truelift

DATA = """
import numpy as np

def colours(images=96):
    rng = np.random.default_rng(0)
    labels = np.arange(images) % 3
    pixels = rng.integers(0, 120, (images, 32, 32, 3))
    for c in range(3):
        pixels[labels == c, :, :, c] += 110
    return {"train": (pixels.astype(np.uint8), labels), "classes": ["red", "green", "blue"]}
"""
SMALL_VIT: dict[str, object] = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 64}
NETWORKS: dict[str, dict[str, object]] = {
    "timm:resnet18": {"drop_rate": 0.1},
    "timm.models:create_model": {"model_name": "vit_tiny_patch16_224", "img_size": 32, "num_classes": 3},
    "torchvision:resnet18": {},
    "torchvision.models:VisionTransformer": SMALL_VIT,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_train(truelift: Truelift, tmp_path: Path, name: str) -> None:
    try:
        __import__(library := name.partition(":")[0].partition(".")[0])
    except Exception as error:  # beside a torch that it was not built for it raises anything
        pytest.skip(f"{library} cannot be imported here: {error}")
    (tmp_path / "data.py").write_text(DATA)
    args = [token for arg, value in NETWORKS[name].items() for token in (f"--model.args.{arg}", str(value))]
    settings = "--data data.py:colours --objective gaussian-mixture --freezing freezeout --freezing.t0 0.3"
    settings += " --schedule constant --optimizer.lr 0.005 --epochs 2 --batch_size 16 --out run"
    done = truelift("train", "--model", name, *args, *settings.split())
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["frozen_layers"] > 0
    assert 0 <= result["metrics"]["test_accuracy"] <= 100
