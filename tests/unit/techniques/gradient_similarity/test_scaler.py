"""Gradient scaling, and gradients that are not finite."""

from typing import Any

import pytest
import torch
from tests.unit.techniques.gradient_similarity.similarity_cases import (
    assert_equal,
    expected_step,
    make_batch,
    make_net,
    separate_gradients,
    step,
    written,
)
from torch.amp import GradScaler

from truelift.errors import InputError
from truelift.techniques.gradient_similarity import GradientSimilarity, GradVac


@pytest.mark.parametrize("options", [{}, {"one_pass": True, "measured": "convolutions"}, {"granularity": "tensor"}])
def test_same_gradients(options: Any) -> None:
    net, batch, scaler = make_net(2), make_batch(), GradScaler("cpu", init_scale=2.0**14)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    step(net, batch, GradientSimilarity(**options))
    expected = {name: g.clone() for name, g in written(net).items()}
    step(net, batch, GradientSimilarity(**options), scaler=scaler)
    scaler.unscale_(optimizer)
    assert_equal(written(net), expected)


def test_accumulated_and_scaled() -> None:
    net, batch, scaler = make_net(2), make_batch(), GradScaler("cpu", init_scale=2.0**14)
    expected, _ = expected_step(separate_gradients(net, batch))
    optimizer, similarity = torch.optim.SGD(net.parameters(), 0.1), GradientSimilarity()
    similarity.accumulate(*batch.losses(net), scaler=scaler)
    similarity.backward(*batch.losses(net), scaler=scaler)
    scaler.unscale_(optimizer)
    assert_equal(written(net), {name: 2 * g for name, g in expected.items()})


BROKEN = {"auxiliary inf": (1, float("inf")), "auxiliary nan": (1, float("nan")), "main inf": (0, float("inf"))}


@pytest.mark.parametrize("first", [False, True], ids=["later step", "first step"])
@pytest.mark.parametrize(
    ("rule", "options"),
    [
        *((rule, {}) for rule in ("weighted", "unweighted", "vaccine")),
        *((rule, {"one_pass": True, "measured": "convolutions"}) for rule in ("weighted", "unweighted", "vaccine")),
        *((rule, {"granularity": "layer"}) for rule in ("weighted", "unweighted")),
    ],
)
@pytest.mark.parametrize("case", BROKEN)
def test_step_is_skipped(case: str, options: Any, rule: Any, first: bool) -> None:
    which, factor = BROKEN[case]
    net, batch, scaler = make_net(2), make_batch(), GradScaler("cpu", init_scale=4.0)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    similarity = GradientSimilarity(GradVac() if rule == "vaccine" else rule, network=net, **options)
    if not first:
        step(net, batch, similarity, scaler=scaler)
    before, state = [p.detach().clone() for p in net.parameters()], flat(similarity.state_dict())
    losses = batch.losses(net)
    losses[which] = losses[which] * factor
    net.zero_grad()
    similarity.backward(*losses, scaler=scaler)
    assert any(not g.isfinite().all() for name, g in written(net).items() if name.startswith("trunk"))
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    after = flat(similarity.state_dict())
    for name, value in after.items():
        torch.testing.assert_close(value, state.get(name, torch.zeros_like(value)), rtol=0, atol=0)


def flat(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Numbers of a state, copied."""
    found: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": v for inner, v in flat(value).items()}
        else:
            found[name] = torch.as_tensor(value).clone()
    return found


@pytest.mark.parametrize("options", [{}, {"one_pass": True, "measured": "convolutions"}, {"granularity": "layer"}])
@pytest.mark.parametrize("case", BROKEN)
def test_error_without_a_scaler(case: str, options: Any) -> None:
    which, factor = BROKEN[case]
    net, batch = make_net(3), make_batch((1, 1))
    similarity = GradientSimilarity(network=net, **options)
    losses = batch.losses(net)
    losses[which] = losses[which] * factor
    with pytest.raises(InputError) as caught:
        similarity.backward(*losses)
    name = "auxiliary 1" if which else "main"
    assert str(caught.value) == f"gradients must be finite, got infinite ones or NaN from the {name} loss."
    assert all(p.grad is None for p in net.parameters())
    assert similarity.state_dict() == {"steps": 0}
    expected = similarity.backward(*batch.losses(net))
    assert expected.weights.isfinite().all()
