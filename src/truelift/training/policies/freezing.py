"""Freezing layers as a policy: FreezeOut, adaptive freezing, or a user's own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch

from truelift.errors import InputError
from truelift.models import Classifier
from truelift.options import SHARE, Conflict, In, OneOf, Only, Registry, at_least
from truelift.own import is_import_path
from truelift.techniques.freezeout import (
    AdaptiveFreezing,
    FreezeOut,
    Front,
    Scaling,
    allow_recompilations,
    counted_costs,
    freezing_points,
    freezing_stages,
    saving,
)
from truelift.training.policies import kept_activations, own
from truelift.training.policies.base import Around, Policy, Progress

# Images whose similarities tell how far a representation moved: 64² of them, and a passing over within a step's time.
_PROBE_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class FreezeOutOptions:
    """Options of FreezeOut."""

    t0: Annotated[float, SHARE, Only("name", "freezeout")] = 0.8
    """freezeout: where the first layer freezes, before scaling; in [0, 1]."""

    scaling: Annotated[Scaling, Only("name", "freezeout")] = "cubic"
    """freezeout: the freezing points as they are, squared or cubed: 0.8 cubed is 0.512."""

    scale_lr: Annotated[bool, Only("name", "freezeout")] = True
    """freezeout: divide each layer's learning rate by its freezing point."""

    freeze_every: Annotated[int, at_least(1, 1_000_000), Only("name", "freezeout")] = 1
    """freezeout: number of layers frozen at a time, at least 1. If compile makes one graph of the network, each time
    compiles it anew."""

    const_time: bool = False
    """freezeout: lengthen the training, in whole epochs, until its counted operations are those of the plain one."""

    def stages(self, layers: int) -> list[float]:
        """Where each of so many layers leaves the training, as a share of it."""
        return freezing_stages(freezing_points(layers, self.t0, self.scaling), self.freeze_every)


@dataclass(frozen=True, kw_only=True)
class AdaptiveOptions:
    """Options of adaptive freezing."""

    every_steps: Annotated[
        int | None, at_least(1, 1_000_000_000), Only("name", "adaptive-gradient", "adaptive-representation")
    ] = None
    """adaptive: steps between two measurements, at least 1. Default: a twentieth of the training's steps."""

    percentile: Annotated[
        float, In("in [0, 100]", lambda percent: 0 <= percent <= 100), Only("name", "adaptive-gradient")
    ] = 50.0
    """adaptive-gradient: a layer is quiet while its gradient's change is below that percentile; in [0, 100]."""

    tolerance: Annotated[float, SHARE, Only("name", "adaptive-representation")] = 0.1
    """adaptive-representation: a layer is quiet below that share of its largest movement; in [0, 1]."""

    patience: Annotated[int, at_least(1, 1_000_000), Only("name", "adaptive-gradient", "adaptive-representation")] = 1
    """adaptive: for how many measurements in a row a layer must be quiet; at least 1."""

    warmup: Annotated[float, SHARE, Only("name", "adaptive-gradient", "adaptive-representation")] = 0.2
    """adaptive: share of the training before which nothing freezes; in [0, 1]."""

    max_share: Annotated[float, SHARE, Only("name", "adaptive-gradient", "adaptive-representation")] = 1.0
    """adaptive: the largest share of the layers to freeze, never the last; in [0, 1]."""


def _freezeout(options: "FreezingOptions", around: Around) -> Front:
    return FreezeOut(
        around.network,
        around.optimizer,
        steps=around.steps,
        t0=options.t0,
        scaling=options.scaling,
        scale_lr=options.scale_lr,
        freeze_every=options.freeze_every,
        **_found(around),
    )


def _by_gradient(options: "FreezingOptions", around: Around) -> Front:
    return _adaptive(options, around, signal="gradient", images=None)


def _by_representation(options: "FreezingOptions", around: Around) -> Front:
    return _adaptive(options, around, signal="representation", images=around.images(_PROBE_IMAGES))


def _adaptive(options: "FreezingOptions", around: Around, **signal: Any) -> Front:
    return AdaptiveFreezing(
        around.network,
        around.optimizer,
        steps=around.steps,
        every_steps=options.every_steps,
        percentile=options.percentile,
        tolerance=options.tolerance,
        patience=options.patience,
        warmup=options.warmup,
        max_share=options.max_share,
        **signal,
        **_found(around),
    )


def _found(around: Around) -> dict[str, Any]:
    example = around.example()
    return {} if example is None else {"example": example}


FREEZINGS: Registry[Any] = Registry(
    "freezing",
    {
        "none": None,
        "freezeout": _freezeout,
        "adaptive-gradient": _by_gradient,
        "adaptive-representation": _by_representation,
    },
)


@dataclass(frozen=True, kw_only=True)
class FreezingOptions(FreezeOutOptions, AdaptiveOptions, kept_activations.CacheOptions):
    """Which layers stop training before the end."""

    name: Annotated[str, OneOf(FREEZINGS)] = "none"
    """freezeout: one layer after the other, from the first, each with a cosine to zero; use schedule.name constant.
    adaptive-gradient, adaptive-representation: the next layer when its gradient, or its output for some training
    images, has settled; learning rates as the schedule has them. Or your own, package.module:name or file.py:name: a
    class like FreezeOut, called with (network, optimizer, steps=…)."""

    args: dict[str, Any] = field(default_factory=dict)
    """Your own freezing's arguments: --freezing.args.NAME VALUE."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        yield "cache", self.cache == "none" or self.name != "none", "none where nothing freezes"
        ours = self.cache == "none" or not is_import_path(self.name)
        yield "cache", ours, "none for a freezing of your own"
        known = not self.const_time or self.name == "freezeout"
        yield "const_time", known, f"false for freezing.name {self.name}, whose saving is not known beforehand"


class FreezingPolicy(Policy):
    """Tells the freezing of each step; it counts them itself."""

    name = "freezing"

    def __init__(self, freezing: Front) -> None:
        self.freezing = freezing

    def __call__(self, progress: Progress) -> None:
        """Set the coming step."""
        self.freezing.step()

    def logged(self) -> dict[str, float]:
        """How many layers are frozen."""
        return {"frozen_layers": self.freezing.frozen}

    def result(self) -> dict[str, float]:
        """The same, at the end."""
        return self.logged()

    def stages(self) -> Sequence[float]:
        """Where each layer's training ends."""
        return self.freezing.stages

    def state_dict(self) -> dict[str, Any]:
        """What is frozen, and how far the training is."""
        return self.freezing.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.freezing.load_state_dict(state)


def build(options: FreezingOptions, around: Around, *, compiled: bool) -> Policy | None:
    """The freezing that `options` describe; none where nothing freezes.

    Raises:
        InputError: The network's layers cannot be found or frozen, or a user's own freezing cannot be built.
    """
    found = FREEZINGS.find(options.name)
    if found is None:
        return None
    if is_import_path(options.name):
        return own.build("freezing", options.name, found, options.args, around._asdict())
    freezing: Front = found(options, around)
    if compiled:
        at_worst = [layer / len(freezing.layers) for layer in range(len(freezing.layers))]  # each by itself
        allow_recompilations(freezing.stages if options.name == "freezeout" else at_worst)
    return FreezingPolicy(freezing)


def lengthened_epochs(epochs: int, options: FreezingOptions, network: Classifier, image_shape: torch.Size) -> int:
    """The epochs after which the counted operations are those of the plain training: epochs / (1 − saving), rounded.

    Raises:
        InputError: The schedule would save everything.
    """
    if not options.const_time:
        return epochs
    costs = counted_costs(network, torch.empty(2, *image_shape))
    saved = saving(options.stages(len(costs)), costs)
    if saved >= 1:
        raise InputError(f"freezing.t0 must leave something to train for freezing.const_time, got {options.t0}.")
    return round(epochs / (1 - saved))
