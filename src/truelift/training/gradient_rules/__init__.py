"""Second seam: from named losses to gradients.

To add a rule: a file with its options, ranges and `build` function, and its line in `RULES`; options of its own join
`GradientOptions`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from torch import nn

from truelift.options import Conflict, OneOf, Registry, without_shared_fields
from truelift.own import is_import_path
from truelift.techniques import sharpness_aware
from truelift.techniques.gradient_similarity import GradVac, pcgrad
from truelift.training.gradient_rules import own, similarity
from truelift.training.gradient_rules.base import Again, GradientRule, SumOfLosses

RULES: Registry[Any] = Registry(
    "gradient rule",
    {
        "sum": similarity.build_sum,
        "single": lambda options, network: SumOfLosses(),
        "weighted": partial(similarity.build, "weighted"),
        "unweighted": partial(similarity.build, "unweighted"),
        "pcgrad": partial(similarity.build, pcgrad),
        "gradvac": lambda options, network: similarity.build(GradVac(), options, network),
        "sharpness-aware": lambda options, network: own.OwnRule(
            "sharpness-aware", sharpness_aware.build(options, network)
        ),
    },
)


@without_shared_fields
@dataclass(frozen=True, kw_only=True)
class GradientOptions(similarity.SimilarityOptions, sharpness_aware.SharpnessAwareOptions):
    """From several losses to one gradient; the first loss is the main one."""

    name: Annotated[str, OneOf(RULES)] = "sum"
    """sum: the losses' plain sum. single: the main task alone; no auxiliary batch is drawn. weighted, unweighted: the
    other losses by gradient similarity. pcgrad, gradvac: by those. sharpness-aware: the sum's gradient at the worst
    point nearby. Or your own: package.module:name or file.py:name."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own rule's arguments: --gradient.args.NAME VALUE."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield from super().conflicts()
        whole = self.granularity == "global" or self.name != "gradvac"
        yield "granularity", whole, "global for gradvac, which keeps one average"


def build(options: GradientOptions, network: nn.Module) -> GradientRule:
    """The rule that `options` describe, for losses over `network`.

    Args:
        options: Which rule.
        network: What the losses come from.

    Raises:
        InputError: A user's own one cannot be built.
    """
    found = RULES.find(options.name)
    if is_import_path(options.name):
        return own.build(options.name, found, options.args, network)
    rule: GradientRule = found(options, network)
    return rule


__all__ = ["RULES", "Again", "GradientOptions", "GradientRule", "SumOfLosses", "build"]
