"""Trainings on the device that `TRUELIFT_TEST_DEVICE` names; by default the processor."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.training.test_no_waiting import CASES

from truelift.seeds import derive
from truelift.training import Experiment, loop, resolve, run
from truelift.training.build import assemble, load_data
from truelift.training.settings import parse_experiment

CHANGES = {"augmentation.names": ["trivial-augment", "random-erasing", "cutmix", "mixup"]}

TECHNIQUES: dict[str, dict[str, Any]] = {
    "plain": {},
    "usual": {**CHANGES, "policy.names": ["averaged-weights"], "gradient.name": "sharpness-aware"},
    "freezing": {"freezing.name": "freezeout", "schedule.name": "constant"},
    "mixture": {"objective.name": "gaussian-mixture", "gradient.name": "weighted"},
}


pytestmark = pytest.mark.usefixtures("one_order")


class StopError(Exception):
    """Stands for a crash."""


def silent(line: dict[str, Any], steps: int) -> None:
    pass


def small(device: str, **settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 2, "data.train_images": 128, "batch_size": 32}
    return resolve(parse_experiment({**base, "precision": "fp32", **settings, "device": device}, "test"))


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_training_goes_on_where_it_was_stopped(device: str, tmp_path: Path, name: str) -> None:
    """To the last bit on a processor; to rounding elsewhere, where sums need not be made in one order."""
    experiment = small(device, **TECHNIQUES[name])
    run(experiment, tmp_path / "whole", reporter=silent)

    def crash(line: dict[str, Any], steps: int) -> None:
        if line["kind"] == "train" and line["step"] == 6:
            raise StopError

    with pytest.raises(StopError):
        run(experiment, tmp_path / "cut", reporter=crash, checkpoint_seconds=0)
    run(experiment, tmp_path / "cut", reporter=silent)
    whole, cut = (
        torch.load(tmp_path / part / "checkpoint.pt", weights_only=True, map_location="cpu")["network"]
        for part in ("whole", "cut")
    )
    tolerance = 0.0 if device == "cpu" else 1e-3
    for key, tensor in whole.items():
        torch.testing.assert_close(cut[key], tensor, rtol=tolerance, atol=tolerance)


def test_batches_are_those_of_the_processor(device: str) -> None:
    there, here = (small(where, **CHANGES) for where in (device, "cpu"))
    splits = load_data(here)
    batches = [next(iter(assemble(experiment, splits).batches.epoch(0))) for experiment in (there, here)]
    assert batches[0].images.device.type == torch.device(device).type
    torch.testing.assert_close(batches[0].labels.cpu(), batches[1].labels)
    torch.testing.assert_close(batches[0].images.cpu(), batches[1].images, rtol=0, atol=0.05)


@pytest.mark.parametrize("name", CASES)
def test_steps_are_those_of_the_processor(device: str, name: str) -> None:
    """To rounding, whatever takes part in a step: three steps from the same weights end at the same weights."""
    if device == "cpu":
        pytest.skip("it would be compared with itself")
    weights = []
    for where in ("cpu", device):
        experiment = small(where, **{"data.train_images": 96, "batch_size": 16, "optimizer.lr": 0.001, **CASES[name]})
        training = assemble(experiment, load_data(experiment))
        training.network.train()
        for number, batch in zip(range(3), training.batches.epoch(0), strict=False):
            loop.make_step(training, batch, derive(0, number))
        weights.append(training.network.state_dict())
    torch.testing.assert_close(
        {key: value.cpu() for key, value in weights[1].items()}, dict(weights[0]), rtol=2e-3, atol=2e-3
    )
