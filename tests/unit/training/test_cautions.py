from typing import Any

import pytest

from truelift.training import resolve
from truelift.training.build import assemble, load_data
from truelift.training.cautions import cautions
from truelift.training.settings import parse_experiment


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"batch_size": 41}, ["batch_size 41 is more than the 40 training images: every step takes all of them."]),
        ({"data.progressive": [6, 8]}, []),
        (
            {"data.progressive": [4, 6, 8]},
            ["data.progressive has 3 sizes and the training 2 epochs: the last sizes are never used."],
        ),
    ],
)
def test_what_does_not_do_what_it_seems_to_is_told(changed: dict[str, Any], told: list[str]) -> None:
    settings = {
        "data.train_images": 40,
        "data.validation_fraction": 0,
        "model.name": "resnet8",
        "model.width": 4,
        "precision": "fp32",
        "batch_size": 40,
        "epochs": 2,
        **changed,
    }
    experiment = resolve(parse_experiment(settings, "test"))
    splits = load_data(experiment)
    assert list(cautions(assemble(experiment, splits), splits)) == told
