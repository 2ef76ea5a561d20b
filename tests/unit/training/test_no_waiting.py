"""No part of a training step waits for the device, shown on the meta device: on it whatever reads a number raises.

Every name of every registry is tried, so that a new part is held to it without a line here.
"""

from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
import tests.unit.training.meta as meta
import torch

from truelift.data.augmentations import CHANGES
from truelift.seeds import derive
from truelift.techniques import devices
from truelift.techniques.gaussian_mixture import Covariance, Variances
from truelift.training import Experiment, loop, resolve
from truelift.training.build import assemble, load_data
from truelift.training.divergence import Guard
from truelift.training.gradient_rules import RULES
from truelift.training.objectives import OBJECTIVES
from truelift.training.optimizers import OPTIMIZERS
from truelift.training.parts import Training
from truelift.training.policies import POLICIES
from truelift.training.policies.freezing import FREEZINGS
from truelift.training.schedules import SCHEDULES
from truelift.training.settings import parse_experiment

TWO_TASKS = {"tasks.main": ["1", "2"], "tasks.auxiliary": ["3", "4", "7"], "data.train_images": 400}
MIXTURE = {"objective.name": "gaussian-mixture"}

WEIGHTED: dict[str, dict[str, Any]] = {
    "layer": {"gradient.granularity": "layer"},
    "tensor": {"gradient.granularity": "tensor"},
    "seldom": {"gradient.every_steps": 2},
    "averages": {"gradient.use_average": True},
}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "clipped": {"optimizer.clip_norm": 1.0},
    "label smoothing": {"objective.label_smoothing": 0.1},
    "batch norm": {"batch_norm_momentum": "dynamic"},
    "every change of pixels": {
        "augmentation.crop_padding": 1,
        "augmentation.flip": True,
        "augmentation.cutout": 2,
        "data.train_images": 64,
    },
    "reflected, alternating, growing": {
        "augmentation.crop_padding": 1,
        "augmentation.crop_padding_mode": "reflect",
        "augmentation.alternating_flip": True,
        "data.progressive": [4, 8],
    },
    # What whitens is fitted before the first step, to numbers that the meta device lacks.
    "short": {"model.name": "short-cnn", "model.whitening": False, "data.resize": 12},
    "decoupled decay": {"optimizer.decoupled_weight_decay": True, "optimizer.bias_lr_factor": 2.0},
    "every change": {"augmentation.names": list(CHANGES)},
    "mixture and mixed labels": MIXTURE | {"augmentation.names": ["mixup"], "objective.priors": "estimated"},
    "mixture, label smoothing": MIXTURE | {"objective.label_smoothing": 0.1},
    "mixture, schedules": MIXTURE | {"objective.margin_schedule": "doubling", "objective.likelihood_schedule": "ramp"},
    "mixture by similarity": MIXTURE | {"gradient.name": "weighted"},
    **{f"objective {name}": {"objective.name": name} for name in OBJECTIVES},
    **{f"rule {name}": TWO_TASKS | {"gradient.name": name} for name in RULES},
    **{f"rule weighted, {name}": TWO_TASKS | {"gradient.name": "weighted", **more} for name, more in WEIGHTED.items()},
    **{f"policy {name}": {"policy.names": [name]} for name in POLICIES},
    # Adaptive freezing decides by numbers that it reads, every so many steps; none of the steps between waits.
    **{
        f"freezing {name}": {"freezing.name": name, "schedule.name": "constant"}
        | ({"freezing.every_steps": 100} if name.startswith("adaptive") else {})
        for name in FREEZINGS
    },
    **{f"optimizer {name}": {"optimizer.name": name} for name in OPTIMIZERS},
    **{f"schedule {name}": {"schedule.name": name} for name in SCHEDULES},
    **{f"augmentation {name}": {"augmentation.names": [name]} for name in CHANGES},
    **{
        f"mixture {covariance} {variances} {priors}": MIXTURE
        | {"objective.covariance": covariance, "objective.variances": variances, "objective.priors": priors}
        for covariance in get_args(Covariance)
        for variances in get_args(Variances)
        for priors in ("uniform", "estimated")
        if covariance != "identity" or variances == "fixed"
    },
}


@pytest.fixture
def on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("truelift.training.build.pick_device", lambda wanted: "meta")
    # The meta device casts nothing, and has no type of its own to be cast to.
    off = torch.autocast("cpu", enabled=False)
    monkeypatch.setattr("truelift.training.build.make_autocast", lambda device, precision: off)


def experiment(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 2, "data.train_images": 96, "batch_size": 16}
    return resolve(parse_experiment({**base, "precision": "fp32", "device": "cpu", **settings}, "test"))


def training(**settings: Any) -> Training:
    made = experiment(**settings)
    return assemble(made, load_data(made))


def make_steps(made: Training, without: tuple[torch.dtype, ...] = (), guard: Guard | None = None) -> Iterator[None]:
    """Three steps; the first may set up what stays."""
    made.network.train()
    batches = iter(made.batches.epoch(0))
    for number in range(3):
        with meta.nothing_waits(without):
            loop.make_step(made, next(batches), derive(0, number), guard)
        yield


@pytest.mark.usefixtures("on_meta")
@pytest.mark.parametrize("name", CASES)
def test_no_step_waits(name: str) -> None:
    made = training(**CASES[name])
    assert next(made.network.parameters()).is_meta
    for number, _ in enumerate(make_steps(made), 1):
        assert made.meters.step == number


@pytest.mark.usefixtures("on_meta")
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("rule", "mixture"))])
def test_without_float64(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apple's GPUs have none."""
    monkeypatch.setattr(devices, "WITHOUT_FLOAT64", {"mps", "meta"})
    made = training(**CASES[name])
    assert len(list(make_steps(made, (torch.float64, torch.complex128)))) == 3


@pytest.mark.usefixtures("on_meta")
def test_a_guard_waits() -> None:
    """Leaving steps out needs an answer in each step, as the documentation says."""
    made = training(on_divergence="skip-step")
    with pytest.raises(RuntimeError, match="meta"):
        next(make_steps(made, guard=Guard(made)))


def test_what_waits_is_seen() -> None:
    there = torch.ones(2, device="meta")
    reading: list[Callable[[], Any]] = [
        lambda: there.sum().item(),
        lambda: bool(there.any()),
        there.nonzero,
        there.tolist,
        there.cpu,
    ]
    copying: list[Callable[[], Any]] = [
        lambda: torch.ones(2).to("meta"),
        lambda: there.copy_(torch.ones(2)),
        lambda: torch.tensor([1.0], device="meta"),
    ]
    for waits in reading:
        with pytest.raises((RuntimeError, NotImplementedError)), meta.nothing_waits():
            waits()
    for waits in copying:
        with pytest.raises(meta.WaitsError), meta.nothing_waits():
            waits()
    with meta.nothing_waits():
        assert devices.moved(torch.ones(2), "meta").is_meta


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("name", CASES)
def test_no_step_waits_on_cuda(name: str) -> None:
    made = training(**CASES[name], device="cuda")
    made.network.train()
    batches = iter(made.batches.epoch(0))
    loop.make_step(made, next(batches), 0)  # kernels are loaded
    try:
        torch.cuda.set_sync_debug_mode("error")
        for number in range(1, 3):
            loop.make_step(made, next(batches), derive(0, number))
    finally:
        torch.cuda.set_sync_debug_mode("default")
