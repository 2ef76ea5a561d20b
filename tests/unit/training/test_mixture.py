"""The L-GM loss in the trainer."""

from pathlib import Path
from typing import Any

import pytest

from truelift.errors import InputError
from truelift.records import Run
from truelift.training import Experiment, resolve, run
from truelift.training.build import assemble, load_data
from truelift.training.objectives.gaussian_mixture import GaussianMixture, head_of
from truelift.training.policies import Progress
from truelift.training.settings import parse_experiment


def digits(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 8, "batch_size": 32, "optimizer.lr": 0.02}
    stated = {"objective.name": "gaussian-mixture", "precision": "fp32"}
    return resolve(parse_experiment({**base, **stated, **settings}, "test"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"objective.covariance": "diagonal", "objective.variances": "learned"},
        {"objective.covariance": "shared-diagonal", "objective.variances": "tracked", "objective.priors": "estimated"},
        {"objective.feature_size": 10, "objective.label_smoothing": 0.1},
    ],
)
def test_it_learns_digits_and_each_term_is_logged(tmp_path: Path, settings: dict[str, Any]) -> None:
    result = run(digits(**settings), tmp_path, reporter=lambda line, steps: None)
    assert result["metrics"]["test_accuracy"] > 50  # chance is 10; 82 to 90 are reached
    line = next(line for line in Run("", 0, tmp_path).metrics() if line["kind"] == "train")
    assert line["train_loss"] > 0
    assert line["train_likelihood_loss"] > 0


def test_the_margin_moves_with_the_steps_of_the_training() -> None:
    experiment = digits(**{"objective.margin_schedule": "doubling", "objective.schedule_epochs": 2})
    training = assemble(experiment, load_data(experiment))
    assert isinstance(training.objective, GaussianMixture)
    per_epoch, seen = training.steps_per_epoch, []
    for step in (0, 2 * per_epoch - 1, 2 * per_epoch, 4 * per_epoch, 6 * per_epoch):
        for policy in training.policies:
            policy(Progress(step, per_epoch, training.steps))
        seen.append(round(float(training.objective.criterion.margin), 6))
    assert seen == [0.1, 0.1, 0.2, 0.3, 0.3]


def test_means_and_variances_have_rates_of_their_own_and_variances_no_decay() -> None:
    experiment = digits(**{"objective.covariance": "diagonal", "objective.variances": "learned"})
    training = assemble(experiment, load_data(experiment))
    head = head_of(training.network)
    network, means, variances = training.optimizer.param_groups
    assert means["params"] == [head.means]
    assert means["lr"] == pytest.approx(2 * network["lr"])
    assert variances["params"] == [head.log_variances]
    assert variances["lr"] == pytest.approx(0.01 * network["lr"])
    assert variances["weight_decay"] == 0 < means["weight_decay"] == network["weight_decay"]
    held = sum(p.numel() for group in training.optimizer.param_groups for p in group["params"])
    assert held == sum(p.numel() for p in training.network.parameters())


@pytest.mark.parametrize("name", ["softmax", "gaussian-mixture"])
def test_two_features_are_written_for_the_picture(tmp_path: Path, name: str) -> None:
    experiment = digits(epochs=1, **{"objective.name": name, "objective.feature_size": 2})
    run(experiment, tmp_path, reporter=lambda line, steps: None)
    features, predictions = Run("", 0, tmp_path).features(), Run("", 0, tmp_path).predictions()
    assert features is not None
    assert predictions is not None
    assert features.features.shape == (len(predictions.labels), 2)
    assert (features.labels == predictions.labels).all()
    assert len(features.class_names) == 10
    gaussians = 10 if name == "gaussian-mixture" else 0
    assert features.means.shape == features.variances.shape == (gaussians, 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"objective.margin": -0.1}, ["objective.margin", "at least 0", "-0.1"]),
        ({"objective.likelihood_weight": -1.0}, ["objective.likelihood_weight", "-1.0"]),
        ({"objective.margin_schedule": "doubling", "objective.margin": 0.5}, ["objective.margin_cap", "0.5", "0.3"]),
        ({"objective.variances": "learned"}, ["objective.variances", "fixed", "identity", "learned"]),
        ({"objective.feature_size": 0}, ["objective.feature_size", "at least 1"]),
        ({"objective.schedule_epochs": 0}, ["objective.schedule_epochs", "above 0"]),
        ({"detection.fgsm_epsilon": 0}, ["detection.fgsm_epsilon", "above 0"]),
        ({"detection.outliers": "nowhere"}, ["detection.outliers", "nowhere"]),
    ],
)
def test_options_out_of_range_are_refused(settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        digits(**settings)
    for word in words:
        assert word in str(caught.value)
