"""States in an optimizer's, steps before forward passes, and wrappers of optimizers; torch alone."""

import io
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.integrations.trainer_cases import LAYERS, Network, assert_equal, make_batches, make_network, sgd, train
from torch.utils.checkpoint import checkpoint

from truelift.errors import InputError
from truelift.integrations import save_with, step_before_forward
from truelift.techniques.freezeout import AdaptiveFreezing, FreezeOut
from truelift.techniques.freezeout.front import Front
from truelift.techniques.gradient_similarity import GradientSimilarity

STEPS = 48
KINDS: dict[str, dict[str, Any]] = {"freezeout": {"t0": 0.5}, "adaptive": {"every_steps": 3, "warmup": 0.1}}


def make(kind: str, network: Network, optimizer: torch.optim.Optimizer) -> Front:
    technique: Any = FreezeOut if kind == "freezeout" else AdaptiveFreezing
    freezing: Front = technique(network, optimizer, steps=STEPS, layers=LAYERS, **KINDS[kind])
    return freezing


def steps(network: Network, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    """A loop that knows nothing of freezing; the second batch of each pair is added to the first one's gradients."""
    for images, labels in make_batches(2)[first:last]:
        network.train()
        for part in range(2):
            (F.cross_entropy(network(images + part), labels) / 2).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop", [1, 20, 40])
def test_a_loop_that_knows_nothing_resumes_from_the_optimizers_state_alone(kind: str, stop: int) -> None:
    expected, network = make_network(), make_network()
    optimizer = sgd(expected)
    freezing = make(kind, expected, optimizer)
    for images, labels in make_batches(2):
        freezing.step()
        for part in range(2):
            (F.cross_entropy(expected(images + part), labels) / 2).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert freezing.frozen > 1

    optimizer = sgd(network)
    frozen = make(kind, network, save_with(optimizer, similarity=(similarity := GradientSimilarity())))
    save_with(optimizer, freezing=frozen)
    step_before_forward(frozen, network)
    similarity._steps = 7
    steps(network, optimizer, 0, stop)
    file = io.BytesIO()
    torch.save([network.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    states = torch.load(file, weights_only=True)

    resumed = make_network(seed=5)
    resumed.load_state_dict(states[0])
    optimizer = sgd(resumed)
    again = make(kind, resumed, optimizer)
    save_with(optimizer, freezing=again, similarity=(similarity := GradientSimilarity()))
    step_before_forward(again, resumed)
    optimizer.load_state_dict(states[1])
    assert (again.frozen, again.begun, similarity.state_dict()["steps"]) == (frozen.frozen, False, 7)
    steps(resumed, optimizer, stop, STEPS)
    assert again.frozen == freezing.frozen
    for name, tensor in expected.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


def test_a_state_in_the_middle_of_a_step_is_not_begun_again() -> None:
    network = make_network()
    optimizer = sgd(network)
    freezing = make("freezeout", network, optimizer)
    for _ in range(30):
        freezing.step()
    assert freezing.begun
    optimizer.step()
    assert not freezing.begun
    freezing.step()
    other = make_network()
    again = make("freezeout", other, sgd(other))
    again.load_state_dict(freezing.state_dict())
    assert again.begun
    assert again.frozen == freezing.frozen > 0
    del (old := freezing.state_dict())["begun"]  # one of version 0.1
    again.load_state_dict(old)
    assert not again.begun


def test_evaluation_is_no_step_and_a_handle_ends_it() -> None:
    network = make_network()
    freezing = make("freezeout", network, optimizer := sgd(network))
    handle = step_before_forward(freezing, network)
    images = make_batches(1)[0][0]
    network.eval()
    network(images)
    assert not freezing.begun
    network.train()
    network(images)
    assert freezing.begun
    optimizer.step()
    handle.remove()
    network(images)
    assert not freezing.begun


def test_bad_input() -> None:
    network = make_network()
    optimizer = sgd(network)
    with pytest.raises(InputError, match="parts must be at least one, by name"):
        save_with(optimizer)
    save_with(optimizer, freezing=GradientSimilarity())
    with pytest.raises(InputError, match="one that is not there already, got freezing"):
        save_with(optimizer, freezing=GradientSimilarity())
    with pytest.raises(InputError, match="must hold that of freezing, got one without"):
        optimizer.load_state_dict(sgd(network).state_dict())


class Reentrant(Network):
    """Recomputes each block."""

    def features(self, images: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            images = checkpoint(lambda x, block=block: F.relu(block(x)), images, use_reentrant=self.reentrant)
        return images.mean((2, 3))

    reentrant = True


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True:UserWarning")
@pytest.mark.parametrize("reentrant", [True, False])
def test_reentrant_checkpointing_behind_frozen_layers_is_told(reentrant: bool) -> None:
    torch.manual_seed(0)
    network = Reentrant()
    network.reentrant = reentrant
    optimizer = sgd(network)
    freezing = make("freezeout", network, optimizer)
    if reentrant:
        with pytest.warns(UserWarning, match="the first layer behind the [123] frozen ones has had no gradient in 20"):
            train_entered(network, optimizer, freezing)
    else:
        train_entered(network, optimizer, freezing)  # a warning is an error
    assert freezing.frozen == 3


def train_entered(network: Network, optimizer: torch.optim.Optimizer, freezing: Front) -> None:
    """The images need a gradient while nothing is frozen, as users of reentrant checkpointing have to do it."""
    for images, labels in make_batches(2):
        freezing.step()
        optimizer.zero_grad()
        F.cross_entropy(network(images.requires_grad_(freezing.frozen == 0)), labels).backward()
        optimizer.step()


class Wrapper(torch.optim.Optimizer):
    """As Accelerate has it: no hooks, the optimizer's own groups."""

    def __init__(self, optimizer: torch.optim.Optimizer, scaler: Any = None) -> None:
        self.optimizer = optimizer
        self.scaler = scaler

    def __getattr__(self, name: str) -> Any:
        if name in ("param_groups", "state"):
            return getattr(self.optimizer, name)
        raise AttributeError(name)

    def step(self, closure: Any = None) -> Any:
        return self.optimizer.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrapper_is_looked_through(kind: str) -> None:
    expected, network = make_network(), make_network()
    train(expected, plain := sgd(expected), make(kind, expected, plain), epochs=2, accumulated=1)
    wrapper = Wrapper(sgd(network))
    freezing = make(kind, network, wrapper)
    assert freezing.optimizer is wrapper.optimizer
    train(network, wrapper, freezing, epochs=2, accumulated=1)
    assert_equal(network, expected)
    with pytest.raises(InputError, match=r"before accelerator.prepare where losses are scaled \(fp16\), got Wrapper"):
        make(kind, network, Wrapper(sgd(network), scaler=object()))
