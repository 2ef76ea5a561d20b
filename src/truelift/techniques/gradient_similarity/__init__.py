"""Auxiliary losses by gradient similarity (arXiv 1812.02224), and the rules that it is compared with."""

from truelift.techniques.gradient_similarity.batch_norm import StatisticsRule, TaskStatistics
from truelift.techniques.gradient_similarity.combined import Combined
from truelift.techniques.gradient_similarity.groups import Granularity
from truelift.techniques.gradient_similarity.rules import (
    GradVac,
    Rule,
    Weighting,
    cosines,
    multi_task,
    pcgrad,
    similarity_weights,
    single_task,
)
from truelift.techniques.gradient_similarity.similarity import GradientSimilarity

__all__ = [
    "Combined",
    "GradVac",
    "GradientSimilarity",
    "Granularity",
    "Rule",
    "StatisticsRule",
    "TaskStatistics",
    "Weighting",
    "cosines",
    "multi_task",
    "pcgrad",
    "similarity_weights",
    "single_task",
]
