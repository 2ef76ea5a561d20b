"""The usual techniques in the trainer: each learns, and goes on to the last bit where it was stopped."""

from pathlib import Path
from typing import Any

import pytest
import torch

from truelift.errors import InputError
from truelift.training import Experiment, resolve, run
from truelift.training.build import assemble, load_data
from truelift.training.loop import evaluate
from truelift.training.settings import parse_experiment

TECHNIQUES: dict[str, dict[str, Any]] = {
    "mixup": {"augmentation.names": ["mixup"]},
    "cutmix": {"augmentation.names": ["cutmix"]},
    "random-erasing": {"augmentation.names": ["random-erasing"]},
    "trivial-augment": {"augmentation.names": ["trivial-augment"]},
    "averaged-weights": {"policy.names": ["averaged-weights"], "policy.ema_decay": 0.9},
    "sharpness-aware": {"gradient.name": "sharpness-aware"},
    "lookahead": {"policy.names": ["lookahead"], "policy.lookahead_steps": 4},
    "muon": {"optimizer.name": "muon"},
    "short": {
        "model.name": "short-cnn",
        "data.resize": 12,
        "data.progressive": [9, 12],
        "augmentation.crop_padding": 2,
        "augmentation.crop_padding_mode": "reflect",
        "augmentation.alternating_flip": True,
        "optimizer.decoupled_weight_decay": True,
        "optimizer.bias_lr_factor": 4.0,
        "schedule.name": "linear",
        "schedule.warmup_percent": 20,
        "schedule.final_factor": 0.1,
        "evaluation_views": "flip-shift",
    },
    "all": {
        "augmentation.names": ["trivial-augment", "random-erasing", "cutmix", "mixup"],
        "policy.names": ["averaged-weights"],
        "gradient.name": "sharpness-aware",
        "objective.name": "gaussian-mixture",
    },
}


class StopError(Exception):
    """Stands for a crash."""


def silent(line: dict[str, Any], steps: int) -> None:
    pass


def small(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 2, "data.train_images": 320, "batch_size": 32}
    return resolve(parse_experiment({**base, "precision": "fp32", "device": "cpu", **settings}, "test"))


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_resumed_run_is_bit_identical(tmp_path: Path, name: str) -> None:
    experiment = small(**TECHNIQUES[name])
    whole = run(experiment, tmp_path / "whole", reporter=silent)["metrics"]

    def crash(line: dict[str, Any], steps: int) -> None:
        if line["kind"] == "train" and line["step"] == 13:
            raise StopError

    with pytest.raises(StopError):
        run(experiment, tmp_path / "cut", reporter=crash, checkpoint_seconds=0)
    again = run(experiment, tmp_path / "cut", reporter=silent)["metrics"]
    assert again["test_loss"] == whole["test_loss"]
    assert again["train_loss"] == whole["train_loss"]
    states = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["network"] for name in ("whole", "cut")]
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())


@pytest.mark.parametrize("name", [name for name in TECHNIQUES if name != "all"])
def test_it_learns(tmp_path: Path, name: str) -> None:
    """Chance is 10 %; the plain training of this length reaches more than 80 %."""
    settings = {"epochs": 6, "data.train_images": None, "optimizer.lr": 0.05, "model.width": 8}
    settings = {key: value for key, value in settings.items() if value is not None}
    result = run(small(**settings, **TECHNIQUES[name]), tmp_path, reporter=silent)
    assert result["metrics"]["test_accuracy"] > 30


def test_averaged_weights_are_what_is_evaluated_and_not_what_is_trained(tmp_path: Path) -> None:
    plain = run(small(), tmp_path / "plain", reporter=silent)
    experiment = small(**TECHNIQUES["averaged-weights"])
    averaged = run(experiment, tmp_path / "averaged", reporter=silent)
    assert averaged["metrics"]["train_loss"] == plain["metrics"]["train_loss"]
    assert averaged["metrics"]["test_loss"] != plain["metrics"]["test_loss"]
    training = assemble(experiment, load_data(experiment))
    training.load(tmp_path / "averaged" / "checkpoint.pt")
    weights = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    predictions = evaluate(training)["test"]
    assert 100 * (predictions.predicted == predictions.labels).mean() == averaged["metrics"]["test_accuracy"]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in training.network.state_dict().items())


def test_mixed_labels_reach_the_losses(tmp_path: Path) -> None:
    for objective in ("softmax", "gaussian-mixture"):
        experiment = small(**{"objective.name": objective}, **TECHNIQUES["mixup"])
        training = assemble(experiment, load_data(experiment))
        batch = next(iter(training.batches.epoch(0)))
        assert batch.labels.shape == (32, 10)
        losses, error = training.objective(training.network, batch)
        assert all(torch.isfinite(loss) for loss in losses.values())
        assert 0 <= float(error) <= 100
        clean = next(iter(training.evaluations["test"].epoch(0)))
        assert clean.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augmentation.names": ["mixpu"]}, r'unknown augmentation "mixpu". Did you mean "mixup"'),
        ({"augmentation.names": ["mixup", "mixup"]}, "augmentation.names must be different ones"),
        ({"augmentation.names": ["mixup"], "augmentation.views": 2}, "augmentation.names must be left out"),
        ({"augmentation.mixup_alpha": 0}, "augmentation.mixup_alpha must be above 0, got 0"),
        ({"augmentation.args.alpha": 0.1}, "augmentation.args must be left out where augmentation.names is none"),
        ({"policy.names": ["ema"]}, 'unknown policy "ema"'),
        ({"policy.ema_decay": 1.0}, r"policy.ema_decay must be in \[0, 1\)"),
        ({"gradient.name": "sam"}, 'unknown gradient rule "sam"'),
        ({"gradient.sam_rho": -1.0}, "gradient.sam_rho must be at least 0"),
    ],
)
def test_bad_input(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small(**settings)
