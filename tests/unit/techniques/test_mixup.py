"""Mixup against float64, and its weights against the Beta distribution."""

import pytest
import torch
from scipy import stats

from truelift.errors import InputError
from truelift.techniques.mixup import Mixup, beta, mixup

IMAGES = torch.randn(6, 3, 4, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def test_the_function_against_float64() -> None:
    partners = torch.tensor([3, 2, 1, 0, 5, 4])
    images, labels = mixup(IMAGES, LABELS, 0.3, partners, 3)
    x = IMAGES.double()
    torch.testing.assert_close(images.double(), 0.3 * x + 0.7 * x[partners], rtol=1e-6, atol=1e-6)
    one_hot = torch.eye(3, dtype=torch.float64)[LABELS]
    torch.testing.assert_close(labels.double(), 0.3 * one_hot + 0.7 * one_hot[partners], rtol=1e-6, atol=1e-7)


def test_a_loss_on_mixed_labels_is_the_mixed_loss() -> None:
    """The paper's two forms agree: cross entropy is linear in the target."""
    partners, logits = torch.tensor([1, 2, 3, 4, 5, 0]), torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    _, soft = mixup(IMAGES, LABELS, 0.3, partners, 3)
    loss = torch.nn.functional.cross_entropy
    expected = 0.3 * loss(logits, LABELS) + 0.7 * loss(logits, LABELS[partners])
    assert float(loss(logits, soft)) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_weights_are_of_the_beta_distribution(alpha: float) -> None:
    generator = torch.Generator().manual_seed(1)
    drawn = [beta(alpha, generator) for _ in range(2000)]
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 0.001


def test_it_hangs_on_the_generator_alone_and_leaves_torchs_own_as_it_was() -> None:
    before = torch.random.get_rng_state()
    found = [Mixup(3)(IMAGES, LABELS, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][0], found[2][0])
    assert torch.allclose(found[0][1].sum(1), torch.ones(6))


def test_layout_is_kept() -> None:
    images, _ = Mixup(3)(IMAGES.to(memory_format=torch.channels_last), LABELS, torch.Generator())
    assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("classes", "alpha", "word"), [(1, 0.2, "classes"), (3, 0.0, "alpha"), (3, float("nan"), "a")])
def test_bad_input(classes: int, alpha: float, word: str) -> None:
    with pytest.raises(InputError, match=f"{word}.* must be"):
        Mixup(classes, alpha)
