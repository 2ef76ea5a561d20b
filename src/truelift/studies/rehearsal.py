"""What a process makes at the first time alone, made before runs are forked from it: each finds it ready."""

from typing import Any

import torch

from truelift.training import resolve
from truelift.training.build import assemble, load_data
from truelift.training.settings import flatten, parse_experiment

# The least that there is: of larger tensors torch computes some in threads, which a fork does not take along.
_SETTINGS: dict[str, Any] = {
    "data": {"name": "digits", "train_images": 300},
    "model": {"name": "resnet8", "width": 4},
    "device": "cpu",
    "compile": False,
}


def rehearse() -> None:
    """Read the digits and put a small training together, of which nothing is kept and no step is made.

    It touches no GPU, and draws nothing from torch's generators that a run would have drawn.
    """
    experiment = resolve(parse_experiment(flatten(_SETTINGS), "the rehearsal"))
    with torch.random.fork_rng(devices=[]):
        assemble(experiment, load_data(experiment))
