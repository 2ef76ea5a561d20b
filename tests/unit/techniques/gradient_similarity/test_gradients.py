"""The gradients written, against copies of the network with one loss each."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from tests.unit.techniques.gradient_similarity.similarity_cases import (
    Batch,
    assert_equal,
    expected_step,
    is_shared,
    make_batch,
    make_net,
    separate_gradients,
    step,
    written,
)
from torch import Tensor, nn
from torch._functorch import config

from truelift.errors import InputError
from truelift.techniques.gradient_similarity import GradientSimilarity, multi_task, single_task

Names = Callable[[str], bool]
MEASURED: dict[str, Names] = {
    "all": is_shared,
    "convolutions": lambda name: name in ("trunk.0.weight", "trunk.3.weight"),
    "given": lambda name: name in ("trunk.7.weight", "trunk.1.bias"),
}
OPTIONS = [
    *(("global", measured, one_pass) for measured in MEASURED for one_pass in (False, True)),
    ("layer", "all", False),
    ("tensor", "all", False),
]


@pytest.mark.parametrize("separate", [False, True], ids=["one batch", "separate batches"])
@pytest.mark.parametrize("signs", [(1,), (-1,), (1, -1)], ids=str)
@pytest.mark.parametrize(("granularity", "measured", "one_pass"), OPTIONS)
def test_equal_separate_networks(
    granularity: Any, measured: Any, one_pass: bool, signs: Sequence[int], separate: bool
) -> None:
    net, batch = make_net(1 + len(signs)), make_batch(signs, separate=separate)
    gradients = separate_gradients(net, batch)
    for rule, threshold in itertools.product(("weighted", "unweighted"), (0.0, 0.95)):
        expected, cosines = expected_step(
            gradients, rule, threshold=threshold, granularity=granularity, measured=MEASURED[measured]
        )
        if granularity == "global":
            assert [c > 0 for c in cosines] == [s > 0 for s in signs]
        given = [p for name, p in net.named_parameters() if MEASURED["given"](name)]
        similarity = GradientSimilarity(
            rule,  # type: ignore[arg-type]
            threshold=threshold,
            granularity=granularity,
            measured=given if measured == "given" else measured,
            one_pass=one_pass,
            network=net,
        )
        combined = step(net, batch, similarity)
        assert_equal(written(net), expected)
        torch.testing.assert_close(
            combined.cosines.flatten().sort()[0],
            torch.tensor(cosines, dtype=torch.float64).sort()[0],
            rtol=1e-11,
            atol=1e-13,
        )
        assert torch.equal(combined.averages, combined.cosines)
        assert torch.equal(combined.weights[:, 0], torch.ones(len(combined.weights)).double())


def test_thresholds_and_groups_differ() -> None:
    """The cases above would be idle if all groups agreed on one side of the threshold."""
    gradients = separate_gradients(make_net(2), make_batch())
    _, cosines = expected_step(gradients, granularity="tensor")
    assert min(cosines) < 0.95 < max(cosines)


@pytest.mark.parametrize("rule", ["weighted", "unweighted"])
def test_layout_of_one_loss_only(rule: Any) -> None:
    """Gradients of one weight in two layouts, and a weight whose gradient is not dense in memory."""
    w = torch.randn(4, 3, 2, 2, generator=generator(0), dtype=torch.float64).requires_grad_()
    a, b = (torch.randn(w.shape, generator=generator(s), dtype=torch.float64) for s in (1, 2))
    main = (w * a).square().sum()
    other = (w.permute(0, 2, 3, 1).contiguous() * a.permute(0, 2, 3, 1)).square().sum() + 0.1 * (w * b).sum()
    slanted = (w.permute(3, 0, 2, 1).reshape(4, 12).contiguous() @ b.reshape(12, 4)).square().sum()
    grads = [torch.autograd.grad(loss, w, retain_graph=True)[0].clone() for loss in (main, other, slanted)]
    GradientSimilarity(rule).backward(main, other, slanted)
    expected = grads[0].clone()
    for g in grads[1:]:
        cosine = torch.nn.functional.cosine_similarity(grads[0].reshape(-1), g.reshape(-1), dim=0)
        expected += (cosine.clamp(min=0) if rule == "weighted" else (cosine >= 0).double()) * g
    torch.testing.assert_close(w.grad, expected, rtol=1e-12, atol=1e-12)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("one_pass", [False, True])
def test_gradients_that_share_memory(one_pass: bool) -> None:
    """Autograd gives one tensor for both terms of a sum, and an expanded one for the terms of `sum()`."""
    a, b = torch.tensor([1.0, 2.0]).requires_grad_(), torch.tensor([3.0, -1.0]).requires_grad_()
    similarity = GradientSimilarity(lambda gram: torch.tensor([2.0, 3.0, 5.0]), one_pass=one_pass, measured=[a])
    similarity.backward((a + b).square().sum(), (a + b).sum(), (a + b).sum())
    expected = 2 * 2 * torch.tensor([4.0, 1.0]) + 3 + 5
    for p in (a, b):
        assert p.grad is not None
        torch.testing.assert_close(p.grad, expected)
        p.grad.mul_(2)
        torch.testing.assert_close(p.grad, 2 * expected)


def test_loss_of_one_element() -> None:
    for one_pass in (False, True):
        a, b = torch.tensor([2.0]).requires_grad_(), torch.tensor([3.0]).requires_grad_()
        GradientSimilarity(one_pass=one_pass, measured=[a]).backward(a * b, (a * b).square())
        assert a.grad is not None
        torch.testing.assert_close(a.grad, torch.tensor([3.0 + 36]))
        torch.testing.assert_close(b.grad, torch.tensor([2.0 + 24]))


def test_auxiliary_as_main_doubles() -> None:
    net, batch = make_net(1), make_batch(())
    (main,) = separate_gradients(net, batch)
    (loss,) = batch.losses(net)
    GradientSimilarity().backward(loss, loss.clone())
    assert_equal(written(net), {name: 2 * g for name, g in main.items()})


def test_auxiliary_against_main_is_left_out() -> None:
    net, batch = make_net(1), make_batch(())
    (main,) = separate_gradients(net, batch)
    (loss,) = batch.losses(net)
    shared = list(net.trunk.parameters())
    for rule in ("weighted", "unweighted"):
        net.zero_grad()
        combined = GradientSimilarity(rule, shared=shared).backward(loss, -loss)
        assert float(combined.cosines) == pytest.approx(-1)
        # The head is not among the shared ones here, and follows both losses: their gradients cancel.
        assert_equal(written(net), {name: g if is_shared(name) else 0 * g for name, g in main.items()})
        (loss,) = batch.losses(net)


@pytest.mark.parametrize("rule", ["weighted", "unweighted"])
@pytest.mark.parametrize("granularity", ["global", "layer", "tensor"])
def test_zero_gradient(rule: Any, granularity: Any) -> None:
    net, batch = make_net(2), make_batch()
    main = separate_gradients(net, batch)[0]
    for factors, followed in (((1, 0), main), ((0, 1), None)):
        net.zero_grad()
        losses = [factor * loss for factor, loss in zip(factors, batch.losses(net), strict=True)]
        similarity = GradientSimilarity(rule, granularity=granularity, network=net)
        combined = similarity.backward(*losses)
        assert torch.equal(combined.cosines, torch.zeros_like(combined.cosines))
        if rule == "weighted":
            assert torch.equal(combined.weights[:, 1], torch.zeros(len(combined.weights)).double())
        if followed:
            assert_equal(written(net), followed)
        assert all(g.isfinite().all() for g in written(net).values())


@pytest.mark.parametrize("one_pass", [False, True])
def test_auxiliary_that_reaches_a_part(one_pass: bool) -> None:
    """The second auxiliary loss ends after the first convolution: its other gradients count as zeros."""

    class Early(Batch):
        def losses(self, net: Any, trunk: Any = None) -> list[Tensor]:
            return [*super().losses(net, trunk), self.loss(net, 2)]

        def loss(self, net: Any, t: int) -> Tensor:
            found: Tensor = net.trunk[0](self.images[0]).square().mean() if t == 2 else super().loss(net, t)
            return found

    net, whole = make_net(2), make_batch()
    early = Early(whole.images, whole.labels, (1,))
    net2 = separate_gradients(net, Early(whole.images, whole.labels, (1, 1)))
    expected, cosines = expected_step(net2)
    measured: Any = list(net.trunk.parameters()) if one_pass else "all"
    combined = step(net, early, GradientSimilarity(one_pass=one_pass, measured=measured))
    assert_equal(written(net), expected)
    assert combined.cosines[0].tolist() == pytest.approx(cosines, rel=1e-11)
    # Alone, it leaves the layers that it does not reach to the main loss.
    net.zero_grad()
    GradientSimilarity().backward(whole.loss(net, 0), early.loss(net, 2))
    found = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    for name, g in net2[0].items():
        if not name.startswith(("trunk.0", "heads.1")):
            torch.testing.assert_close(found[name], g)


def test_rules_as_functions() -> None:
    net, batch = make_net(3), make_batch((1, -1))
    main, *auxiliary = separate_gradients(net, batch)
    for rule, weight in ((multi_task(0.5), 0.5), (multi_task(), 1.0), (single_task, 0.0)):
        step(net, batch, GradientSimilarity(rule))
        expected = {}
        for name, g in main.items():
            own = weight if is_shared(name) else 1.0
            expected[name] = g + own * sum(other[name] for other in auxiliary)
        assert_equal(written(net), expected)


def test_accumulation() -> None:
    net, parts = make_net(3), [make_batch((1, -1), separate=bool(s % 2), seed=s) for s in range(3)]
    each = [separate_gradients(net, part) for part in parts]
    summed = [{name: torch.stack([part[t][name] for part in each]).sum(0) for name in each[0][t]} for t in range(3)]
    expected, cosines = expected_step(summed)
    before = {name: torch.randn(p.shape, generator=generator(5)).double() for name, p in net.named_parameters()}
    for options in ({}, {"one_pass": True}):
        similarity = GradientSimilarity(**options)  # type: ignore[arg-type]
        for name, p in net.named_parameters():
            p.grad = before[name].clone()
        for part in parts[:-1]:
            similarity.accumulate(*part.losses(net))
        assert_equal(written(net), before)
        combined = similarity.backward(*parts[-1].losses(net))
        assert_equal(written(net), {name: before[name] + g for name, g in expected.items()})
        assert combined.cosines[0].tolist() == pytest.approx(cosines, rel=1e-11)
        assert similarity.state_dict()["steps"] == 1


@pytest.mark.parametrize("one_pass", [False, True])
def test_grad_is_added_to(one_pass: bool) -> None:
    net, batch = make_net(2), make_batch()
    expected, _ = expected_step(separate_gradients(net, batch))
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    similarity = GradientSimilarity(one_pass=one_pass)
    similarity.backward(*batch.losses(net))
    assert_equal(written(net), {name: 1 + g for name, g in expected.items()})


def test_shared_given_leaves_others_alone() -> None:
    """What the losses share but the rule is not for follows the plain sum."""
    net, batch = make_net(2), make_batch((-1,))
    main, other = separate_gradients(net, batch)
    step(net, batch, GradientSimilarity(shared=net.trunk[7].parameters()))
    assert_equal(written(net), {name: g if name.startswith("trunk.7") else g + other[name] for name, g in main.items()})


@pytest.fixture
def two_passes_backward() -> Iterator[None]:
    """By default torch refuses a second one through a compiled pass, but for what it compiles just then."""
    torch._dynamo.reset()
    with config.patch(donated_buffer=False):
        yield


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("two_passes_backward")
def test_trunk_and_heads_in_one_compiled_graph_are_refused_until_the_trunk_is_named() -> None:
    """Each loss reaches every parameter there, so that heads would be taken for a part of the trunk."""
    trunk, heads = nn.Linear(6, 4), (nn.Linear(4, 3), nn.Linear(4, 3))
    images, labels = torch.randn(20, 6), torch.arange(20) % 3

    def both(images: Tensor) -> tuple[Tensor, Tensor]:
        features = trunk(images)
        return heads[0](features), heads[1](features)

    def losses(run: Callable[[Tensor], tuple[Tensor, Tensor]]) -> list[Tensor]:
        return [nn.functional.cross_entropy(logits, labels) for logits in run(images)]

    compiled = torch.compile(both, backend="aot_eager")
    for method in (GradientSimilarity().backward, GradientSimilarity().accumulate):
        with pytest.raises(InputError, match=r"^shared must be given where losses come from different results"):
            method(*losses(compiled))
    assert trunk.weight.grad is None
    expected = GradientSimilarity().backward(*losses(both))
    found = GradientSimilarity(shared=trunk.parameters()).backward(*losses(compiled))
    torch.testing.assert_close(found.cosines, expected.cosines)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("two_passes_backward")
def test_compiled_trunk() -> None:
    net, batch = make_net(2), make_batch()
    expected, _ = expected_step(separate_gradients(net, batch))
    trunk = torch.compile(net.trunk, backend="aot_eager")
    for options in ({}, {"one_pass": True, "measured": [net.trunk[7].weight]}):
        net.zero_grad()
        GradientSimilarity(**options).backward(*batch.losses(net, trunk))  # type: ignore[arg-type]
        if not options:
            assert_equal(written(net), expected)
        else:
            eager = {name: g.clone() for name, g in written(net).items()}
            step(net, batch, GradientSimilarity(**options))  # type: ignore[arg-type]
            assert_equal(written(net), eager)


def test_names_that_are_logged() -> None:
    for signs, names in (
        ((1,), {"cosine", "cosine_average", "auxiliary_weight"}),
        ((1, -1), {f"{n}_{t}" for n in ("cosine", "cosine_average", "auxiliary_weight") for t in (1, 2)}),
    ):
        net = make_net(1 + len(signs))
        combined = step(net, make_batch(signs), GradientSimilarity(granularity="tensor"))
        logged = combined.logged()
        assert logged.keys() == names
        torch.testing.assert_close(next(iter(logged.values())), combined.cosines[:, 0].mean())
