"""Layers freeze, from the input on, when they have settled rather than by a schedule. L layers."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any, Literal, get_args

from torch import Tensor, nn
from torch.optim import Optimizer

from truelift.errors import InputError, known, real, require, whole
from truelift.techniques.freezeout.front import Front, check_state
from truelift.techniques.freezeout.gradient import GradientSignal
from truelift.techniques.freezeout.layers import Layers, find_layers
from truelift.techniques.freezeout.representation import RepresentationSignal
from truelift.techniques.freezeout.signals import Signal
from truelift.techniques.freezeout.trace import Example

SignalName = Literal["gradient", "representation"]

INTERVALS = 20
"""How often a training is measured by default; the number in AutoFreeze's example."""


class AdaptiveFreezing(Front):
    """Freezes the next layer when its gradient, or what it makes of some images, has stopped moving.

    The training is measured every `every_steps` steps. A layer that is quiet in `patience` measurements running freezes
    if all layers before it are frozen or freeze with it; the last layer never does. What quiet means is the signal's:

        gradient: the norm of the gradient, summed over the interval, changed by less than the N-th percentile of all
            layers' changes (`GradientSignal`, as in AutoFreeze). By its nature some layers are always below it.
        representation: the moving average of how far the similarities between `images` moved is below a share of its
            largest value so far (`RepresentationSignal`, after Egeria).

    Learning rates stay yours: unlike under FreezeOut no layer has a schedule of its own. What freezing means, and what
    goes with it, is the same as there.

    Args:
        network: The network.
        optimizer: As for `FreezeOut`; it needs no learning rate.
        steps: Training steps in all, at least 1.
        layers: The layers in order; see `find_layers`. For the representation each must end in a module that is called.
        example: As for `FreezeOut`.
        signal: gradient or representation.
        images: representation: some dozen images (B, …), normalised as for training, on the network's device.
        every_steps: Steps from one measurement to the next, at least 1. Default: a twentieth of all.
        percentile: gradient: N, in [0, 100]. AutoFreeze's is 50.
        tolerance: representation: the share of the largest movement, in [0, 1].
        patience: Measurements running in which a layer must be quiet, at least 1.
        warmup: Share of the steps before which nothing freezes, in [0, 1]; it is measured all the same.
        max_share: Largest share of the layers to freeze, in [0, 1].

    Raises:
        InputError: An argument is out of range or does not belong to the signal; layers do not fit the network; the
            optimizer is refused, as by `FreezeOut`; `step` is called past the end; a state is of other settings.

    Example:
        >>> freezing = AdaptiveFreezing(network, optimizer, steps=len(loader) * epochs)
        >>> for images, labels in loader:
        ...     freezing.step()  # before the forward pass
        ...     loss = criterion(network(images), labels)

    The gradient is read when the optimizer steps: clipped, averaged over processes, summed over partial batches, as it
    is used; with a closure, as the closure's first call leaves it. A fused optimizer under a gradient scaler sees
    scaled ones: call `scaler.unscale_` first. A step that overflows, and is left out, counts in no interval. All
    processes of DistributedDataParallel decide alike: they have the same gradients, and the representation's distances
    are the first process's, whose state is the one to keep. Wrap anew where `step` returns layers, as under FreezeOut.

    Source:
        AutoFreeze, arXiv 2102.01386; Egeria, arXiv 2201.06227; each signal says where it deviates. Both freeze from
        the front on. AutoFreeze has no patience, and neither has `warmup` as a share; Egeria can thaw layers when the
        learning rate falls, which is left out.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        steps: int,
        layers: Layers | None = None,
        example: Example | None = None,
        signal: SignalName = "gradient",
        images: Tensor | None = None,
        every_steps: int | None = None,
        percentile: float = 50.0,
        tolerance: float = 0.1,
        patience: int = 1,
        warmup: float = 0.2,
        max_share: float = 1.0,
    ) -> None:
        known("signal", signal, get_args(SignalName))
        if every_steps is not None:
            whole("every_steps", every_steps, 1)
        real("percentile", percentile, lambda p: 0 <= p <= 100, "in [0, 100]")
        whole("patience", patience, 1)
        for name, share in (("tolerance", tolerance), ("warmup", warmup), ("max_share", max_share)):
            real(name, share, lambda s: 0 <= s <= 1, "in [0, 1]")
        found = find_layers(network, layers, example=example)
        a_tensor = images is None or isinstance(images, Tensor)
        require("images", type(images).__name__, a_tensor, "a tensor (B, …), as the network takes it")
        given = "none" if images is None else len(images)
        if (images is not None) != (signal == "representation"):
            raise InputError(f"images must be given for signal representation alone, got {given} for {signal}.")
        require("images", given, images is None or len(images) >= 2, "at least 2")
        super().__init__(found, optimizer, steps)
        self.every_steps = max(steps // INTERVALS, 1) if every_steps is None else every_steps
        self.patience = patience
        self.warmup = warmup
        self.most = min(math.floor(max_share * len(found) + 1e-9), len(found) - 1)
        """The largest number of layers that may freeze."""
        self.stages = [1.0] * len(found)
        """Where each layer has left the training, as a share of its steps; 1 for those that have not."""
        self._quiet = [0] * len(found)
        self._settings = {
            "steps": steps,
            "layers": len(found),
            "signal": signal,
            "every_steps": self.every_steps,
            "threshold": percentile if signal == "gradient" else tolerance,
            "patience": patience,
            "warmup": warmup,
            "most": self.most,
        }
        self._signal: Signal = (
            GradientSignal(self._parameters, percentile)
            if images is None
            else RepresentationSignal(network, found, images, tolerance)
        )
        self._attach()

    def state_dict(self) -> dict[str, Any]:
        """The steps made, what is frozen since when, what the signal remembers, and the settings they belong to."""
        return {
            "made": self._made,
            "begun": self.begun,
            "frozen": self._frozen,
            "stages": list(self.stages),
            "quiet": list(self._quiet),
            "signal": self._signal.state_dict(),
            "settings": self._settings,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Freeze what was frozen. Load it before the optimizer's state, which has none for frozen parameters.

        Raises:
            InputError: The state is of other settings or of an earlier step; nothing is changed then.
        """
        check_state(state, self.state_dict())
        check_state(state["settings"], self._settings)
        self._go_on(state, "settings", state["settings"], self._settings)
        self.stages, self._quiet = list(state["stages"]), list(state["quiet"])
        self._freeze_first(int(state["frozen"]))
        self._signal.load_state_dict(state["signal"])

    def _due(self, made: int) -> int:
        if made == 0 or made % self.every_steps or self._frozen >= self.most:
            return self._frozen
        for layer, quiet in enumerate(self._signal.quiet(self._frozen), self._frozen):
            self._quiet[layer] = self._quiet[layer] + 1 if quiet else 0
        due = self._frozen
        if made >= self.warmup * self.steps:
            while due < self.most and self._quiet[due] >= self.patience:
                self.stages[due] = made / self.steps
                due += 1
        return due

    @contextlib.contextmanager
    def _stepping(self) -> Iterator[None]:
        """Have the signal told of the gradients: before the optimizer uses them, after a closure has made them."""
        seen = False

        def see() -> None:
            nonlocal seen
            if not seen and self._frozen < self.most:
                # A GradScaler calls a fused optimizer in an overflowed step too, and has told it so.
                self._signal.add(self._frozen, getattr(self.optimizer, "found_inf", None))
            seen = True

        def before(_: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            own, rest = args[:1], args[1:]  # the optimizer itself comes first
            closure = rest[0] if rest else kwargs.get("closure")
            if closure is None:
                see()
                return None

            def seeing() -> Any:
                loss = closure()
                see()
                return loss

            return (*own, seeing, *rest[1:]) if rest else own, kwargs if rest else {**kwargs, "closure": seeing}

        # For this step alone, and so the last of all hooks: others may change the gradients.
        handle = self.optimizer.register_step_pre_hook(before)
        try:
            yield
        finally:
            handle.remove()
