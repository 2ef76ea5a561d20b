"""Lookahead by hand."""

import pytest
import torch
from torch import nn

from truelift.errors import InputError
from truelift.options import check
from truelift.techniques.lookahead import Lookahead
from truelift.training.policies import PolicyOptions


def made() -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    return network


def moved(network: nn.Linear, lookahead: Lookahead, to: list[float]) -> list[float]:
    """The weight after each update, where before it the optimizer has brought it there."""
    found = []
    for value in to:
        with torch.no_grad():
            network.weight.fill_(value)
        lookahead.update()
        found.append(network.weight.item())
    return found


def test_by_hand() -> None:
    network = made()
    lookahead = Lookahead(network, every=2, share=0.25, steps=7)
    # From 0: at the second step a quarter of the way to 8 is 2; from 2 to 10 then 4; at the seventh, the last, from 4.
    assert moved(network, lookahead, [4, 8, 6, 10, 4, 4, 12]) == [4, 2, 6, 4, 4, 4, 6]


def test_a_training_that_ends_sooner_than_planned_takes_the_slow_weights_once() -> None:
    network = made()
    lookahead = Lookahead(network, every=2, share=0.25, steps=7)
    assert moved(network, lookahead, [4, 8, 6, 10, 12]) == [4, 2, 6, 4, 12]
    for _ in range(2):  # as of a run that was stopped and resumed there
        lookahead.ended()
        assert network.weight.item() == 6


def test_all_of_the_way_changes_nothing() -> None:
    network = made()
    assert moved(network, Lookahead(network, every=1, share=1.0), [3, 5, 7]) == [3, 5, 7]


def test_a_resumed_one_goes_on() -> None:
    network, other = made(), made()
    whole, first = Lookahead(network, 3), Lookahead(other, 3)
    path = [1.0, 2.0, 6.0, 4.0, 5.0, 9.0]
    expected = moved(network, whole, path)
    got = moved(other, first, path[:4])
    resumed = made()
    second = Lookahead(resumed, 3)
    second.load_state_dict(first.state_dict())
    assert got + moved(resumed, second, path[4:]) == expected
    assert expected[5] != path[5]


def test_frozen_weights_stay() -> None:
    network = made()
    lookahead = Lookahead(network, every=1)
    network.requires_grad_(False)
    assert moved(network, lookahead, [3]) == [3]


def test_bad_values() -> None:
    with pytest.raises(InputError, match="every must be"):
        Lookahead(made(), every=0)
    with pytest.raises(InputError, match=r"share must be in \(0, 1\], got 0"):
        Lookahead(made(), share=0)
    with pytest.raises(InputError, match="slow must have the tensors of the network's"):
        Lookahead(made()).load_state_dict(Lookahead(nn.Linear(2, 1)).state_dict())
    with pytest.raises(InputError, match=r"policy\.lookahead_share must be in \(0, 1\], got 2"):
        check(PolicyOptions(lookahead_share=2.0), "policy.")
