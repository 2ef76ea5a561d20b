"""float16 with scaled losses: on the processor the same arithmetic, only slow."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from truelift.training import Experiment, resolve, run
from truelift.training.objectives import StepLosses
from truelift.training.scaling import LossScale
from truelift.training.settings import parse_experiment


def silent(line: dict[str, Any], steps: int) -> None:
    pass


def small(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 1, "data.train_images": 128, "batch_size": 32}
    return resolve(parse_experiment({**base, "precision": "fp16", "device": "cpu", **settings}, "test"))


def one_step(scale: LossScale, layer: nn.Linear, optimizer: torch.optim.Optimizer, factor: float) -> torch.Tensor:
    loss = factor * layer(torch.ones(1, 2)).sum()
    scaled = scale.losses(StepLosses({"loss": loss}, torch.zeros(()))).losses["loss"]
    assert float(scaled.detach()) == float(loss.detach())
    scaled.backward()
    scale.unscale(optimizer, {})
    return scale.step(optimizer)


def test_a_step_is_the_plain_one_and_an_overflow_leaves_the_weights() -> None:
    layer = nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5, fused=True)
    scale = LossScale("cpu")
    assert not one_step(scale, layer, optimizer, 1.0)
    torch.testing.assert_close(layer.weight.detach(), before - 0.5)  # the gradient of the sum is 1
    kept = layer.weight.detach().clone()
    optimizer.zero_grad()
    began = scale.state_dict()["scale"]
    assert one_step(scale, layer, optimizer, 1e38)
    assert torch.equal(layer.weight, kept)
    assert scale.state_dict()["scale"] == began / 2
    other = LossScale("cpu")
    other.load_state_dict(scale.state_dict())
    assert other.state_dict() == scale.state_dict()


def test_a_first_step_that_overflows_leaves_no_momentum(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps after it are those of a plain training, whatever was in the memory that the momentum takes."""
    empty_like = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda *args, **kwargs: empty_like(*args, **kwargs).fill_(math.nan))
    layer = nn.Linear(2, 1)
    plain = copy.deepcopy(layer)
    options: dict[str, Any] = {"lr": 0.5, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
    optimizer = torch.optim.SGD(layer.parameters(), fused=True, **options)
    reference = torch.optim.SGD(plain.parameters(), foreach=False, fused=False, **options)
    scale = LossScale("cpu")
    assert one_step(scale, layer, optimizer, 1e38)
    assert torch.equal(layer.weight, plain.weight)
    for _ in range(3):
        optimizer.zero_grad()
        assert not one_step(scale, layer, optimizer, 1.0)
        reference.zero_grad()
        plain(torch.ones(1, 2)).sum().backward()
        reference.step()
        torch.testing.assert_close(layer.weight, plain.weight)


@pytest.mark.parametrize("rule", ["sum", "sharpness-aware"])
def test_a_training(tmp_path: Path, rule: str) -> None:
    experiment = small(**{"gradient.name": rule, "optimizer.clip_norm": 1.0})
    result = run(experiment, tmp_path, reporter=silent)
    assert 0 <= result["skipped_steps"] < result["steps"]
    assert "loss scale" in torch.load(tmp_path / "checkpoint.pt", weights_only=True)


def test_the_l_gm_loss_bears_a_climb_from_a_gradient_that_overflowed(tmp_path: Path) -> None:
    both = {"objective.name": "gaussian-mixture", "gradient.name": "sharpness-aware"}
    experiment = small(**{"data.name": "digits", "data.train_images": 64, "model.width": 2, "batch_size": 16, **both})
    result = run(experiment, tmp_path, reporter=silent)
    assert 0 < result["skipped_steps"] < result["steps"]
