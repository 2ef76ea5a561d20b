"""Whether a training is compiled.

Decided by counted operations, constants and the kind of processor, never by a clock: so all seeds of a study decide
alike on machines of one kind, under whatever load. What was decided stands in environment.json, and holds when the run
goes on, since compiled numbers differ from eager ones by rounding.
"""

import statistics
from typing import NamedTuple

import torch
from torch import nn

from truelift.models import Classifier
from truelift.own import is_import_path
from truelift.techniques.freezeout import find_layers, plain_cost, recompilations
from truelift.training.experiment import Experiment
from truelift.training.hardware import multiplies_tiles
from truelift.training.policies.freezing import FreezingOptions

# Measured with ResNet-20, batch 128, on one core with AMX: what an eager step makes of its counted operations.
_OPERATIONS_A_SECOND = 170e9

# The part of an eager step that compiling saves there, in networks of narrow convolutions: a fifth as one graph, and
# less where each layer is called by itself.
_SAVED = 0.16

# Inputs of a convolution's output, as a median over the network, above which memory no longer is what a step waits for.
_NARROW = 600

# Processor seconds with an empty cache, and for each convolution that is compiled. On a busy machine: short-cnn (7) 18,
# ResNet-20 as one graph (19) 30, by layer (11) 25, DenseNet-40 (39) 49.
_COMPILE_SECONDS, _COMPILE_SECONDS_A_CONVOLUTION = 13.0, 1.0

# The forms of a layer that freezes, each compiled where it first occurs: ResNet-20 67 s in all.
_SECONDS_OF_ALL_FORMS = 5.0

# It must be earned back so many times over: the constants are another machine's.
_EARNED = 2.0


class Decision(NamedTuple):
    """Whether to compile."""

    compiled: bool
    why: str
    """In a few words."""


_TOO_SHORT = "the training is too short to earn it back"


def decide(
    experiment: Experiment,
    network: Classifier,
    image_shape: tuple[int, ...],
    *,
    images: int,
    device: str,
    precision: str,
    processes: int,
    earlier: bool | None,
) -> Decision:
    """Whether a training is to be compiled.

    Args:
        experiment: Resolved.
        network: Its network.
        image_shape: (C, H, W).
        images: That the whole training passes, each as often as it is passed.
        device: Where it runs.
        precision: fp32, bf16 or fp16.
        processes: That train together.
        earlier: What was decided when the run began, where it is known.
    """
    if experiment.compile != "auto":
        return Decision(experiment.compile, "as set")
    if earlier is not None:
        return Decision(earlier, "as when the run began")
    reason = _not_for(experiment, device, precision, processes) or _never_earned(network, image_shape, images)
    if reason is not None:
        return Decision(False, reason)
    seconds = plain_cost(network, torch.empty(2, *image_shape)) / 2 * images / _OPERATIONS_A_SECOND
    cost = _cost(network, experiment.freezing)
    if _SAVED * seconds < _EARNED * cost:
        return Decision(False, _TOO_SHORT)
    return Decision(True, f"saves some {_SAVED * seconds:,.0f} s of {seconds:,.0f} for {cost:,.0f} s of compiling")


def _not_for(experiment: Experiment, device: str, precision: str, processes: int) -> str | None:
    """Why an experiment is not compiled by itself, however long it is; none where it may be."""
    reasons = {
        "too little was measured on this device": device != "cpu",
        f"no gain was measured in {precision}": precision != "bf16",
        "nothing was measured for networks of one's own": is_import_path(experiment.model.name),
        "nothing was measured for freezings of one's own": is_import_path(experiment.freezing.name),
        "no gain was measured on a processor without AMX": not multiplies_tiles(),
        "several processes train": processes > 1,
        "images grow, and each size would be compiled": bool(experiment.data.progressive),
        "the gradient rule needs several backward passes": experiment.backward_twice,
        "batch norm's momentum is another at each step": experiment.batch_norm_momentum == "dynamic",
        "activations are recomputed": experiment.model.recompute,
        "activations of frozen layers are kept": experiment.freezing.cache != "none",
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _never_earned(network: Classifier, image_shape: tuple[int, ...], images: int) -> str | None:
    """Why a network gains nothing, or too little to count its operations; none where it may gain."""
    weights = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
    if not weights or statistics.median(weight[0].numel() for weight in weights) > _NARROW:
        return "its convolutions are too wide to gain from it"
    # A convolution uses a weight once a pixel at most, forward and twice backward.
    operations = 6 * sum(p.numel() for p in network.parameters()) * image_shape[-1] * image_shape[-2] * images
    return _TOO_SHORT if operations / _OPERATIONS_A_SECOND * _SAVED < _EARNED * _COMPILE_SECONDS else None


def _cost(network: Classifier, freezing: FreezingOptions) -> float:
    """Processor seconds to compile it: a layer of each kind, in all forms if it freezes, or all layers as one graph."""
    if kinds := network.kinds_of_layers():
        forms = 1.0 if freezing.name == "none" else _SECONDS_OF_ALL_FORMS
        return _COMPILE_SECONDS + _COMPILE_SECONDS_A_CONVOLUTION * sum(map(_convolutions, kinds)) * forms
    once = _COMPILE_SECONDS + _COMPILE_SECONDS_A_CONVOLUTION * _convolutions(network)
    if freezing.name == "none":
        return once
    layers = len(find_layers(network))
    at_worst = layers  # each by itself
    return once * (recompilations(freezing.stages(layers)) if freezing.name == "freezeout" else at_worst)


def _convolutions(part: nn.Module) -> int:
    return sum(isinstance(module, nn.Conv2d) for module in part.modules())
