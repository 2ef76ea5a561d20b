"""timm's and torchvision's networks under every technique; skipped where a library is not installed."""

import copy
import json
import math
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift import FreezeOut, GaussianMixtureHead, GaussianMixtureLoss
from truelift.data import DataOptions
from truelift.data.augmentations import AugmentationOptions
from truelift.errors import InputError
from truelift.models import Adapted, ModelOptions, build_model
from truelift.techniques.freezeout import find_layers
from truelift.training import Experiment, resolve
from truelift.training.afterwards.detection import DetectionOptions
from truelift.training.afterwards.probe import ProbeOptions
from truelift.training.gradient_rules import GradientOptions
from truelift.training.objectives import ObjectiveOptions
from truelift.training.optimizers import OptimizerOptions
from truelift.training.policies.freezing import FreezingOptions
from truelift.training.progress import PlainReporter
from truelift.training.run import run
from truelift.training.schedules import ScheduleOptions
from truelift.training.tasks import TaskOptions

SMALL_VIT = {"patch_size": 8, "num_layers": 3, "num_heads": 2, "hidden_dim": 32, "mlp_dim": 64}
NETWORKS: list[tuple[str, dict[str, Any], int]] = [  # and the layers that are found
    ("timm:resnet18", {}, 10),
    ("timm:convnext_atto", {}, 17),
    ("timm:efficientnet_b0", {}, 21),
    ("timm:vit_tiny_patch16_224", {}, 14),
    ("timm.models:create_model", {"model_name": "resnet18", "num_classes": 4, "drop_rate": 0.1}, 10),
    ("torchvision:resnet18", {}, 10),
    ("torchvision:convnext_tiny", {}, 23),
    ("torchvision:efficientnet_b0", {}, 19),
    ("torchvision.models:resnet18", {"num_classes": 4}, 10),
    ("torchvision.models:VisionTransformer", SMALL_VIT, 5),
]
SIDE, CLASSES = 32, 4
DATA = """
import numpy as np

def colours(images=96):
    rng = np.random.default_rng(0)
    labels = np.arange(images) % 4
    pixels = rng.integers(0, 120, (images, 32, 32, 3))
    for c in range(3):
        pixels[labels == c, :, :, c] += 110
    return {"train": (pixels.astype(np.uint8), labels), "classes": ["red", "green", "blue", "none"]}
"""


@pytest.fixture(params=NETWORKS, ids=lambda case: case[0])
def case(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any], int]:
    name, args, layers = request.param
    library = name.partition(":")[0].partition(".")[0]
    try:
        __import__(library)
    except Exception as error:  # beside a torch that it was not built for it raises anything
        pytest.skip(f"{library} cannot be imported here: {error}")
    return name, args, layers


def build(name: str, args: dict[str, Any]) -> Adapted:
    torch.manual_seed(0)
    network = build_model(ModelOptions(name=name, args=args), classes=CLASSES, in_channels=3, image_size=SIDE)
    assert isinstance(network, Adapted)
    return network


def images(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(4, 3, SIDE, SIDE, generator=generator)
    return x, torch.randint(CLASSES, (4,), generator=generator)


def step(network: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    x, labels = images(number)
    torch.manual_seed(number)  # dropout, stochastic depth
    optimizer.zero_grad()
    F.cross_entropy(network(x), labels).backward()
    optimizer.step()


def test_freezeout_finds_the_layers_and_freezes_them(case: tuple[str, dict[str, Any], int]) -> None:
    name, args, layers = case
    network = build(name, args)
    found = find_layers(network, example=images(0)[0][:2])
    assert len(found) == layers
    held = [id(p) for layer in found for p in layer.parameters]
    assert sorted(held) == sorted(map(id, network.parameters()))

    steps = 6
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)
    freezeout = FreezeOut(network, optimizer, steps=steps, t0=0.3, scale_lr=False, example=images(0)[0][:2])
    saved: dict[str, Any] = {}
    for number in range(steps):
        if number == 4:  # after the first layers have frozen
            saved = copy.deepcopy(
                {"network": network.state_dict(), "freezeout": freezeout.state_dict(), "sgd": optimizer.state_dict()}
            )
            frozen = freezeout.frozen
            assert 0 < frozen < layers
            still = {id(p): p.clone() for layer in found[:frozen] for p in layer.parameters}
        freezeout.step()
        step(network, optimizer, number)
    for layer in found[:frozen]:
        for p in layer.parameters:
            assert p.grad is None
            assert torch.equal(p, still[id(p)])
    assert any(p.grad is not None for p in found[-1].parameters)

    resumed = build(name, args)
    optimizer = torch.optim.SGD(resumed.parameters(), lr=0.001, momentum=0.9)
    freezeout = FreezeOut(resumed, optimizer, steps=steps, t0=0.3, scale_lr=False, example=images(0)[0][:2])
    resumed.load_state_dict(saved["network"])
    freezeout.load_state_dict(saved["freezeout"])
    optimizer.load_state_dict(saved["sgd"])
    for number in range(4, steps):
        freezeout.step()
        step(resumed, optimizer, number)
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[key]), key


def test_the_mixture_loss_falls_on_the_features(case: tuple[str, dict[str, Any], int]) -> None:
    name, args, _ = case
    network = build(name, args).eval()  # without dropout and stochastic depth, so that losses can be compared
    x, labels = images(0)
    features = network.features(x)
    assert features.shape == (len(x), network.feature_size)
    assert isinstance(network.head, nn.Linear)
    assert network.head.in_features == network.feature_size
    head, criterion = GaussianMixtureHead(network.feature_size, CLASSES), GaussianMixtureLoss(likelihood_weight=0.1)
    optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=1e-3)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = criterion(head, network.features(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_mixtures_auxiliary_tasks_probe_and_detection(case: tuple[str, dict[str, Any], int], tmp_path: Path) -> None:
    name, args, _ = case
    (tmp_path / "data.py").write_text(DATA)
    experiment = Experiment(
        data=DataOptions(name=f"{tmp_path}/data.py:colours", validation_fraction=0),
        model=ModelOptions(name=name, args=args),
        objective=ObjectiveOptions(name="gaussian-mixture"),
        tasks=TaskOptions(auxiliary=("red", "none"), auxiliary_batch_size=4),
        gradient=GradientOptions(name="weighted"),
        freezing=FreezingOptions(name="adaptive-gradient", every_steps=2),
        optimizer=OptimizerOptions(name="adamw", lr=1e-3),
        probe=ProbeOptions(name="linear-svm"),
        detection=DetectionOptions(fgsm_epsilon=4.0, images=8),
        epochs=2,
        batch_size=16,
        precision="fp32",
        device="cpu",
    )
    result = run(resolve(experiment), tmp_path / "run", reporter=PlainReporter())
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    cosines = [line[f"cosine_{n}"] for line in lines for n in (1, 2) if f"cosine_{n}" in line]
    assert cosines
    assert all(-1 <= cosine <= 1 for cosine in cosines)
    assert all(math.isfinite(line["train_likelihood_loss"]) for line in lines if line["kind"] == "train")
    assert 0 <= result["metrics"]["fgsm_auroc"] <= 100
    assert result["metrics"]["test_accuracy"] >= 0


def cached(name: str, args: dict[str, Any], folder: Path, cache: Literal["none", "device"]) -> dict[str, Tensor]:
    """The weights after a training with freezing, its frozen layers' output kept or not."""
    folder.mkdir()
    (folder / "data.py").write_text(DATA)
    experiment = Experiment(
        data=DataOptions(name=f"{folder}/data.py:colours", validation_fraction=0),
        model=ModelOptions(name=name, args=args),
        augmentation=AugmentationOptions(crop_padding=0, flip=False),
        freezing=FreezingOptions(name="freezeout", t0=0.3, cache=cache),
        schedule=ScheduleOptions(name="constant"),
        optimizer=OptimizerOptions(lr=1e-3),
        epochs=4,
        batch_size=16,
        precision="fp32",
        device="cpu",
    )
    result = run(resolve(experiment), folder / "run", reporter=PlainReporter())
    assert result["frozen_layers"] > 0
    checkpoint = torch.load(folder / "run/checkpoint.pt", weights_only=True)
    kept = [state["layers"] for key, state in checkpoint.items() if key.endswith(" cache")]
    assert kept == [] if cache == "none" else kept[0][0] > 0
    return dict(checkpoint["network"])


CONVOLUTIONAL = [NETWORKS[0], NETWORKS[1], NETWORKS[5]]
TRANSFORMERS = [NETWORKS[3], NETWORKS[9]]


@pytest.mark.parametrize("case", CONVOLUTIONAL, ids=lambda case: case[0], indirect=True)
def test_kept_activations_change_no_weight(case: tuple[str, dict[str, Any], int], tmp_path: Path) -> None:
    """Up to rounding."""
    name, args, _ = case
    plain, kept = cached(name, args, tmp_path / "plain", "none"), cached(name, args, tmp_path / "kept", "device")
    for key, tensor in plain.items():
        torch.testing.assert_close(kept[key], tensor, rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize("case", TRANSFORMERS, ids=lambda case: case[0], indirect=True)
def test_behind_a_patch_embedding_nothing_is_kept(case: tuple[str, dict[str, Any], int], tmp_path: Path) -> None:
    """A class token and the position embedding come between the first layer and the second."""
    name, args, _ = case
    with pytest.raises(InputError, match="layers must follow each other directly"):
        cached(name, args, tmp_path / "kept", "device")
