"""Which network's layers freeze, and a step of the freezing, without a line in the training loop."""

from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from truelift.errors import InputError
from truelift.techniques.freezeout.front import Front


def submodule(module: nn.Module, name: str) -> nn.Module:
    """The submodule of this name, whose layers shall freeze.

    Args:
        module: The trainer's.
        name: With dots; empty for the whole.

    Raises:
        InputError: There is none.
    """
    try:
        return module.get_submodule(name)
    except AttributeError:
        known = ", ".join(name for name, _ in module.named_children())
        raise InputError(f"network must be the name of a submodule, got {name}. Known: {known}.") from None


def step_before_forward(freezing: Front, network: nn.Module) -> RemovableHandle:
    """Have each forward pass in training mode call `freezing.step()`, where the optimizer has made a step since.

    For training scripts whose loop one cannot reach. It is not for loops whose forward pass is within the optimizer's
    step (a closure, as in Lightning), nor for passes in training mode that are no part of a step.

    Args:
        freezing: FreezeOut or AdaptiveFreezing.
        network: The one that the loop calls.

    Returns:
        A handle whose `remove()` ends it.

    Example:
        >>> handle = step_before_forward(freezeout, network)
    """
    return network.register_forward_pre_hook(_Stepping(freezing))


class _Stepping:
    """A hook that can be copied and pickled with the network."""

    def __init__(self, freezing: Front) -> None:
        self.freezing = freezing

    def __call__(self, network: nn.Module, args: Any) -> None:
        if network.training:
            begin(self.freezing)


def begin(freezing: Front) -> None:
    """Begin a step, unless one is begun that the optimizer has not made yet; frozen layers stay in inference mode."""
    if freezing.begun:
        freezing.hold()
    else:
        freezing.step()
