"""A network that an earlier training has frozen: in a second one, of another fold or seed, its layers stay so."""

import copy
import warnings
from typing import Any

import pytest
import torch
from tests.unit.techniques.freezeout.freezeout_cases import make_batches, make_network, sgd, train
from torch import nn

from truelift.techniques.freezeout import AdaptiveFreezing, FreezeOut

STEPS = 12
RULES: dict[str, Any] = {
    "freezeout": lambda *given: FreezeOut(*given, steps=STEPS, t0=0.5),
    "adaptive": lambda *given: AdaptiveFreezing(*given, steps=STEPS, every_steps=2, percentile=100),
}


def frozen_network(rule: Any, steps: int = STEPS) -> tuple[nn.Module, dict[str, Any]]:
    """A network of which some layers are frozen, and the rule's state."""
    network = make_network()
    optimizer = sgd(network)
    first = rule(network, optimizer)
    train(network, optimizer, first, make_batches(steps))
    assert first.frozen > 0
    return network, first.state_dict()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_it_is_told_and_what_is_advised_trains_all_layers(rule: Any) -> None:
    network, _ = frozen_network(rule)
    optimizer = sgd(network)
    again = rule(network, optimizer)
    with pytest.warns(UserWarning, match=r"of 4 layers \d train nothing, the first is layer 0: an earlier") as told:
        train(network, optimizer, again, make_batches(3))
    assert len(told) == 1
    network.requires_grad_().train()
    optimizer = sgd(network)
    weights = [p for p in network.parameters() if p.ndim > 1]
    before = [weight.clone() for weight in weights]
    train(network, optimizer, rule(network, optimizer), make_batches(3))
    assert not any(map(torch.equal, weights, before))


def test_what_is_frozen_on_purpose_and_a_training_that_goes_on_are_not_told() -> None:
    network = make_network()
    network[0].requires_grad_(False)
    optimizer = sgd(network)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(network, optimizer, RULES["freezeout"](network, optimizer), make_batches(3))
        network, state = frozen_network(RULES["freezeout"], steps=10)
        optimizer = sgd(network)
        resumed = RULES["freezeout"](network, optimizer)
        resumed.load_state_dict(state)
        train(network, optimizer, resumed, make_batches(2))


def test_a_copy_of_a_frozen_network_is_told_too() -> None:
    network = copy.deepcopy(frozen_network(RULES["freezeout"])[0])
    optimizer = sgd(network)
    with pytest.warns(UserWarning, match="an earlier training has frozen them"):
        train(network, optimizer, RULES["freezeout"](network, optimizer), make_batches(1))
