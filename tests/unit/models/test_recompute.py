"""Recomputation changes memory and time, and nothing else."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.models import ModelOptions, build_model, initialise
from truelift.models.recompute import Recomputed
from truelift.techniques.freezeout import FreezeOut

NAMES = ["resnet26", "imagenet-resnet50", "preact-resnet18", "wrn-16-1", "densenet22", "vgg11"]


def pair(name: str, **options: object) -> tuple[Any, Any]:
    """The plain network and the same one recomputing, float64, with equal weights."""
    width = {} if name.startswith("wrn") else {"width": 4}
    made = []
    for recompute in (False, True):
        model = ModelOptions(name=name, recompute=recompute, **width, **options)  # type: ignore[arg-type]
        network = build_model(model, classes=5, in_channels=3).double()
        initialise(network, 0)
        made.append(network)
    return made[0], made[1]


def batch(n: int = 4, side: int = 32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, side, side, generator=generator, dtype=torch.float64), torch.arange(n) % 5


def backward(network: nn.Module) -> Tensor:
    images, labels = batch()
    loss = F.cross_entropy(network(images), labels)
    torch.autograd.backward(loss)
    return loss


def assert_same(plain: nn.Module, recomputing: nn.Module) -> None:
    """Parameters, gradients, running statistics and their counters, to the bit."""
    other = dict(recomputing.named_parameters())
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, other[name]), name
        assert (parameter.grad is None) == (other[name].grad is None), name
        if parameter.grad is not None:
            theirs = other[name].grad
            assert theirs is not None
            assert torch.equal(parameter.grad, theirs), name
    buffers = dict(recomputing.named_buffers())
    for name, buffer in plain.named_buffers():
        assert torch.equal(buffer, buffers[name]), name


@pytest.mark.parametrize("name", NAMES)
def test_outputs_gradients_and_statistics_are_the_plain_networks(name: str) -> None:
    plain, recomputing = pair(name)
    assert list(plain.state_dict()) == list(recomputing.state_dict())
    for _ in range(2):
        assert torch.equal(backward(plain), backward(recomputing))
    assert_same(plain, recomputing)
    assert all(norm.momentum == 0.1 for norm in recomputing.modules() if isinstance(norm, nn.BatchNorm2d))
    images, _ = batch()
    assert torch.equal(plain.eval()(images), recomputing.eval()(images))


def test_every_block_is_computed_twice_in_training_only() -> None:
    _, recomputing = pair("resnet56")
    calls = [0] * len(recomputing.blocks)
    for i, block in enumerate(recomputing.blocks):
        block.register_forward_pre_hook(lambda module, _, i=i: calls.__setitem__(i, calls[i] + 1))
    backward(recomputing)
    assert calls == [2] * 27
    with torch.no_grad():
        recomputing(batch()[0])
    assert calls == [3] * 27


def kept_bytes(network: nn.Module) -> int:
    """Bytes of all tensors that the forward pass keeps for the backward one, each storage once."""
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network(batch(2)[0]).sum()
    assert loss.requires_grad
    return sum(seen.values()) - sum(p.numel() * p.element_size() for p in network.parameters())


def test_a_deep_network_keeps_far_less() -> None:
    plain, recomputing = pair("resnet110")
    assert kept_bytes(recomputing) < kept_bytes(plain) / 10


def test_autocast_is_that_of_the_first_pass() -> None:
    plain, recomputing = (network.float() for network in pair("resnet14"))
    images, labels = batch()
    for network in (plain, recomputing):
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(network(images.float()).float(), labels)
        torch.autograd.backward(loss)
    assert_same(plain, recomputing)


def test_frozen_layers_stay_frozen() -> None:
    plain, recomputing = pair("resnet26")
    for network in (plain, recomputing):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        freezeout = FreezeOut(network, optimizer, steps=6, t0=0.2, scaling="linear")
        for _ in range(6):
            freezeout.step()
            optimizer.zero_grad()
            backward(network)
            optimizer.step()
        assert freezeout.frozen > 5
    assert_same(plain, recomputing)


def test_several_losses_over_one_trunk() -> None:
    """A backward pass a loss, as gradient similarity makes them."""
    plain, recomputing = pair("resnet26")
    images, _ = batch()
    gradients = []
    for network in (plain, recomputing):
        features = network.features(images)
        parameters = list(network.blocks.parameters())
        found = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in (features.sum(), features.norm())]
        gradients.append([g for of_loss in found for g in of_loss])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


def test_a_copy_recomputes_with_its_own_blocks() -> None:
    _, network = pair("resnet14")
    twin = copy.deepcopy(network)
    assert isinstance(twin.blocks, Recomputed)
    with torch.no_grad():
        for parameter in twin.blocks.parameters():
            parameter.zero_()
    images, _ = batch()
    assert not torch.equal(network(images), twin(images))
    backward(twin)
    assert all(p.grad is None for p in network.parameters())


def test_small_cnn_refuses() -> None:
    with pytest.raises(InputError, match=r"small-cnn has no option model.recompute, got True"):
        build_model(ModelOptions(name="small-cnn", recompute=True), classes=2, in_channels=1)
