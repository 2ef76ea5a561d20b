"""Lookahead: every few steps the weights go back part of the way they have come. k steps, α the share that is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from truelift.errors import real, whole
from truelift.options import SHARE_ABOVE_ZERO, Only, at_least
from truelift.techniques.weights import changed_in_place, check_fit, check_network, check_weights_state


class Lookahead:
    """Slow weights that follow the network's own, which begin anew from them every k steps.

    Formula, after every k-th step of the optimizer and after the training's last one, with θ the network's weights and
    s the slow ones, s = θ in the beginning:
        s ← s + α·(θ − s),   θ ← s

    The optimizer's momentum goes on as it is, and so do batch norm's running statistics.

    Args:
        network: Its parameters are found by name in each update; those that need no gradient stay. The slow weights
            begin as it is now, so weights to begin from are loaded before.
        every: k, at least 1.
        share: α, in (0, 1]; 1 changes nothing.
        steps: Steps of the training, at least 1, after the last of which the slow weights are taken too; None where it
            is open. Where some may be left out, call `ended` after the last.

    Raises:
        InputError: A value is out of range; the network has other parameters than in the beginning; a state does not
            fit.

    Source:
        Zhang, Lucas, Hinton, Ba, "Lookahead Optimizer: k steps forward, 1 step back", 2019, arXiv 1907.08610, algorithm
        1; k = 5 and α = 0.5 are theirs.
    """

    def __init__(self, network: nn.Module, every: int = 5, share: float = 0.5, steps: int | None = None) -> None:
        check_network(network)
        whole("every", every, 1)
        if steps is not None:
            whole("steps", steps, 1)
        real("share", share, lambda value: 0 < value <= 1, "in (0, 1]")
        self.network = network
        self.every = every
        self.share = share
        self.steps = steps
        self.updates = 0
        self._slow = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """To be called after each optimizer step."""
        self.updates += 1
        if self.updates % self.every == 0 or self.updates == self.steps:
            self._take_slow()

    @torch.no_grad()
    def ended(self) -> None:
        """The training has ended, whatever was planned: take the slow weights, where that is not done."""
        self._take_slow()

    def _take_slow(self) -> None:
        """Move the slow weights, and take them; a second time in a row changes nothing."""
        moved: list[Tensor] = []
        slow: list[Tensor] = []
        parameters = dict(self.network.named_parameters())
        check_fit(parameters, self._slow, "network", "those followed so far")
        for name, parameter in parameters.items():
            if parameter.requires_grad:
                self._slow[name] = self._slow[name].to(parameter)  # where the network has moved, or has another type
                moved.append(parameter)
                slow.append(self._slow[name])
        if moved:
            torch._foreach_lerp_(slow, moved, self.share)
            torch._foreach_copy_(moved, slow)
            changed_in_place()

    def state_dict(self) -> dict[str, Any]:
        """The slow weights by name, and the number of updates; copies."""
        return {"updates": self.updates, "slow": {name: weights.clone() for name, weights in self._slow.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, on the devices where the weights are now."""
        check_weights_state(state, "slow", self._slow)
        for name, weights in state["slow"].items():
            self._slow[name].copy_(weights)
        self.updates = state["updates"]


@dataclass(frozen=True, kw_only=True)
class LookaheadOptions:
    """Options of lookahead."""

    lookahead_steps: Annotated[int, at_least(1, 1_000_000), Only("names", "lookahead")] = 5
    """lookahead: steps between two returns, at least 1."""

    lookahead_share: Annotated[float, SHARE_ABOVE_ZERO, Only("names", "lookahead")] = 0.5
    """lookahead: the share of the way that is kept at a return; in (0, 1]."""


def build(options: LookaheadOptions, around: Any) -> Lookahead:
    """The lookahead that `options` describe, of `around.network`."""
    return Lookahead(around.network, options.lookahead_steps, options.lookahead_share, around.steps)
