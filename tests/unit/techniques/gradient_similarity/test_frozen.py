"""Shared layers freeze one after the other, until the losses have none in common any more."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.unit.techniques.gradient_similarity.similarity_cases import (
    Net,
    concatenated,
    expected_step,
    group_name,
    is_shared,
    make_batch,
    make_net,
    separate_gradients,
    step,
)

from truelift.errors import InputError
from truelift.techniques.gradient_similarity import GradientSimilarity, GradVac, pcgrad

RULES: list[Any] = ["weighted", "unweighted", pcgrad, GradVac]
WAYS: list[dict[str, Any]] = [
    {},
    {"one_pass": True},
    {"every_steps": 2},
    {"use_average": True},
    {"granularity": "layer"},
    {"granularity": "tensor"},
    {"measured": "convolutions"},
    {"check_values": "late"},
]


def freeze(net: Net, layers: int) -> None:
    for layer in list(net.trunk)[:layers]:
        layer.requires_grad_(False).eval()


def make_rule(rule: Any) -> Any:
    return rule() if isinstance(rule, type) else rule


@pytest.mark.parametrize("given", [False, True], ids=["found", "given"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_each_loss_follows_itself_where_nothing_is_shared_any_more(way: dict[str, Any], given: bool) -> None:
    net, batch = make_net(2), make_batch()
    shared = net.trunk.parameters() if given else None
    similarity = GradientSimilarity(network=net, shared=shared, **way)
    similarity.backward(*batch.losses(net))
    freeze(net, len(net.trunk))
    average = similarity.state_dict()["averages"].clone()
    resumed = GradientSimilarity(network=net, shared=None if shared is None else net.trunk.parameters(), **way)
    resumed.load_state_dict(similarity.state_dict())
    for one in (similarity, resumed, resumed):
        net.zero_grad()
        combined = one.backward(*batch.losses(net))
        for name, gradient in separate_sums(net, batch).items():
            torch.testing.assert_close(net.get_parameter(name).grad, gradient, rtol=1e-10, atol=1e-14)
        assert all(p.grad is None for p in net.trunk.parameters())
        assert combined.cosines.isnan().all()
        assert torch.equal(combined.averages, average)
        assert combined.logged() == {}
    net.zero_grad()
    similarity.accumulate(*batch.losses(net))
    similarity.backward(*batch.losses(net))
    for name, gradient in separate_sums(net, batch).items():
        torch.testing.assert_close(net.get_parameter(name).grad, 2 * gradient, rtol=1e-10, atol=1e-14)


def separate_sums(net: Net, batch: Any) -> dict[str, torch.Tensor]:
    losses = batch.losses(net)
    heads = [(name, p) for name, p in net.named_parameters() if name.startswith("heads")]
    found = torch.autograd.grad(sum(losses), [p for _, p in heads])
    return {name: gradient for (name, _), gradient in zip(heads, found, strict=True)}


@pytest.mark.parametrize("rule", RULES, ids=["weighted", "unweighted", "pcgrad", "gradvac"])
def test_every_rule_goes_on(rule: Any) -> None:
    net, batch = make_net(2), make_batch()
    similarity = GradientSimilarity(make_rule(rule))
    for layers in range(len(net.trunk) + 1):
        freeze(net, layers)
        net.zero_grad()
        similarity.backward(*batch.losses(net))
        assert all(p.grad is not None for p in net.heads.parameters())


@pytest.mark.parametrize("given", [False, True], ids=["found", "given"])
def test_what_is_frozen_enters_no_cosine(given: bool) -> None:
    net, batch = make_net(2), make_batch()
    similarity = GradientSimilarity(shared=net.trunk.parameters() if given else None)
    freeze(net, 2)
    for p in net.parameters():
        p.requires_grad_(True)  # for the reference, over all; eval mode stays
    gradients = [
        {name: g for name, g in found.items() if not name.startswith(("trunk.0", "trunk.1"))}
        for found in separate_gradients(net, batch)
    ]
    freeze(net, 2)
    expected, cosines = expected_step(gradients)
    combined = similarity.backward(*batch.losses(net))
    assert combined.cosines.tolist() == [pytest.approx(cosines, rel=1e-10)]
    for name, gradient in expected.items():
        torch.testing.assert_close(net.get_parameter(name).grad, gradient, rtol=1e-9, atol=1e-13)


def test_the_last_weights_hold_where_nothing_measured_is_left() -> None:
    net, batch = make_net(2), make_batch((-1,))
    similarity = GradientSimilarity(measured="convolutions")
    weights = similarity.backward(*batch.losses(net)).weights
    freeze(net, 4)  # a linear layer is still shared
    net.zero_grad()
    combined = similarity.backward(*batch.losses(net))
    assert torch.equal(combined.weights, weights)
    assert combined.logged() == {"auxiliary_weight": weights[0, 1]}  # which still acts; no cosine is measured
    linear = net.get_parameter("trunk.7.weight")
    both = [torch.autograd.grad(loss, linear)[0] for loss in (batch.loss(net, 0), batch.loss(net, 1))]
    torch.testing.assert_close(linear.grad, both[0] + float(weights[0, 1]) * both[1], rtol=1e-10, atol=1e-14)


def test_another_loss_cannot_be_weighed_once_what_is_measured_is_frozen() -> None:
    net = make_net(3)
    similarity = GradientSimilarity(measured="convolutions")
    step(net, make_batch(), similarity)
    freeze(net, 4)
    with pytest.raises(InputError, match='take measured "all", or as many losses as were measured before'):
        step(net, make_batch((1, 1)), similarity)
    step(net, make_batch(), similarity)  # the way on


def test_what_never_was_shared_is_refused() -> None:
    net, batch = make_net(2), make_batch()
    freeze(net, len(net.trunk))
    for similarity in (GradientSimilarity(), GradientSimilarity(shared=net.trunk.parameters())):
        with pytest.raises(InputError, match="the losses must share a parameter"):
            similarity.backward(*batch.losses(net))
    net, three = make_net(3), make_batch((1, 1))
    similarity = GradientSimilarity()
    similarity.backward(*batch.losses(net))
    freeze(net, len(net.trunk))
    with pytest.raises(InputError, match="the losses must share a parameter"):
        similarity.backward(*three.losses(net))


BY_PART: list[dict[str, Any]] = [
    {"granularity": granularity, **also}
    for granularity in ("layer", "tensor")
    for also in ({}, {"check_values": "late"}, {"use_average": True})
]
FROZEN_BY_STEP = [0, 0, 1, 0, 2, 4]
"""So many layers of the trunk; those frozen in step 2 are back in step 3."""


@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize("way", BY_PART, ids=str)
def test_the_layers_that_go_on_keep_their_averages(way: dict[str, Any], resumed: bool) -> None:
    net = make_net(2).eval()
    # Tensors need no names, but in a state.
    network = net if resumed or way["granularity"] == "layer" else None
    similarity = GradientSimilarity(network=network, average_decay=0.75, **way)
    averages: dict[str, float] = {}
    for number, frozen in enumerate(FROZEN_BY_STEP):
        batch = make_batch(seed=number)
        net.requires_grad_(True)
        main, other = separate_gradients(net, batch)
        freeze(net, frozen)
        free = [name for name, p in net.named_parameters() if is_shared(name) and p.requires_grad]
        groups = dict.fromkeys(group_name(name, way["granularity"]) for name in free)
        for group in groups:
            inside = [name for name in free if group_name(name, way["granularity"]) == group]
            cosine = float(F.cosine_similarity(concatenated(main, inside), concatenated(other, inside), dim=0))
            averages[group] = 0.75 * averages.get(group, cosine) + 0.25 * cosine
        combined = step(net, batch, similarity)
        expected = sorted(averages[group] for group in groups)
        assert sorted(combined.averages[:, 0].tolist()) == pytest.approx(expected, rel=1e-9)
        if way.get("use_average"):
            assert sorted(combined.weights[:, 1].tolist()) == pytest.approx([max(0, a) for a in expected], rel=1e-9)
        if resumed:
            state = similarity.state_dict()
            similarity = GradientSimilarity(network=network, average_decay=0.75, **way)
            similarity.load_state_dict(state)


@pytest.mark.parametrize("granularity", ["layer", "tensor"])
def test_a_state_of_before_averages_had_names_goes_on(granularity: Any) -> None:
    net = make_net(2)
    similarity, resumed = (GradientSimilarity(network=net, granularity=granularity) for _ in range(2))
    step(net, make_batch(), similarity)
    state = {name: value for name, value in similarity.state_dict().items() if name != "by_group"}
    resumed.load_state_dict(state)
    expected, found = (step(net, make_batch(seed=1), one) for one in (similarity, resumed))
    assert torch.equal(found.averages, expected.averages)
