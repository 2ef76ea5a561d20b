"""Layers freeze from the input on: by a schedule (FreezeOut, arXiv 1706.04983), or when they have settled."""

from truelift.techniques.freezeout.adaptive import AdaptiveFreezing
from truelift.techniques.freezeout.cache import ActivationCache
from truelift.techniques.freezeout.cost import (
    authors_estimate,
    counted_costs,
    plain_cost,
    predicted_saving,
    saving,
    timed_costs,
)
from truelift.techniques.freezeout.freezeout import FreezeOut, allow_recompilations, recompilations
from truelift.techniques.freezeout.front import Front
from truelift.techniques.freezeout.layer import Layer
from truelift.techniques.freezeout.layers import Layers, find_layers, tells_layers
from truelift.techniques.freezeout.schedule import Scaling, factor, freezing_points, freezing_stages

__all__ = [
    "ActivationCache",
    "AdaptiveFreezing",
    "FreezeOut",
    "Front",
    "Layer",
    "Layers",
    "Scaling",
    "allow_recompilations",
    "authors_estimate",
    "counted_costs",
    "factor",
    "find_layers",
    "freezing_points",
    "freezing_stages",
    "plain_cost",
    "predicted_saving",
    "recompilations",
    "saving",
    "tells_layers",
    "timed_costs",
]
