"""Several processes, as far as one can tell alone; tests/system/test_torchrun.py starts them."""

from typing import Any

import numpy as np
import pytest
import torch

from truelift.errors import InputError
from truelift.records import Predictions
from truelift.techniques.freezeout import AdaptiveFreezing
from truelift.techniques.freezeout.representation import RepresentationSignal
from truelift.training import Experiment, resolve
from truelift.training.build import assemble, load_data
from truelift.training.distributed import ALONE, World, joined
from truelift.training.evaluation import predict
from truelift.training.parts import Training
from truelift.training.policies.freezing import FreezingPolicy
from truelift.training.settings import parse_experiment


def small(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 1, "data.train_images": 96, "batch_size": 32}
    return resolve(parse_experiment({**base, "precision": "fp32", **settings}, "test"))


def test_without_torchrun_a_process_is_alone() -> None:
    with joined("cpu") as world:
        assert world == ALONE == World(rank=0, size=1)
        assert world.first
        assert world.gathered("mine") == ["mine"]


@pytest.mark.parametrize("processes", [1, 2, 3, 50])
def test_parts_of_an_evaluation_are_all_of_it_in_order(processes: int) -> None:
    experiment = small()
    training = assemble(experiment, load_data(experiment))
    network, objective, autocast = training.network, training.objective, training.autocast
    for batches in training.evaluations.values():
        parts = [
            predict(network, objective, batches, autocast, World(rank, processes).share) for rank in range(processes)
        ]
        whole, together = predict(network, objective, batches, autocast, ALONE.share), Predictions.joined(parts)
        assert len(whole.labels) > 0
        for name in ("labels", "predicted", "probability"):
            assert np.array_equal(getattr(whole, name), getattr(together, name)), name
            assert getattr(whole, name).dtype == getattr(together, name).dtype


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 33}, "batch_size must be a multiple of the 2 processes that share it, got 33"),
        ({"batch_size": 500, "data.train_images": 95}, "batch_size must be a multiple of the 2 processes .*, got 85"),
        (
            {
                "freezing.name": "freezeout",
                "freezing.cache": "host",
                "schedule.name": "constant",
                "augmentation.crop_padding": 0,
                "augmentation.flip": False,
            },
            "freezing.cache must be none where 2 processes share a batch, got host",
        ),
        (
            {"tasks.auxiliary": ["3", "4"], "tasks.auxiliary_batch_size": 5},
            "tasks.auxiliary_batch_size must be a multiple of the 2 processes that share it, got 5",
        ),
    ],
)
def test_what_several_processes_cannot_do_is_refused(settings: dict[str, Any], message: str) -> None:
    experiment = small(**settings)
    splits = load_data(experiment)
    assemble(experiment, splits)  # one can
    with pytest.raises(InputError, match=message):
        assemble(experiment, splits, World(0, 2))


@pytest.mark.parametrize("batch_size", [32, 200])
def test_all_processes_measure_the_same_images_since_the_first_writes_for_all(batch_size: int) -> None:
    experiment = small(**{"freezing.name": "adaptive-representation", "batch_size": batch_size})
    splits = load_data(experiment)
    alone, *shared = [assemble(experiment, splits, world) for world in (ALONE, World(0, 2), World(1, 2))]
    theirs = [next(part.batches.epoch(0)).images for part in shared]
    assert not torch.equal(*theirs)
    first, second = (_measured(training) for training in shared)
    assert torch.equal(first, second)
    assert torch.equal(first, _measured(alone)[: len(first)])


def _measured(training: Training) -> torch.Tensor:
    (policy,) = (policy for policy in training.policies if isinstance(policy, FreezingPolicy))
    assert isinstance(policy.freezing, AdaptiveFreezing)
    signal = policy.freezing._signal
    assert isinstance(signal, RepresentationSignal)
    return signal.images
