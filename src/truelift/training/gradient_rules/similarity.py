"""Each further loss held against the first by the cosine of their gradients: options and rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from torch import Tensor, nn

from truelift.options import NONNEGATIVE, SHARE_BELOW_ONE, Conflict, Only, at_least
from truelift.techniques.gradient_similarity import (
    GradientSimilarity,
    Granularity,
    Rule,
    Weighting,
    multi_task,
)
from truelift.training.gradient_rules.base import Again, GradientRule, SumOfLosses


@dataclass(frozen=True, kw_only=True)
class SimilarityOptions:
    """Options of the rules over several losses."""

    auxiliary_weight: Annotated[float, NONNEGATIVE] = 1.0
    """sum: weight of all losses but the first, at least 0."""

    threshold: Annotated[float, SHARE_BELOW_ONE, Only("name", "weighted", "unweighted")] = 0.0
    """weighted, unweighted: the cosine that another loss must reach; in [0, 1)."""

    granularity: Annotated[Granularity, Only("name", "weighted", "unweighted", "pcgrad", "gradvac")] = "global"
    """One cosine for all shared parameters, for each layer, or for each tensor."""

    measured: Annotated[Literal["all", "convolutions"], Only("name", "weighted", "unweighted", "pcgrad", "gradvac")] = (
        "all"
    )
    """Which shared parameters enter the cosine."""

    every_steps: Annotated[
        int, at_least(1, 1_000_000_000), Only("name", "weighted", "unweighted", "pcgrad", "gradvac")
    ] = 1
    """Steps between two measurements of the cosine, at least 1."""

    use_average: Annotated[bool, Only("name", "weighted", "unweighted")] = False
    """weighted, unweighted: weigh by the cosine's moving average, not by the step's own."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        by_part = self.granularity != "global"
        yield "every_steps", self.every_steps == 1 or not by_part, "1 for one cosine a layer or tensor"
        yield "measured", self.measured == "all" or not by_part, "all for one cosine a layer or tensor"


class BySimilarity:
    """Each further loss held against the first, by a rule of `truelift.techniques.gradient_similarity`."""

    def __init__(self, similarity: GradientSimilarity) -> None:
        self.similarity = similarity

    def backward(self, losses: Mapping[str, Tensor], again: Again) -> dict[str, Tensor]:
        """A backward pass a loss; the cosines, their averages and the weights are logged."""
        return self.similarity.backward(*losses.values()).logged()

    def state_dict(self) -> dict[str, Any]:
        """The moving averages."""
        return self.similarity.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.similarity.load_state_dict(state)


def build_sum(options: SimilarityOptions, network: nn.Module) -> GradientRule:
    """The losses' sum, the first one whole and the others by their weight."""
    if options.auxiliary_weight == 1:
        return SumOfLosses()
    return build(multi_task(options.auxiliary_weight), options, network)


def build(rule: Weighting | Rule, options: SimilarityOptions, network: nn.Module) -> BySimilarity:
    """The rule of `truelift.techniques.gradient_similarity` over the losses of `network`.

    Gradients that are not finite are no bad input here: the loop tells them as divergence, or leaves the step out.
    """
    by_cosine = isinstance(rule, str)  # a function does not see the cosines; a setting without effect is told elsewhere
    return BySimilarity(
        GradientSimilarity(
            rule,
            threshold=options.threshold if by_cosine else 0.0,
            granularity=options.granularity,
            measured=options.measured,
            every_steps=options.every_steps,
            use_average=options.use_average and by_cosine,
            network=network,
            check_values=False,
        )
    )
