"""Progressive layer freezing: layers stop training one after the other, from the input on. L layers."""

import contextlib
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from truelift.techniques.compiled_graphs import allow_graphs
from truelift.techniques.freezeout.front import Front, check_state
from truelift.techniques.freezeout.layers import Layers, find_layers
from truelift.techniques.freezeout.rates import check_rates, rates_by_layer
from truelift.techniques.freezeout.schedule import Scaling, factor, freezing_points, freezing_stages
from truelift.techniques.freezeout.trace import Example


class FreezeOut(Front):
    """Anneals each layer's learning rate to zero by its own cosine, then takes the layer out of training.

    Formula, with t the share of the steps that are made, i = 0 … L − 1, s(x) = x, x² or x³:

        t_i    = s(t_0 + (1 − t_0)·i/(L − 1))
        α_i(t) = α_i(0)·½·(1 + cos(π·t/t_i)),  α_i(0) = α/t_i where scaled, else α

    After t_i a layer is in inference mode (its batch norm uses and keeps its running statistics), needs no gradient, so
    that the backward pass ends behind it, and has left the optimizer, with its state freed.

    The optimizer's groups stay yours, and the learning rate that they show is α, which other schedules may move. Only
    while the optimizer steps are they divided by layers, and α multiplied by each layer's factor.

    Args:
        network: The network.
        optimizer: Any of torch's but LBFGS, with all parameters of the network that need a gradient, and others if you
            like, which stay as they are. Schedulers may be made before or after, and groups added at any time.
        steps: Training steps in all, at least 1.
        layers: The layers in order; see `find_layers`. A parameter that two layers share freezes with the later one.
        example: What the network takes, to find its layers where neither it nor you tell them; see `find_layers`.
        t0: t_0 in [0, 1]. The paper's practical default is 0.8, cubic, scaled: the first layer freezes at 0.512.
        scaling: linear, squared, cubic, or a function of your own.
        scale_lr: Whether α_i(0) = α/t_i.
        freeze_every: Number of layers frozen at a time, when the last of them is due; at least 1. Fewer stages are
            fewer recompilations under torch.compile, each of which takes seconds. The learning rates do not change: a
            layer past its t_i stands still until then, but for its batch norm's running statistics.

    Raises:
        InputError: An argument is out of range; layers do not fit the network, or cannot be found; the optimizer lacks
            a parameter, has a group without a learning rate, keeps a list of its parameters beside its groups, or has
            its layers frozen by another; `step` is called past the end; a state is of another schedule.

    Example:
        >>> freezeout = FreezeOut(network, optimizer, steps=len(loader) * epochs)
        >>> for images, labels in loader:
        ...     freezeout.step()  # before the forward pass
        ...     loss = criterion(network(images), labels)

    Accelerate's and Lightning's wrappers of an optimizer are looked through. `truelift.integrations` has callbacks for
    trainers, and says how the state is saved with the optimizer's. Reentrant activation checkpointing gives the first
    layer behind the frozen ones no gradient; a warning says so: use `use_reentrant=False`.

    DistributedDataParallel makes its buckets once. Where `step` returns layers, wrap the network anew, and the frozen
    ones are no longer communicated: `if freezeout.step(): ddp = DistributedDataParallel(network)`.

    Source:
        Brock, Lim, Ritchie, Weston, "FreezeOut: Accelerate Training by Progressively Freezing Layers", arXiv
        1706.04983. As in the authors' code a layer freezes at the first step after t_i; unlike there, steps are those
        of the training, not 1,000 an epoch. Groups of layers (`freeze_every`) are not in the paper.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        steps: int,
        layers: Layers | None = None,
        example: Example | None = None,
        t0: float = 0.8,
        scaling: Scaling | Callable[[float], float] = "cubic",
        scale_lr: bool = True,
        freeze_every: int = 1,
    ) -> None:
        found = find_layers(network, layers, example=example)
        self.points = freezing_points(len(found), t0, scaling)
        """t_i of each layer."""
        self.stages = freezing_stages(self.points, freeze_every)
        """Where each layer leaves the training, t_i or, in a group, that of the group's last."""
        self.scale_lr = scale_lr
        super().__init__(found, optimizer, steps)
        check_rates(optimizer)
        self._attach()  # last: nothing is changed where an argument is refused

    def factors(self) -> list[float]:
        """What each layer's learning rate is multiplied by in the coming training step; 0 for a frozen one."""
        t = max(self._made - 1, 0) / self.steps
        return [
            0.0 if i < self._frozen or t > point else factor(t, point, scaled=self.scale_lr)
            for i, point in enumerate(self.points)
        ]

    def state_dict(self) -> dict[str, Any]:
        """The steps made, whether the last is only begun, and the schedule they belong to."""
        return {"made": self._made, "begun": self.begun} | self._schedule()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Freeze what was frozen. Load it before the optimizer's state, which has none for frozen parameters.

        Raises:
            InputError: The state is of another schedule; nothing is changed then.
        """
        check_state(state, self.state_dict())
        self._go_on(state, "schedule", state, self._schedule())
        self._freeze_first(self._due(self._made - 1))

    def _schedule(self) -> dict[str, Any]:
        return {"steps": self.steps, "stages": self.stages, "scale_lr": self.scale_lr}

    def _due(self, made: int) -> int:
        due = self._frozen
        while due < len(self.layers) and made > self.stages[due] * self.steps:
            due += 1
        return due

    def _stepping(self) -> contextlib.AbstractContextManager[None]:
        layer_of = {id(p): number for number, layer in enumerate(self._parameters) for p in layer}
        return rates_by_layer(self.optimizer, layer_of, self.factors())


def recompilations(stages: list[float]) -> int:
    """How often torch.compile compiles the network: once, and once more for each stage at which layers freeze."""
    return len({stage for stage in stages if stage < 1}) + 1


def allow_recompilations(stages: list[float]) -> None:
    """Raise torch.compile's limit where a schedule has more stages than it allows; beyond it, it runs eagerly."""
    allow_graphs(recompilations(stages))
