"""The hand-written backward pass, and that neither blocks nor recomputing change a number."""

from typing import Any

import pytest
import torch
from tests.unit.techniques.gaussian_mixture.mixture_cases import FAMILIES, generator, make_head, measured, near_own
from torch import Tensor

from truelift.techniques.gaussian_mixture import GaussianMixtureLoss, separation


def arguments(kind: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    classes, features = 5, 3
    widths = {"none": 0, "class": 1, "feature": features}
    drawn = [torch.randn(4, features, generator=generator(1)), torch.randn(classes, features, generator=generator(2))]
    if kind != "none":
        drawn.append(torch.rand(classes, widths[kind], generator=generator(3)) + 0.5)
        drawn.append(torch.randn(classes, generator=generator(4)))
    return tuple(t.to(dtype).requires_grad_() for t in drawn)


@pytest.mark.parametrize("labels", [[0, 4, 2, 2], [-1, 4, -1, 0]])
@pytest.mark.parametrize("kind", ["none", "class", "feature"])
@pytest.mark.parametrize("kept", [True, False])
def test_gradcheck(kind: str, labels: list[int], kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kept:
        monkeypatch.setattr(separation, "KEPT_BYTES", 0)

    def separate(x: Tensor, means: Tensor, w: Tensor | None = None, b: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return separation.separate(x, means, w, b, torch.tensor(labels))

    assert torch.autograd.gradcheck(separate, arguments(kind))


@pytest.mark.parametrize("kind", ["none", "class", "feature"])
def test_gradcheck_of_the_weighted_sum(kind: str) -> None:
    weights = torch.rand(5, generator=generator(5), dtype=torch.float64)

    def total(x: Tensor, means: Tensor, w: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        return separation.weighted_logit_sum(x, means, w, b, weights)

    assert torch.autograd.gradcheck(total, arguments(kind))
    inputs = arguments(kind)
    padded: Any = (*inputs, None, None)[:4]
    torch.testing.assert_close(total(*inputs), separation.logits(*padded) @ weights)


def test_operators_keep_their_contract() -> None:
    """Schema, fake kernels and autograd registration, as torch.compile needs them."""
    x, means, w, b = arguments("class", torch.float32)
    labels = torch.tensor([0, 4, -1, 2])
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(separation._separate, (x, means, w, b, labels, False, True), test_utils=checks)
    torch.library.opcheck(separation._separate, (x, means, None, None, labels, True, False), test_utils=checks)


def test_an_image_of_no_class_here_is_compared_with_all() -> None:
    x, means = arguments("none")
    others, distance = separation.separate(x, means, None, None, torch.tensor([-1, -1, 0, 1]))
    z = -(x[:, None] - means).square().sum(2) / 2
    torch.testing.assert_close(others[:2], z[:2].logsumexp(1))
    torch.testing.assert_close(others[2], z[2, 1:].logsumexp(0))
    assert distance[:2].tolist() == [0, 0]


@pytest.mark.parametrize("block_bytes", [1, 2**14], ids=["64 classes a block", "one and a rest"])
@pytest.mark.parametrize("kept_bytes", [0, 2**27], ids=["recomputed", "kept"])
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("covariance", "variances"), FAMILIES)
def test_blocks_and_recomputing_change_nothing(
    covariance: str,
    variances: str,
    autocast: bool,
    kept_bytes: int,
    block_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = make_head(covariance, variances, priors="given", classes=300, norm2=4.0)
    assert len(separation._blocks(24, head.means)) == 1
    features, labels = near_own(head.means, 24)
    labels[:3] = torch.tensor([0, 64, 299])  # first and last of a block, and of all
    criterion = GaussianMixtureLoss(0.3, 0.1, reduction="none").eval()

    def run() -> tuple[Tensor, dict[str, Tensor]]:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found: tuple[Tensor, dict[str, Tensor]] = measured(head, features, lambda x: criterion(head, x, labels))
            return found

    plain = run()
    monkeypatch.setattr(separation, "KEPT_BYTES", kept_bytes)
    monkeypatch.setattr(separation, "_BLOCK_BYTES", {"cpu": block_bytes})
    assert len(separation._blocks(24, head.means)) > 1
    # Kept exponentials are rounded to bfloat16 in their block's scale, which differs.
    tolerance = 5e-3 if autocast else 1e-5
    value, grads = run()
    torch.testing.assert_close(value, plain[0], rtol=1e-5, atol=1e-5)
    for name, grad in grads.items():
        assert (grad - plain[1][name]).norm() <= tolerance * plain[1][name].norm(), name
