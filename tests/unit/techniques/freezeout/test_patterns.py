"""Name patterns on a network whose modules are named as the usual ResNet's are."""

import pytest
import torch
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.techniques.freezeout import FreezeOut, find_layers


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = (x + self.bn1(self.conv1(x))).relu()
        return found


class UsualResNet(nn.Module):
    """conv1, bn1, four stages of two blocks, fc: the names of timm's and torchvision's ResNet-18."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        for stage in range(1, 5):
            self.add_module(f"layer{stage}", nn.Sequential(Block(4), Block(4)))
        self.fc = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def test_the_documented_patterns_hold_every_parameter_in_order() -> None:
    network = UsualResNet()
    layers = find_layers(network, ["conv1", "bn1", "layer?.*", "fc"])
    assert len(layers) == 2 + 4 * 2 + 1  # as docs/freezeout.md says of ResNet-18
    names = {module: name for name, module in network.named_modules()}
    blocks = [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
    assert [names[layer[0]] for layer in layers] == ["conv1", "bn1", *blocks, "fc"]


def test_a_training_freezes_by_them() -> None:
    torch.manual_seed(0)
    network = UsualResNet()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    freezeout = FreezeOut(network, optimizer, steps=10, layers=["conv1", "bn1", "layer?.*", "fc"], t0=0.3)
    before = network.conv1.weight.detach().clone()
    for _ in range(10):
        freezeout.step()
        optimizer.zero_grad()
        network(torch.randn(4, 3, 8, 8)).square().sum().backward()
        optimizer.step()
    assert not torch.equal(network.conv1.weight, before)
    assert not network.conv1.weight.requires_grad
    assert not network.get_parameter("layer4.0.conv1.weight").requires_grad
    assert network.fc.weight.requires_grad


def test_the_patterns_that_leave_a_layer_out_say_which() -> None:
    with pytest.raises(InputError, match=r"bn1\.weight"):
        find_layers(UsualResNet(), ["conv1", "layer*", "fc"])
