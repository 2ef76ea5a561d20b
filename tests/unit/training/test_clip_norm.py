"""The gradient is clipped as a whole: that of the network's weights and that of the loss's own."""

from pathlib import Path
from typing import Any

import pytest
import torch

from truelift.training import resolve
from truelift.training.build import assemble, load_data
from truelift.training.loop import make_step
from truelift.training.settings import parse_experiment

CENTERS = f"{Path(__file__).parents[3] / 'examples/own/loss.py'}:CenterLoss"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"objective.name": CENTERS, "objective.args.alpha": 10.0},
        {"tasks.auxiliary_rotation": 90.0},
        {"objective.name": "gaussian-mixture", "objective.means_lr_factor": 1.0},
    ],
    ids=["softmax", "centers", "two tasks", "mixture"],
)
def test_a_step_of_sgd_is_as_long_as_the_norm(settings: dict[str, Any]) -> None:
    base = {"model.name": "resnet8", "model.width": 4, "data.train_images": 320, "batch_size": 32, "precision": "fp32"}
    plain = {"optimizer.momentum": 0.0, "optimizer.nesterov": False, "optimizer.weight_decay": 0.0, "optimizer.lr": 1.0}
    rest = {"schedule.name": "constant", "optimizer.clip_norm": 0.01, "compile": False}
    experiment = resolve(parse_experiment({**base, **plain, **rest, **settings}, "test"))
    training = assemble(experiment, load_data(experiment))
    parameters = [p for group in training.optimizer.param_groups for p in group["params"]]
    before = [p.detach().clone() for p in parameters]
    training.network.train()
    make_step(training, next(iter(training.batches.epoch(0))), 0)
    moved = torch.cat([(p.detach() - b).flatten() for p, b in zip(parameters, before, strict=True)])
    assert float(moved.norm()) == pytest.approx(0.01, rel=1e-3)
