"""Graphs that reach different things, and tensors of every kind: the rule by hand, or refused."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tests.commands.started import in_processes
from tests.unit.techniques.gradient_similarity.reach_workers import Net, work
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.gradient_similarity import GradientSimilarity

Found = list[dict[str, dict[str, Any]]]
DIFFERENT = (
    "all processes must reach the same parameters with equal weights, got different ones. "
    "Where only their order differs, give network."
)


def by_hand(
    losses: Sequence[Tensor], weights: Sequence[Tensor], others: Sequence[Tensor] = ()
) -> tuple[float, list[Tensor]]:
    """The cosine over the weights that both losses reach, and g_main + max(0, cos)·g_aux; the plain sum elsewhere."""
    both = [torch.autograd.grad(loss, [*weights, *others], retain_graph=True, allow_unused=True) for loss in losses]
    shared = [i for i in range(len(weights)) if all(g[i] is not None for g in both)]
    flat = [torch.cat([real(g[i]) for i in shared]) for g in both]
    cosine = float(flat[0] @ flat[1] / (flat[0].norm() * flat[1].norm()))
    result = []
    for i, p in enumerate([*weights, *others]):
        main, auxiliary = (torch.zeros_like(p) if g[i] is None else dense(g[i]) for g in both)
        result.append(main + (max(0.0, cosine) if i in shared else 1.0) * auxiliary)
    return cosine, result


def dense(gradient: Tensor) -> Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient


def real(gradient: Tensor) -> Tensor:
    gradient = dense(gradient).resolve_conj()
    return (torch.view_as_real(gradient) if gradient.is_complex() else gradient).flatten().double()


def assert_by_hand(losses: Sequence[Tensor], weights: Sequence[Tensor], others: Sequence[Tensor] = ()) -> None:
    cosine, expected = by_hand(losses, weights, others)
    combined = GradientSimilarity().backward(*losses)
    assert combined.cosines.item() == pytest.approx(cosine, rel=1e-10)
    for p, g in zip([*weights, *others], expected, strict=True):
        assert p.grad is not None
        torch.testing.assert_close(dense(p.grad), g, rtol=1e-10, atol=1e-14)


def make_net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net()


def images(seed: int = 1, count: int = 8) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)).double()


# Parts of a batch ----------------------------------------------------------------------------------------------------

WAYS = [["a", "", "ab"], ["", "b", "a"], ["a", "b", "ba"]]


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("granularity", ["global", "tensor"])
def test_parts_in_any_order(ways: list[str], granularity: Any) -> None:
    """The sums' cosine over all that the main and an auxiliary loss reach in any part."""
    x = images().split(3)
    found = []
    for order in itertools.permutations(range(3)):
        net, similarity = make_net(), GradientSimilarity(granularity=granularity)
        for at in order[:2]:
            similarity.accumulate(*net.losses(x[at], ways[at]))
        combined = similarity.backward(*net.losses(x[order[2]], ways[order[2]]))
        found.append((combined.cosines.sum().item(), {n: p.grad for n, p in net.named_parameters()}))
    net = make_net()
    each = [net.losses(part, way) for part, way in zip(x, ways, strict=True)]
    losses = [sum(parts) for parts in zip(*each, strict=True)]
    named = {name: p for name, p in net.named_parameters() if found[0][1][name] is not None}
    if granularity == "global":
        cosine, expected = by_hand(losses, list(named.values()))
        for seen, grads in found:
            assert seen == pytest.approx(cosine, rel=1e-10)
            for (name, g), wanted in zip(((n, grads[n]) for n in named), expected, strict=True):
                torch.testing.assert_close(g, wanted, rtol=1e-10, atol=1e-14, msg=name)
    for seen, grads in found[1:]:
        assert seen == pytest.approx(found[0][0], rel=1e-10)
        for name in named:
            torch.testing.assert_close(grads[name], found[0][1][name], rtol=1e-10, atol=1e-14)


def test_a_part_may_share_nothing_if_the_batch_does() -> None:
    net, similarity = make_net(), GradientSimilarity()
    whole = net.losses(images(), "a")
    only = [net.first(images()).square().mean(), net.auxiliary(torch.ones(8).double()).square().mean()]
    similarity.accumulate(*only)
    combined = similarity.backward(*whole)
    again = make_net()
    main, auxiliary = again.losses(images(), "a")
    main = main + again.first(images()).square().mean()
    auxiliary = auxiliary + again.auxiliary(torch.ones(8).double()).square().mean()
    cosine, _ = by_hand([main, auxiliary], list(again.parameters()))
    assert combined.cosines.item() == pytest.approx(cosine, rel=1e-10)


def test_a_part_that_raises_leaves_the_others_alone() -> None:
    class OutOfMemory(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            raise torch.OutOfMemoryError

    net, similarity = make_net(), GradientSimilarity()
    similarity.accumulate(*net.losses(images(1), "a"))
    main, auxiliary = net.losses(images(2), "ab")
    with pytest.raises(torch.OutOfMemoryError):
        similarity.accumulate(main, OutOfMemory.apply(auxiliary))  # type: ignore[no-untyped-call]
    combined = similarity.backward(*net.losses(images(3), "a"))
    again, other = make_net(), GradientSimilarity()
    other.accumulate(*again.losses(images(1), "a"))
    assert torch.equal(combined.cosines, other.backward(*again.losses(images(3), "a")).cosines)
    assert net.b.weight.grad is None


def test_parts_follow_the_last_weights_between_measurements() -> None:
    net, similarity = make_net(), GradientSimilarity(every_steps=2)
    first = similarity.backward(*net.losses(images(1), "a"))
    net.zero_grad()
    similarity.accumulate(*net.losses(images(2), "a"))
    second = similarity.backward(*net.losses(images(3), "a"))
    assert second.cosines.isnan().all()
    assert torch.equal(second.weights, first.weights)
    mains, auxiliaries = zip(net.losses(images(2), "a"), net.losses(images(3), "a"), strict=True)
    weighted = sum(mains) + first.weights[0, 1] * sum(auxiliaries)
    (expected,) = torch.autograd.grad(weighted, [net.a.weight])
    torch.testing.assert_close(net.a.weight.grad, expected, rtol=1e-10, atol=1e-14)


# Tensors of every kind -----------------------------------------------------------------------------------------------


def test_tied_weights() -> None:
    net = make_net()
    net.b.weight = net.a.weight
    assert_by_hand(
        net.losses(images(), "ab"), [p for n, p in net.named_parameters() if n not in ("table.weight", "turn")]
    )


@pytest.mark.parametrize("sparse", [True, False])
def test_sparse_gradients_stay_sparse(sparse: bool) -> None:
    net = make_net()
    net.table.sparse = sparse

    def losses() -> list[Tensor]:
        return net.losses(net.table(torch.tensor([1, 2, 1, 4])), "a")

    weights = [net.table.weight, *net.first.parameters(), *net.a.parameters()]
    assert_by_hand(losses(), weights, [*net.main.parameters(), *net.auxiliary.parameters()])
    assert net.table.weight.grad is not None
    assert net.table.weight.grad.is_sparse == sparse
    once = dense(net.table.weight.grad).clone()
    GradientSimilarity().backward(*losses())  # added, as backward() does
    torch.testing.assert_close(dense(net.table.weight.grad), 2 * once)
    net.table.weight.grad = torch.ones_like(net.table.weight)
    GradientSimilarity().backward(*losses())
    torch.testing.assert_close(net.table.weight.grad, 1 + once)


def test_a_table_with_a_dense_gradient_too() -> None:
    net = make_net()
    seen = net.table(torch.tensor([1, 2])) + net.table.weight.square().mean()
    assert_by_hand(net.losses(seen, ""), [net.table.weight, *net.first.parameters()])
    assert net.table.weight.grad is not None
    assert not net.table.weight.grad.is_sparse


@pytest.mark.parametrize("one_pass", [False, True])
def test_complex_parameters(one_pass: bool) -> None:
    """A complex number is two real ones: the same as with them."""
    found = []
    for as_real in (False, True):
        net = make_net()
        turn = nn.Parameter(torch.view_as_real(net.turn.detach().clone()) if as_real else net.turn.detach().clone())

        def losses(net: Net = net, turn: Tensor = turn, as_real: bool = as_real) -> list[Tensor]:
            t = torch.view_as_complex(turn) if as_real else turn
            return net.losses((images() * t.conj()).abs() + (t * t).imag, "a")

        combined = GradientSimilarity(one_pass=one_pass).backward(*losses())
        assert turn.grad is not None
        found.append((combined.cosines.item(), real(turn.grad), net.first.weight.grad))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    torch.testing.assert_close(found[0][1:], found[1][1:], rtol=1e-12, atol=1e-15)


def test_leaves_that_are_no_parameters_take_no_part() -> None:
    """Images that need a gradient are the batch's: no cosine is over them, and they follow the plain sum."""
    net, x = make_net(), images().requires_grad_()
    weights = [*net.first.parameters(), *net.a.parameters()]
    assert_by_hand(net.losses(x, "a"), weights, [x])


def test_plain_tensors_may_be_what_is_trained() -> None:
    p, q = (torch.tensor(v, dtype=torch.float64).requires_grad_() for v in ([1.0, 2.0], [3.0, -1.0]))
    assert_by_hand([(p * q).sum() + p[0], p.square().sum() + q[1] ** 3], [p, q])
    net, p = make_net(), torch.ones(6, dtype=torch.float64).requires_grad_()
    combined = GradientSimilarity(shared=[p]).backward(*net.losses(images() * p, "a"))
    one, other = (torch.autograd.grad(loss, p, retain_graph=True)[0] for loss in net.losses(images() * p, "a"))
    assert combined.cosines.item() == pytest.approx(float(torch.cosine_similarity(one, other, dim=0)), rel=1e-10)


def test_an_operation_with_an_attribute_of_the_same_name() -> None:
    class Kept(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.variable = x
            return 2 * x

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            return 2 * grads[0]

    net = make_net()
    losses = net.losses(Kept.apply(net.first(images())[:, :6]), "a")  # type: ignore[no-untyped-call]
    assert_by_hand(losses, [*net.first.parameters(), *net.a.parameters()])


def test_parameters_of_several_types() -> None:
    w = nn.Parameter(torch.tensor([0.5, -1.0, 2.0]).half())
    v = nn.Parameter(torch.tensor([1.5, 0.25], dtype=torch.float64))
    combined = GradientSimilarity().backward(w.double().square().sum() + v.sum(), w.double().sum() + v.square().sum())
    main, auxiliary = torch.tensor([1.0, -2.0, 4.0, 1.0, 1.0]), torch.tensor([1.0, 1.0, 1.0, 3.0, 0.5])
    cosine = float(torch.cosine_similarity(main, auxiliary, dim=0))
    assert combined.cosines.item() == pytest.approx(cosine, rel=1e-6)
    assert w.grad is not None
    assert w.grad.dtype == torch.float16


class Wrapped(Tensor):
    """A tensor made of others, as DTensor is."""

    def __tensor_flatten__(self) -> None: ...


def run_in_parts(first: int, second: int) -> None:
    net, similarity = make_net(), GradientSimilarity()
    main, auxiliary = net.losses(images(), "a")
    similarity.accumulate(main, *[auxiliary] * first)
    similarity.backward(*(main_again := net.losses(images(), "a"))[:1], *main_again[1:] * second)


CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "numbers of losses": (lambda: run_in_parts(1, 2), "losses must be 2, as in the parts of the batch before, got 3."),
    "complex loss": (
        lambda: GradientSimilarity().backward(make_net().turn.sum(), make_net().turn.abs().sum()),
        "the main loss must be a real number, got a complex one.",
    ),
    "sharded": (
        lambda: GradientSimilarity().backward(
            *[(w := nn.Parameter(torch.ones(2).as_subclass(Wrapped))).sum().as_subclass(Tensor), (w * w).sum()]
        ),
        "parameters must be plain tensors, got one of type Wrapped.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str) -> None:
    run, message = CASES[case]
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value) == message


# Processes -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("reach")
    in_processes(work, (2, str(folder)), 2)
    return [torch.load(folder / f"found{rank}.pt", weights_only=False) for rank in range(2)]


REFUSED = {
    "another layer of one shape": (DIFFERENT, DIFFERENT),
    "one layer fewer": (DIFFERENT, DIFFERENT),
    "nothing shared in one": (
        DIFFERENT,
        "the losses must share a parameter, got none: compute them from one trunk, or call backward() on each.",
    ),
    "own weights": (DIFFERENT, DIFFERENT),
    "parts in another order": (DIFFERENT, DIFFERENT),
    "later": (DIFFERENT, DIFFERENT),
}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("case", REFUSED)
def test_processes_that_differ_all_refuse(found: Found, case: str) -> None:
    for process, message in zip(found, REFUSED[case], strict=True):
        assert process[case].pop("error") == message
        assert all(g is None for g in process[case].values())


@pytest.mark.timeout(200)
def test_order_does_not_matter_where_a_network_names_the_parameters(found: Found) -> None:
    case = "parts in another order, network given"
    net = make_net()
    parts = [pair for x in images().chunk(2) for pair in (net.losses(x[:2], "a"), net.losses(x[2:], "ba"))]
    named = {name: p for name, p in net.named_parameters() if name not in ("table.weight", "turn")}
    _, expected = by_hand([sum(losses) / 2 for losses in zip(*parts, strict=True)], list(named.values()))
    for name, g in zip(named, expected, strict=True):
        assert torch.equal(found[0][case][name], found[1][case][name])
        torch.testing.assert_close(found[0][case][name], g, rtol=1e-10, atol=1e-14, msg=name)


@pytest.mark.timeout(200)
def test_image_gradients_stay_each_processs_own(found: Found) -> None:
    one, two = (process["image gradients"] for process in found)
    assert not torch.equal(one["x"], two["x"])
    assert torch.equal(one["first.weight"], two["first.weight"])


@pytest.mark.timeout(200)
def test_sparse_and_complex_gradients_are_averaged(found: Found) -> None:
    net, x = make_net(), images().chunk(2)
    at = [torch.tensor([1, 2, 1]), torch.tensor([0, 3, 1])]
    each = [net.losses((net.table(i) * net.turn).abs() + part[:3], "") for i, part in zip(at, x, strict=True)]
    losses = [sum(parts) / 2 for parts in zip(*each, strict=True)]
    _, expected = by_hand(losses, [net.table.weight, net.turn, *net.first.parameters()])
    for process in found:
        grads = process["sparse and complex"]
        assert grads["table.weight"].is_sparse
        torch.testing.assert_close(grads["table.weight"].to_dense(), expected[0], rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(grads["turn"], expected[1], rtol=1e-10, atol=1e-14)
