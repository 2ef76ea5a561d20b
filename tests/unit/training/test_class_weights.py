"""Class weights and balanced sampling, by hand and in trainings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from truelift.errors import InputError
from truelift.training import Experiment, resolve, run
from truelift.training.build import assemble, load_data
from truelift.training.identity import identity
from truelift.training.objectives.class_weights import balanced_weights, weighted_cross_entropy
from truelift.training.settings import parse_experiment

UNEVEN = """
import numpy as np
def make(counts=(60, 20, 10), seed=0):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 8, 8), np.uint8)
    images[np.arange(len(labels)), labels] = 255
    return {"train": (images, labels), "test": (images[::3], labels[::3])}
"""


def experiment(tmp_path: Path, **settings: Any) -> Experiment:
    (tmp_path / "uneven.py").write_text(UNEVEN)
    base = {"data.name": f"{tmp_path / 'uneven.py'}:make", "data.validation_fraction": 0, "model.name": "resnet8"}
    base |= {"model.width": 4, "epochs": 1, "batch_size": 30, "precision": "fp32"}
    return resolve(parse_experiment({**base, **settings}, "test"))


def test_balanced_weights_are_scikit_learns() -> None:
    labels = np.repeat([0, 1, 2], [7, 2, 30])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights([7, 2, 30]), expected, rtol=1e-15)
    assert np.dot(balanced_weights([7, 2, 30]), [7, 2, 30]) == pytest.approx(39)  # an image counts 1 in the mean
    assert balanced_weights([6, 0, 2]) == [8 / 12, 0.0, 2.0]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_by_hand(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, dtype=torch.float64, generator=generator)
    labels, weights = torch.tensor([0, 2, 1, 1, 0, 2]), torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    shares = torch.eye(3, dtype=torch.float64)[labels]
    target = (1 - smoothing) * shares + smoothing / 3
    log_p = logits - torch.logsumexp(logits, 1, keepdim=True)
    expected = -(weights * target * log_p).sum() / 6
    for given in (labels, shares):
        assert float(weighted_cross_entropy(logits, given, weights, smoothing)) == pytest.approx(float(expected))
    # What several processes have of their parts, on average, is what one has.
    parts = [weighted_cross_entropy(logits[part], labels[part], weights) for part in (slice(3), slice(3, 6))]
    whole = weighted_cross_entropy(logits, labels, weights)
    assert float(sum(parts) / 2) == pytest.approx(float(whole))


def test_trainings_with_weights(tmp_path: Path) -> None:
    plain = experiment(tmp_path)
    ones = experiment(tmp_path, **{"objective.class_weights": [1, 1, 1]})
    balanced = experiment(tmp_path, **{"objective.class_weights": "balanced"})
    losses = []
    for settings in (plain, ones, balanced):
        training: Any = assemble(settings, load_data(settings))
        losses.append(training.objective(training.network, training.batches.at(0)).losses["cross_entropy"].detach())
    assert float(losses[0]) == pytest.approx(float(losses[1]))
    assert float(losses[0]) != pytest.approx(float(losses[2]), rel=1e-3)
    assert "weights" not in training.objective.state_dict()
    batch, logits = training.batches.at(0), training.network(training.batches.at(0).images).detach()
    expected = weighted_cross_entropy(logits, batch.labels, torch.tensor([0.5, 1.5, 3.0]))
    assert float(losses[2]) == pytest.approx(float(expected), rel=1e-5)
    assert identity(balanced)["objective.class_weights"] == "balanced"
    assert "objective.class_weights" not in identity(plain)
    assert "data.sampling" not in identity(plain)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective.class_weights": [1.0, 2.0]}, "objective.class_weights must be 3 numbers, one a class, got 2"),
        ({"objective.class_weights": [1.0, 0.0, 2.0]}, r"objective.class_weights must be balanced, or numbers above 0"),
        ({"objective.class_weights": [1.0, float("inf"), 2.0]}, r"must be balanced, or numbers above 0"),
        ({"objective.class_weights": [1.0, float("nan"), 2.0]}, r"must be balanced, or numbers above 0"),
        ({"objective.class_weights": "balance"}, 'unknown value of objective.class_weights "balance". Did you mean "b'),
        (
            {"objective.class_weights": "balanced", "objective.name": "gaussian-mixture"},
            "objective.class_weights must be left out for other objectives than softmax",
        ),
        ({"data.sampling": "balance"}, 'unknown value of data.sampling "balance". Did you mean "balanced"'),
    ],
)
def test_what_is_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    def attempt() -> None:
        made = experiment(tmp_path, **settings)
        assemble(made, load_data(made))

    with pytest.raises(InputError, match=message):
        attempt()


def test_a_training_with_balanced_sampling(tmp_path: Path) -> None:
    shown: dict[str, torch.Tensor] = {}
    for sampling in ("shuffle", "balanced"):
        training = assemble(made := experiment(tmp_path, **{"data.sampling": sampling}), load_data(made))
        shown[sampling] = torch.cat([batch.labels for batch in training.batches.epoch(0)]).bincount()
    assert shown["shuffle"].tolist() == [60, 20, 10]
    assert shown["balanced"].tolist() == [30, 30, 30]
    balanced = experiment(tmp_path, **{"data.sampling": "balanced"})
    assert run(balanced, tmp_path / "run", reporter=lambda line, steps: None)["steps"] == 3
    cached = {"freezing.cache": "host", "freezing.name": "freezeout", "augmentation.crop_padding": 0}
    with pytest.raises(InputError, match=r"freezing.cache must be none where images come several times an epoch"):
        experiment(tmp_path, **cached, **{"data.sampling": "balanced", "augmentation.flip": False})
