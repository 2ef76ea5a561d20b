"""Second seam: from named losses to gradients."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from truelift.techniques.gradient_similarity import (
    GradientSimilarity,
    GradVac,
    Rule,
    Weighting,
    multi_task,
    pcgrad,
)
from truelift.training.experiment import GradientOptions


class GradientRule(Protocol):
    """Leaves in each parameter's `.grad` the direction that the optimizer shall follow."""

    def backward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Work backwards from the losses; returns scalars worth logging, by name. Their means over steps are logged."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs; empty for a rule without memory."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        ...


class SumOfLosses:
    """The gradient of the sum of all losses."""

    def backward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One backward pass."""
        torch.autograd.backward(list(losses.values()))
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


class BySimilarity:
    """Each further loss held against the first, by a rule of `truelift.techniques.gradient_similarity`."""

    def __init__(self, similarity: GradientSimilarity) -> None:
        self.similarity = similarity

    def backward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A backward pass a loss; the cosines, their averages and the weights are logged."""
        return self.similarity.backward(*losses.values()).logged()

    def state_dict(self) -> dict[str, Any]:
        """The moving averages."""
        return self.similarity.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.similarity.load_state_dict(state)


def make_rule(options: GradientOptions, network: nn.Module) -> GradientRule:
    """The rule that `options` describe, for losses over `network`."""
    if options.name == "single" or (options.name == "sum" and options.auxiliary_weight == 1):
        return SumOfLosses()
    rules: dict[str, Weighting | Rule] = {
        "sum": multi_task(options.auxiliary_weight),
        "weighted": "weighted",
        "unweighted": "unweighted",
        "pcgrad": pcgrad,
        "gradvac": GradVac(),
    }
    return BySimilarity(
        GradientSimilarity(
            rules[options.name],
            threshold=options.threshold,
            granularity=options.granularity,
            measured=options.measured,
            every_steps=options.every_steps,
            use_average=options.use_average,
            network=network,
        )
    )
