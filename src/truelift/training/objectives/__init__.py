"""First seam: from a batch to named losses.

To add an objective: a file with its options, ranges and `build` function, and its line in `OBJECTIVES`; options of its
own join `ObjectiveOptions`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from torch import nn

from truelift.options import Conflict, OneOf, Registry, at_least, without_shared_fields
from truelift.own import is_import_path
from truelift.training.objectives import binary_cross_entropy, gaussian_mixture, own, softmax
from truelift.training.objectives.auxiliary import AuxiliaryTask
from truelift.training.objectives.base import (
    Around,
    Objective,
    ParameterRule,
    StepLosses,
    error_percent,
    with_graphs,
)


class Kind(NamedTuple):
    """How an objective is built."""

    build: Callable[[Any, Around], Objective]
    head: Callable[[Any, int, int], nn.Module] | None = None
    """From options, D and K to the head it needs; None for the network's own linear layer."""


OBJECTIVES: Registry[Any] = Registry(
    "objective",
    {
        "softmax": Kind(softmax.build),
        "gaussian-mixture": Kind(gaussian_mixture.build, gaussian_mixture.make_head),
        "binary-cross-entropy": Kind(binary_cross_entropy.build),
    },
)


@without_shared_fields
@dataclass(frozen=True, kw_only=True)
class ObjectiveOptions(gaussian_mixture.MixtureOptions):
    """From a batch to named losses."""

    name: Annotated[str, OneOf(OBJECTIVES)] = "softmax"
    """softmax: a linear head and cross entropy. gaussian-mixture: one Gaussian per class and the L-GM loss.
    binary-cross-entropy: each class by itself, for images with several labels or one. Or your own: package.module:name
    or file.py:name."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own objective's arguments: --objective.args.NAME VALUE."""

    feature_size: Annotated[int | None, at_least(1, 1_000_000)] = None
    """Size of a linear layer before the head; with 2 the report draws the features. Default: no such layer."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield from gaussian_mixture.MixtureOptions.conflicts(self)
        weighs = self.class_weights is None or self.name == "softmax"
        yield "class_weights", weighs, "left out for other objectives than softmax"


def needs_features(options: ObjectiveOptions) -> bool:
    """Whether the objective takes another head than the network's own, and so the network's features."""
    if options.feature_size is not None:
        return True
    return not is_import_path(options.name) and OBJECTIVES[options.name].head is not None


def make_head(options: ObjectiveOptions, features: int, classes: int) -> nn.Module | None:
    """The head that an objective needs; None for the network's own."""
    if is_import_path(options.name) or (kind := OBJECTIVES[options.name]).head is None:
        return None
    head: nn.Module = kind.head(options, features, classes)
    return head


def build(options: ObjectiveOptions, around: Around) -> Objective:
    """The objective that `options` describe.

    Raises:
        InputError: A user's own one cannot be built.
    """
    found = OBJECTIVES.find(options.name)
    if is_import_path(options.name):
        return own.build(options.name, found, options.args, around)
    objective: Objective = found.build(options, around)
    return objective


__all__ = [
    "OBJECTIVES",
    "Around",
    "AuxiliaryTask",
    "Objective",
    "ObjectiveOptions",
    "ParameterRule",
    "StepLosses",
    "build",
    "error_percent",
    "make_head",
    "needs_features",
    "with_graphs",
]
