"""Kept activations: the same numbers as from the images, within the budget, and wherever they are kept."""

import copy
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.freezeout import ActivationCache

N = 12


class Frozen:
    """So many layers of a network, in inference mode."""

    def __init__(self, network: nn.Sequential, frozen: int) -> None:
        self.layers = [[child] for child in network]
        self.frozen = frozen
        self.freeze()

    def freeze(self) -> None:
        for layer in self.layers[: self.frozen]:
            layer[0].eval().requires_grad_(False)


def block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)
    )


def make_network() -> nn.Sequential:
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    network = nn.Sequential(block(3, 4), block(4, 8), block(8, 4, 2), head).double()
    network(torch.randn(20, 3, 6, 6).double())  # running statistics
    return network


IMAGES = torch.randn(N, 3, 6, 6, generator=torch.Generator().manual_seed(1)).double()


def batches() -> Iterator[Tensor]:
    yield from IMAGES.split(5)


def never() -> Iterator[Tensor]:
    raise AssertionError("the images were wanted again")


def made(frozen: int, **options: Any) -> tuple[nn.Sequential, Any, ActivationCache]:
    network = make_network()
    freezing: Any = Frozen(network, frozen)
    return network, freezing, ActivationCache(network, freezing, samples=N, **{"budget_bytes": 10**9, **options})


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("frozen", [1, 2, 3])
def test_losses_and_gradients_are_those_from_the_images(frozen: int, channels_last: bool) -> None:
    network, _, cache = made(frozen)
    if channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    reference = copy.deepcopy(network)
    assert cache.advance(batches) == frozen
    indices, labels = torch.tensor([7, 0, 11, 3]), torch.tensor([0, 2, 1, 1])
    with cache.skipping():
        loss = F.cross_entropy(network(cache.take(indices)), labels)
    loss.backward()
    wanted = F.cross_entropy(reference(IMAGES[indices]), labels)
    wanted.backward()
    torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=0)
    for mine, other in zip(network.parameters(), reference.parameters(), strict=True):
        assert (mine.grad is None) == (other.grad is None)
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, other.grad, rtol=1e-9, atol=1e-12)
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(buffer, reference.get_buffer(name))


def test_goes_on_from_what_is_kept_and_resumes_to_the_same_bits() -> None:
    network, freezing, cache = made(1)
    cache.advance(batches)
    for freezing.frozen in (2, 3):
        freezing.freeze()
        assert cache.advance(never) == freezing.frozen
    resumed = ActivationCache(network, freezing, samples=N, budget_bytes=10**9)
    assert resumed.advance(batches, upto=2) == 2
    assert resumed.advance(never) == 3
    everything = torch.arange(N)
    assert torch.equal(cache.take(everything), resumed.take(everything))
    assert cache.advance(never) == 3


def test_the_deepest_place_that_fits_the_budget() -> None:
    # A value takes 8 bytes: behind the layers are 4·36, 8·36 and 4·9 of them an image.
    sizes = {1: 8 * 4 * 36, 2: 8 * 8 * 36, 3: 8 * 4 * 9}
    for budget, places in ((sizes[2], [0, 1, 2, 3]), (sizes[1], [0, 1, 1, 3]), (sizes[3], [0, 0, 0, 3])):
        for frozen, place in enumerate(places):
            _, _, cache = made(frozen, budget_bytes=N * budget)
            assert cache.advance(batches) == place
    _, _, cache = made(3, budget_bytes=N * sizes[3] - 1)
    assert cache.advance(batches) == 0


def test_memory_is_the_largest_place_to_come() -> None:
    network, freezing, cache = made(1)
    cache.advance(batches)
    assert cache._rows.numel() == N * 8 * 8 * 36  # layer 2's, which comes
    freezing.frozen = 3
    later = ActivationCache(network, freezing, samples=N, budget_bytes=10**9)
    later.advance(batches)
    assert later._rows.numel() == N * 8 * 4 * 9


def test_a_file_holds_the_same_and_is_gone(tmp_path: Path) -> None:
    _, _, cache = made(2, folder=tmp_path)
    cache.advance(batches)
    _, _, reference = made(2)
    reference.advance(batches)
    indices = torch.tensor([5, 4, 9])
    assert torch.equal(cache.take(indices), reference.take(indices))
    assert list(tmp_path.iterdir()) == []


def test_training_mode_does_not_reach_what_is_kept() -> None:
    network, _, cache = made(2)
    _, _, reference = made(2)
    network.train()  # as after an evaluation; the front's batch norms are in training mode now
    modes = [module.training for module in network.modules()]
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    cache.advance(batches)
    reference.advance(batches)
    assert torch.equal(cache.take(torch.arange(N)), reference.take(torch.arange(N)))
    assert [module.training for module in network.modules()] == modes
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, before[name])


def test_the_network_is_whole_again_after_an_error() -> None:
    network, _, cache = made(2)
    cache.advance(batches)
    names = list(network.state_dict())
    with pytest.raises(RuntimeError, match="channels"), cache.skipping():
        network(IMAGES)  # has 3 channels, the third layer wants 8
    assert list(network.state_dict()) == names


def test_a_compiled_network_sees_which_layers_are_skipped() -> None:
    network, _, cache = made(2)
    compiled = torch.compile(network, backend="eager")
    indices = torch.arange(5)
    with torch.no_grad():
        wanted = network(IMAGES[indices])
        for _ in range(2):  # what was compiled before must not be taken for the other
            torch.testing.assert_close(compiled(IMAGES[indices]), wanted, rtol=1e-12, atol=0)
            cache.advance(batches)
            with cache.skipping():
                torch.testing.assert_close(compiled(cache.take(indices)), wanted, rtol=1e-12, atol=0)


class Between(nn.Module):
    """Halves the maps between the layers `after` - 1 and `after`."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.parts = nn.ModuleList([nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 6 if after > 2 else 3)])

    def forward(self, x: Tensor) -> Tensor:
        for number, part in enumerate(self.parts):
            x = part(F.max_pool2d(x, 2) if number == self.after else x)
        return x.mean((2, 3))


@pytest.mark.parametrize("after", [1, 2])
def test_begins_only_where_the_layers_follow_each_other_directly(after: int) -> None:
    torch.manual_seed(0)
    network = Between(after)
    freezing: Any = Frozen(nn.Sequential(*network.parts), 2)
    cache = ActivationCache(network, freezing, samples=N, budget_bytes=10**9)
    with torch.no_grad():
        wanted = network(IMAGES.float())
        # What comes between is passed by the network itself, behind the layer whose output is kept.
        assert cache.advance(lambda: IMAGES.float().split(6)) == after
        with cache.skipping():
            torch.testing.assert_close(network(cache.take(torch.arange(N))), wanted)


class Twice(nn.Module):
    """Uses its first layer at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 2, 1)])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.parts[2](self.parts[1](self.parts[0](x)) + x).mean((2, 3))
        return found


def test_bad_input() -> None:
    network, freezing, cache = made(2)
    for name, options in (
        ("samples must be at least 1, got 0", {"samples": 0, "budget_bytes": 1}),
        ("budget_bytes must be at least 1, got -1", {"samples": 1, "budget_bytes": -1}),
        ("device must be left out", {"samples": 1, "budget_bytes": 1, "device": "cpu", "folder": Path()}),
    ):
        with pytest.raises(InputError, match=name):
            ActivationCache(network, freezing, **options)
    with pytest.raises(InputError, match="layer must be above 0"):
        cache.take(torch.tensor([0]))
    with pytest.raises(InputError, match="as many as samples, 12, got 5"):
        cache.advance(lambda: [IMAGES[:5]])
    twice = Twice()
    both: Any = Frozen(nn.Sequential(*twice.parts), 2)
    with pytest.raises(InputError, match="layers must follow each other directly"):
        ActivationCache(twice, both, samples=N, budget_bytes=10**9).advance(lambda: IMAGES.float().split(6))


class Told(nn.Module):
    """A layer that does as it is told to."""

    def __init__(self, forward: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
        self.told = forward

    def forward(self, x: Any) -> Any:
        return self.told(self, x)


ROWS = torch.randn(N, 4, generator=torch.Generator().manual_seed(3))


def kept(*layers: nn.Module, frozen: int = 1, rows: Tensor = ROWS) -> tuple[nn.Sequential, ActivationCache]:
    network = nn.Sequential(*layers)
    freezing: Any = Frozen(network, frozen)
    return network, ActivationCache(network, freezing, samples=len(rows), budget_bytes=10**9)


class Stubborn(nn.BatchNorm1d):
    """Stays in training mode."""

    def train(self, mode: bool = True) -> "Stubborn":
        return super().train(True)


DEPENDENT: dict[str, Any] = {
    "no running statistics": lambda: nn.BatchNorm1d(4, track_running_stats=False),
    "training mode": lambda: Stubborn(4),
    "dropout": lambda: Told(lambda self, x: F.dropout(x @ self.weight, training=True)),
    "noise": lambda: Told(lambda self, x: x @ self.weight + torch.randn(len(x), 1)),
    "mean": lambda: Told(lambda self, x: x @ self.weight - x.mean(0)),
    "neighbour": lambda: Told(lambda self, x: x @ self.weight + x.roll(1, 0)),
    "size": lambda: Told(lambda self, x: x @ self.weight * len(x)),
}


@pytest.mark.parametrize("name", DEPENDENT)
def test_layers_that_go_by_their_batch_are_refused_before_anything_is_kept(name: str) -> None:
    torch.manual_seed(0)
    network, cache = kept(nn.Linear(4, 4), DEPENDENT[name](), nn.Linear(4, 3), frozen=1)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    drawn = torch.get_rng_state()
    assert cache.advance(lambda: ROWS.split(5)) == 1  # the first layer does not
    cache.freezing.frozen = 2  # type: ignore[misc]
    with pytest.raises(InputError, match=r"must give the same for an image whatever its batch.* behind the first 2"):
        cache.advance(lambda: ROWS.split(5))
    assert cache.layer == 1
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


class Seldom(nn.Module):
    """Drops an image now and then, by a generator of Python's, torch's or its own."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.own = torch.Generator().manual_seed(0)

    def forward(self, x: Tensor) -> Tensor:
        if self.source == "python":
            drawn = random.random()
        else:
            drawn = float(torch.rand((), generator=self.own if self.source == "own" else None))
        return x if drawn > 1e-6 else 0 * x


@pytest.mark.parametrize("source", ["python", "torch", "own"])
def test_draws_are_seen_though_they_do_not_show(source: str) -> None:
    _, cache = kept(nn.Linear(4, 4), Seldom(source), nn.Linear(4, 3), frozen=2)
    with pytest.raises(InputError, match="frozen layers must not draw at random"):
        cache.advance(lambda: ROWS.split(5))
    assert cache.layer == 0


class Odd(nn.Module):
    """Goes by an image's place in its batch, or by whether the batch's size is odd."""

    def __init__(self, by: str) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        if self.by == "size":
            return x + len(x) % 2
        return x * (1 + torch.arange(len(x), dtype=x.dtype)[:, None] % 2)


@pytest.mark.parametrize("by", ["size", "place"])
def test_odd_and_even_batches_differ(by: str) -> None:
    _, cache = kept(nn.Linear(4, 4), Odd(by), nn.Linear(4, 3), frozen=2)
    with pytest.raises(InputError, match="whatever its batch"):
        cache.advance(lambda: ROWS.split(5))


class Returning(nn.Module):
    """Something else than a dense tensor."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        if self.kind == "sparse":
            return x.to_sparse()
        if self.kind == "ragged":
            return x[x[:, 0] > x[:, 0].min()]
        return x, np.ones(3)


class Taking(nn.Module):
    def forward(self, given: Any) -> Any:
        x = given[0] if isinstance(given, tuple) else given
        return x.to_dense() if x.is_sparse else x


@pytest.mark.parametrize(("kind", "layer"), [("sparse", 1), ("ragged", 1), ("array", 2)])
def test_what_cannot_be_kept_by_images_is_passed_over(kind: str, layer: int) -> None:
    modules = nn.Linear(4, 4), Returning(kind), nn.Sequential(Taking(), nn.Linear(4, 3))
    _, cache = kept(*modules, frozen=2)
    assert cache.advance(lambda: ROWS.split(5)) == layer


class Around(nn.Module):
    """Drops out between its layers, by its own mode."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)])

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(self.parts[0](x), training=self.training)
        result: Tensor = self.parts[2](self.parts[1](x))
        return result


def test_what_happens_around_the_layers_in_training_counts() -> None:
    torch.manual_seed(0)
    network = Around()
    freezing: Any = Frozen(nn.Sequential(*network.parts), 2)
    cache = ActivationCache(network, freezing, samples=N, budget_bytes=10**9)
    with pytest.raises(InputError, match="behind the first 2"):
        cache.advance(lambda: ROWS.split(5))


RETURNED: dict[str, tuple[Any, Any]] = {
    "tuple": (lambda x: (x, 2 * x[:, :2]), lambda pair: pair[0] + pair[1].sum(1, keepdim=True)),
    "dictionary": (lambda x: {"a": x, "b": {"c": x > 0}}, lambda d: d["a"] * d["b"]["c"]),
    "state": (lambda x: (x, [x.T.contiguous(), None, 3]), lambda pair: pair[0] + pair[1][0].T * pair[1][2]),
    "whole numbers": (lambda x: (x, (10 * x).long()), lambda pair: pair[0] + pair[1]),
    "the same for all": (lambda x: (x, torch.arange(4.0)), lambda pair: pair[0] + pair[1]),
}


@pytest.mark.parametrize("name", RETURNED)
def test_whatever_a_layer_returns(name: str, tmp_path: Path) -> None:
    give, take = RETURNED[name]
    layers = [nn.Linear(4, 4), Told(lambda self, x: give(x @ self.weight)), Told(lambda self, x: take(x) @ self.weight)]
    network, cache = kept(*layers, frozen=2)
    wanted = network(ROWS)
    assert cache.advance(lambda: ROWS.split(5)) == 2
    indices = torch.tensor([7, 0, 11, 3])
    with cache.skipping():
        torch.testing.assert_close(network(cache.take(indices)), wanted[indices])


def test_layers_that_have_changed_are_refused() -> None:
    network, cache = kept(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3))
    cache.advance(lambda: ROWS.split(5))
    assert cache.advance(never) == 1
    network.load_state_dict({key: 2 * tensor for key, tensor in network.state_dict().items()})
    with pytest.raises(InputError, match="must stay as they are while their activations are kept"):
        cache.advance(never)


def test_a_weight_that_is_still_trained_is_not_passed() -> None:
    network, cache = kept(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4), frozen=0)
    network[3].weight = network[1].weight  # freezes with the last
    network[0].requires_grad_(False)
    cache.freezing.frozen = 2  # type: ignore[misc]
    assert cache.advance(lambda: ROWS.split(5)) == 1


def test_an_example_finds_the_places_at_once() -> None:
    twice = Twice()
    both: Any = Frozen(nn.Sequential(*twice.parts), 2)
    with pytest.raises(InputError, match="layers must follow each other directly"):
        ActivationCache(twice, both, samples=N, budget_bytes=10**9, example=IMAGES.float())
    network = make_network()
    cache = ActivationCache(network, Frozen(network, 2), samples=N, budget_bytes=10**9, example=IMAGES)  # type: ignore[arg-type]
    assert cache.advance(batches) == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_a_network_can_be_copied_and_pickled_after_take(copied: Any) -> None:
    network, cache = kept(nn.Linear(4, 4), nn.Linear(4, 4))
    cache.advance(lambda: ROWS.split(5))
    taken = cache.take(torch.arange(3))
    other = copied(network)
    assert torch.equal(other(ROWS), network(ROWS))
    with pytest.raises(InputError, match=r"got it outside"):
        network(taken)


def test_what_was_taken_and_not_given_within_skipping_is_told() -> None:
    """Where the widths agree the frozen layers would run on their own output, and nothing would show it."""
    network, cache = kept(nn.Linear(4, 4), nn.Linear(4, 4))
    cache.advance(lambda: ROWS.split(5))
    taken = cache.take(torch.arange(3))
    with pytest.raises(InputError, match=r"must be given to the network within skipping\(\), got it outside"):
        network(taken)
    with cache.skipping():
        right = network(taken)
    assert torch.equal(right, network[1](taken))
    network(torch.randn(3, 4))


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (lambda: [(batch, 0) for batch in batches()], "batches of images alone, each a tensor, got tuple"),
        (lambda: torch.randn(N), r"batches, such as images\.split\(256\), got one of shape \(\)"),
        (lambda: [*batches(), *batches()], r"as many as samples, 12, got 1\d or more"),
        (list, "got none"),
    ],
)
def test_images_are_batches_of_all_of_them(images: Any, says: str) -> None:
    _, _, cache = made(2)
    with pytest.raises(InputError, match=says):
        cache.advance(images)
