"""What makes a step fast changes rounding alone: 100 steps against the same network written plainly.

Plainly: in torch's usual layout, nothing in place, nothing fused, batch norm and SGD by their formulas.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.data import Batch
from truelift.training import Experiment, resolve
from truelift.training.build import assemble, load_data
from truelift.training.loop import make_step
from truelift.training.parts import Training
from truelift.training.settings import parse_experiment

RATE, MOMENTUM, DECAY = 0.03, 0.9, 1e-4
STEPS = 100


def experiment() -> Experiment:
    settings: dict[str, Any] = {
        "model.name": "resnet8",
        "model.width": 16,
        "data.train_images": 320,
        "data.validation_fraction": 0,
        "epochs": STEPS // 10,
        "batch_size": 32,
        "precision": "fp32",
        "compile": False,
        "optimizer.lr": RATE,
        "optimizer.momentum": MOMENTUM,
        "optimizer.weight_decay": DECAY,
        "schedule.name": "constant",
    }
    return resolve(parse_experiment(settings, "test"))


def norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Batch norm in training."""
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = (x - mean).square().mean((0, 2, 3), keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * scale[:, None, None] + shift[:, None, None]


def logits(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """ResNet-8, shortcut A."""

    def layer(x: Tensor, convolution: str, normed: str, stride: int = 1) -> Tensor:
        x = F.conv2d(x, weights[f"{convolution}.weight"], stride=stride, padding=1)
        return norm(x, weights[f"{normed}.weight"], weights[f"{normed}.bias"])

    x = torch.relu(layer(images, "stem.0", "stem.1"))
    for number, stride in enumerate((1, 2, 2)):
        block = f"blocks.{number}"
        y = torch.relu(layer(x, f"{block}.conv1", f"{block}.bn1", stride))
        y = layer(y, f"{block}.conv2", f"{block}.bn2")
        side = x[:, :, ::stride, ::stride]
        side = torch.cat((side, side.new_zeros(len(x), y.shape[1] - x.shape[1], *side.shape[2:])), 1)
        x = torch.relu(y + side)
    return x.mean((2, 3)) @ weights["head.weight"].T + weights["head.bias"]


def plain_loss(weights: dict[str, Tensor], batch: Batch) -> Tensor:
    images = batch.images.clone(memory_format=torch.contiguous_format)
    return F.cross_entropy(logits(weights, images).float(), batch.labels)  # the objective takes float32 too


def plain_losses(weights: dict[str, Tensor], batches: Iterable[Batch]) -> Iterator[float]:
    """The loss of each step of a loop by hand."""
    speed: dict[str, Tensor] = {}
    for batch in batches:
        loss = plain_loss(weights, batch)
        gradients = torch.autograd.grad(loss, list(weights.values()))
        with torch.no_grad():
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                decayed = gradient + DECAY * weight
                speed[name] = MOMENTUM * speed[name] + decayed if name in speed else decayed
                weight -= RATE * (decayed + MOMENTUM * speed[name])
        yield loss.item()


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: p.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
        for name, p in network.named_parameters()
    }


def batches_of(training: Training) -> Iterator[Batch]:
    for epoch in range(training.epochs):
        yield from training.batches.epoch(epoch)


def made(training: Training, step: int, batch: Batch) -> float:
    """The loss of a step of the trainer's."""
    make_step(training, batch, step)
    (loss,) = training.meters.line_sums["train_loss"].reshape(1).tolist()
    training.meters.line_sums.clear()
    return float(loss)


def test_losses_equal_those_of_a_plain_loop_over_100_steps() -> None:
    """In float64, since in float32 the first activation whose sign is a matter of rounding parts any two loops."""
    chosen = experiment()
    training = assemble(chosen, load_data(chosen))
    network = training.network.double().train()
    batches = [batch._replace(images=batch.images.double()) for batch in batches_of(training)]
    expected = list(plain_losses(copied(network), batches))
    losses = [made(training, step, batch) for step, batch in enumerate(batches)]
    assert len(expected) == STEPS
    assert expected[-1] < expected[0] / 4
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=0)


def test_in_float32_each_of_100_losses_is_that_of_a_plain_network() -> None:
    chosen = experiment()
    training = assemble(chosen, load_data(chosen))
    training.network.train()
    for step, batch in enumerate(batches_of(training)):
        expected = plain_loss(copied(training.network), batch).item()
        assert made(training, step, batch) == pytest.approx(expected, rel=1e-5), step
