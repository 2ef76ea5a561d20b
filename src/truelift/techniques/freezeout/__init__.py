"""FreezeOut: progressive layer freezing (arXiv 1706.04983)."""

from truelift.techniques.freezeout.cost import authors_estimate, counted_costs, saving, timed_costs
from truelift.techniques.freezeout.freezeout import FreezeOut, allow_recompilations, recompilations
from truelift.techniques.freezeout.layers import Layers, find_layers
from truelift.techniques.freezeout.schedule import Scaling, factor, freezing_points, freezing_stages

__all__ = [
    "FreezeOut",
    "Layers",
    "Scaling",
    "allow_recompilations",
    "authors_estimate",
    "counted_costs",
    "factor",
    "find_layers",
    "freezing_points",
    "freezing_stages",
    "recompilations",
    "saving",
    "timed_costs",
]
