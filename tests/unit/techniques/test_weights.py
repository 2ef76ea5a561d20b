"""Techniques that hold a network's weights: what they are given, and that autocast sees what they changed."""

import contextlib
import types
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.averaged_weights import AveragedWeights
from truelift.techniques.lookahead import Lookahead
from truelift.techniques.sharpness_aware import SharpnessAware

IMAGES = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def made() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))


def test_the_second_pass_of_sharpness_aware_within_one_autocast_region_sees_the_weights_climbed() -> None:
    """A region keeps what it made of each weight; the gradient would be the plain one."""

    def gradients(outside: bool) -> list[Tensor]:
        network = made()
        with torch.autocast("cpu", torch.bfloat16) if outside else contextlib.nullcontext():

            def again() -> Tensor:
                with torch.autocast("cpu", torch.bfloat16):
                    return F.cross_entropy(network(IMAGES).float(), LABELS)

            SharpnessAware(network, rho=1.0).backward(again)
            # Nor is what it made of the climbed weights there afterwards.
            after = again().detach()
        return [*(p.grad for p in network.parameters()), after]

    for one, other in zip(gradients(True), gradients(False), strict=True):
        assert torch.equal(one, other)


def test_averaged_weights_within_one_autocast_region_are_the_averaged_ones() -> None:
    network = made()
    averaged = AveragedWeights(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
        with averaged.applied(), torch.autocast("cpu", torch.bfloat16):
            expected = network(IMAGES)
    with torch.autocast("cpu", torch.bfloat16):
        own = network(IMAGES)
        with averaged.applied():
            assert torch.equal(network(IMAGES), expected)
        assert torch.equal(network(IMAGES), own)
    assert not torch.equal(own, expected)


def test_lookahead_within_one_autocast_region_moves_what_the_network_gives() -> None:
    network = made()
    lookahead = Lookahead(network, every=1)
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(1)
        before = network(IMAGES)
        lookahead.update()
        after = network(IMAGES)
    assert not torch.equal(before, after)


HOLDERS = [AveragedWeights, Lookahead]


@pytest.mark.parametrize("holder", HOLDERS)
class TestHolders:
    def test_need_a_network(self, holder: Any) -> None:
        with pytest.raises(InputError, match=r"network must be a torch\.nn\.Module, got SGD"):
            holder(torch.optim.SGD(made().parameters()))

    @pytest.mark.parametrize("state", [None, {}, made().state_dict(), {"updates": 0}])
    def test_refuse_what_is_no_state(self, holder: Any, state: Any) -> None:
        with pytest.raises(InputError, match="the state must be what state_dict gave, got"):
            holder(made()).load_state_dict(state)

    def test_take_a_state_that_is_no_dictionary(self, holder: Any) -> None:
        held, other = holder(made()), holder(made())
        held.update()
        other.load_state_dict(types.MappingProxyType(held.state_dict()))
        assert other.updates == 1

    @pytest.mark.parametrize("change", [{"updates": True}, {"updates": -1}, {"slow": None, "averages": None}])
    def test_refuse_a_state_with_other_values(self, holder: Any, change: dict[str, Any]) -> None:
        held = holder(made())
        with pytest.raises(InputError, match=r"(updates|slow|averages) must be"):
            held.load_state_dict(held.state_dict() | change)

    def test_refuse_a_network_that_has_got_another_head_or_one_more_module(self, holder: Any) -> None:
        for place, module in (("2", nn.Linear(5, 4)), ("3", nn.Linear(3, 3))):
            network = made()
            held = holder(network) if holder is AveragedWeights else holder(network, every=1)
            network.add_module(place, module)
            with pytest.raises(InputError, match=f"{place}.weight must be"):
                held.update()

    def test_follow_a_network_to_another_type(self, holder: Any) -> None:
        network = made()
        held = holder(network) if holder is AveragedWeights else holder(network, every=1)
        network.double()
        held.update()
        assert network[0].weight.dtype == torch.float64
