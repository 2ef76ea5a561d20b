"""What every rule that freezes from the input on has in common: layers, their parameters, the optimizer. L layers."""

import contextlib
import functools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import MethodType
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.optim import Optimizer

from truelift.errors import InputError, whole
from truelift.techniques import weights
from truelift.techniques.freezeout.layer import Layer

# Where an optimizer's `step` tells who freezes: a list of one.
_MARK = "_truelift_freezing"
# Of a module that a rule has frozen, and nobody else: True. Unlike a parameter's, a module's copy has it too.
_FROZEN = "_truelift_frozen"
# Steps without a gradient after which it is told; a block that is left out at random has one sooner.
_PATIENCE = 20


class Front(ABC):
    """Freezes a network's layers in their order; a rule says how many by when.

    A frozen layer is in inference mode (its batch norm uses and keeps its running statistics), needs no gradient, so
    that the backward pass ends behind it, and has left the optimizer, with its state freed.

    All that it knows is in it: copied or pickled together with network and optimizer it goes on with these.
    """

    stages: list[float]
    """Where each of the L layers leaves the training, as a share of its steps; 1 for what never does."""
    begun: bool = False
    """Whether a step is begun that the optimizer has not made yet. Where gradients are accumulated over several
    batches, call `step` before those batches alone for which it is False."""
    _without_gradient: int = 0
    _told_of_mode: bool = False
    _looked_for_frozen: bool = False
    # Of the frozen layers, the modules that do something else in training mode.
    _by_mode: tuple[nn.Module, ...] = ()

    def __init__(self, layers: list[Layer], optimizer: Optimizer, steps: int) -> None:
        whole("steps", steps, 1)
        optimizer = unwrapped(optimizer)
        self.layers = layers
        self.steps = steps
        self.optimizer = optimizer
        self._made = 0
        self._frozen = 0
        self._parameters: list[list[Tensor]] = [layer.parameters for layer in layers]
        _check_optimizer(optimizer, self._parameters)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attach()

    @property
    def frozen(self) -> int:
        """How many layers, from the first, are frozen."""
        return self._frozen

    def step(self) -> list[int]:
        """Set the coming training step; call it before the step's forward pass.

        Returns:
            The numbers of the layers frozen just now.

        Raises:
            InputError: All steps are made.
        """
        if self._made >= self.steps:
            raise InputError(f"step must be called at most {self.steps} times, the steps given, got one more.")
        if not self._looked_for_frozen:
            self._look_for_frozen()
        self._made += 1
        fresh = self._freeze_first(self._due(self._made - 1))
        self.hold()
        self.begun = True
        return fresh

    def hold(self) -> None:
        """Put frozen layers back into inference mode, as `step` does: `network.train()` was called since."""
        for layer in self.layers[: self._frozen]:
            for module in layer:
                if any(inner.training for inner in module.modules()):
                    module.eval()

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """The steps made, what the rule remembers, and the settings they belong to."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Freeze what was frozen. Load it before the optimizer's state, which has none for frozen parameters.

        Raises:
            InputError: The state is of other settings or of an earlier step; nothing is changed then.
        """

    @abstractmethod
    def _due(self, made: int) -> int:
        """How many layers, from the first, are to be frozen when so many steps are made."""

    @abstractmethod
    def _stepping(self) -> contextlib.AbstractContextManager[None]:
        """Within it the optimizer makes a step."""

    def _attach(self) -> None:
        """Have each of the optimizer's steps made within `_stepping`, whether it raises or not.

        A hook would not be told of a step that raises. The method is replaced in the optimizer itself, as torch's
        schedulers do it; they may come before or after.
        """
        holder = getattr(self.optimizer.step, _MARK, None)
        if holder is not None and holder[0].optimizer is not self.optimizer:
            del self.optimizer.__dict__["step"]  # an optimizer that copies its methods too: this one is the original's
            holder = None
        if holder is not None and holder[0].layers is self.layers:
            holder[0] = self  # a shallow copy
            return
        inner, mine = self.optimizer.step, [self]

        @functools.wraps(inner)
        def step(optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
            with mine[0]._stepping():
                made = inner(*args, **kwargs)
            mine[0]._stepped()
            return made

        setattr(step, _MARK, mine)
        self.optimizer.step = MethodType(step, self.optimizer)  # type: ignore[method-assign]

    def _stepped(self) -> None:
        """The optimizer has made a step. Warn where the first layer in training gets no gradient any more."""
        self.begun = False
        if self._frozen and not self._told_of_mode:
            self._check_mode()
        if not 0 < self._frozen < len(self.layers) or self._without_gradient == _PATIENCE:
            return
        first, *later = ([p for p in layer if p.requires_grad] for layer in self._parameters[self._frozen :])
        if not first or any(p.grad is not None for p in first):
            self._without_gradient = 0
        elif any(p.grad is not None for layer in later for p in layer):
            self._without_gradient += 1
        else:
            return
        if self._without_gradient == _PATIENCE:
            warnings.warn(
                f"the first layer behind the {self._frozen} frozen ones has had no gradient in {_PATIENCE} steps: it "
                "does not train. Activation checkpointing with use_reentrant=True does that; give use_reentrant=False.",
                stacklevel=2,
            )

    def _check_mode(self) -> None:
        """Warn, once, where frozen layers do something else when the step is made, being in training mode."""
        if any(module.training for module in self._by_mode):
            self._told_of_mode = True
            warnings.warn(
                "frozen layers were in training mode in the step just made, in which batch norm goes by the batch and "
                "dropout draws: call network.train() before step(), or hold() after it.",
                stacklevel=4,
            )

    def _look_for_frozen(self) -> None:
        """Warn, once, where an earlier training of the network has left layers frozen that are to train in this one."""
        self._looked_for_frozen = True
        still = [layer for layer in range(self._frozen, len(self.layers)) if self._is_left_frozen(layer)]
        if still:
            warnings.warn(
                f"of {len(self.layers)} layers {len(still)} train nothing, the first is layer {still[0]}: an earlier "
                "training has frozen them. Take a new network, or call network.requires_grad_().train() before the "
                "optimizer is made.",
                stacklevel=3,
            )

    def _is_left_frozen(self, layer: int) -> bool:
        parameters = self._parameters[layer]
        marked = all(getattr(module, _FROZEN, False) for module in self.layers[layer])
        return bool(parameters) and marked and not any(p.requires_grad for p in parameters)

    def _go_on(self, state: dict[str, Any], kind: str, settings: dict[str, Any], mine: dict[str, Any]) -> None:
        """Go on at the step of a state; `kind` is what its settings are called.

        Raises:
            InputError: They are not this rule's, or the step is an earlier one or after the end.
        """
        for name, value in mine.items():
            if settings[name] != value:
                raise InputError(f"the state must be of the same {kind}, got {name} {settings[name]}, not {value}.")
        made = state["made"]
        whole("the state's steps made", made, 0, self.steps)
        if made < self._made:
            raise InputError(f"the state must be of a later step than {self._made}, got {made}: nothing thaws.")
        self._made = int(made)
        self.begun = bool(state.get("begun", False))

    def _freeze_first(self, layers: int) -> list[int]:
        fresh = list(range(self._frozen, layers))
        for layer in fresh:
            self._freeze(layer)
        return fresh

    def _freeze(self, layer: int) -> None:
        gone = {id(p) for p in self._parameters[layer]}
        for parameter in self._parameters[layer]:
            parameter.requires_grad_(False)
            parameter.grad = None
            self.optimizer.state.pop(parameter, None)
        # A group is left empty, not taken out: schedulers count the groups.
        for group in self.optimizer.param_groups:
            kept = [number for number, p in enumerate(group["params"]) if id(p) not in gone]
            if "param_names" in group:
                group["param_names"] = [group["param_names"][number] for number in kept]
            group["params"] = [group["params"][number] for number in kept]
        for module in self.layers[layer]:
            module.eval()
            setattr(module, _FROZEN, True)
            self._by_mode += tuple(filter(_goes_by_mode, module.modules()))
        self._frozen = layer + 1


def _goes_by_mode(module: nn.Module) -> bool:
    """Whether a module of torch's does something else in training mode than in inference mode."""
    if isinstance(module, _BatchNorm | _InstanceNorm):
        return module.running_mean is not None  # without running statistics it goes by the batch in either
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
        return module.dropout > 0
    return isinstance(module, nn.RReLU)


def unwrapped(optimizer: Optimizer) -> Optimizer:
    """The optimizer inside the wrappers of Accelerate and Lightning, which show its groups as theirs.

    Raises:
        InputError: A wrapper scales losses and has the optimizer's step from before, so that a change of it is lost.
    """
    while True:
        inner = getattr(optimizer, "optimizer", None)
        if not isinstance(inner, Optimizer) or inner.param_groups is not optimizer.param_groups:
            return optimizer
        if getattr(optimizer, "scaler", None) is not None:
            raise InputError(
                f"optimizer must be given before accelerator.prepare where losses are scaled (fp16), got "
                f"{type(optimizer).__name__}."
            )
        optimizer = inner


def check_state(state: Any, names: Iterable[str]) -> None:
    """Refuse what is no state of a rule: a dictionary with these names; `begun` may be left out.

    Raises:
        InputError: It is none.
    """
    weights.check_state(state, [name for name in names if name != "begun"])  # which states of version 0.1 lack


def _check_optimizer(optimizer: Optimizer, layers: list[list[Tensor]]) -> None:
    """Refuse an optimizer with which layers cannot freeze.

    Raises:
        InputError: It is none, lacks a parameter that needs a gradient, keeps a list of parameters beside its groups,
            or freezes already.
    """
    if not isinstance(optimizer, Optimizer):
        raise InputError(f"optimizer must be one of torch.optim's kind, got {type(optimizer).__name__}.")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    lacking = [tuple(p.shape) for layer in layers for p in layer if p.requires_grad and id(p) not in held]
    if lacking:
        raise InputError(
            f"optimizer must hold every parameter of the network, got one without {len(lacking)} of them, the first of "
            f"shape {lacking[0]}."
        )
    for name, value in vars(optimizer).items():
        if name != "param_groups" and isinstance(value, list | tuple) and any(id(part) in held for part in value):
            raise InputError(
                f"optimizer must take its parameters from its groups, which layers leave when they freeze, got "
                f"{type(optimizer).__name__}, which keeps a list of its own ({name})."
            )
    own = {id(p) for layer in layers for p in layer}
    mark = getattr(optimizer.step, _MARK, None)
    if mark is not None and any(id(p) in own for layer in mark[0]._parameters for p in layer):
        raise InputError(
            f"optimizer must not freeze these layers already, got one with {type(mark[0]).__name__}: make a new one."
        )
