"""Verdicts over paired seeds, for any table of numbers.

>>> found = compare([90.1, 90.4, 90.2], {"mixup": [91.2, 91.6, 91.3]}, higher_is_better=True, unit="points")
>>> found["mixup"].verdict
'helps'
"""

from truelift.metrics import Scale
from truelift.verdicts.agreement import Agreed, PublishedFigure, agreement, agreement_interval
from truelift.verdicts.compare import compare
from truelift.verdicts.compare_unpaired import compare_unpaired
from truelift.verdicts.comparison import VERDICTS, Comparison, Ground, Stop, Verdict, WithFailures
from truelift.verdicts.equal_time import at_equal_time
from truelift.verdicts.equivalence import below_p_value, equivalence_p_value
from truelift.verdicts.guards import Guard, Guarded
from truelift.verdicts.images import example_standard_error
from truelift.verdicts.outliers import Outlier, outlying_runs
from truelift.verdicts.paired import (
    paired_t_interval,
    paired_t_p_value,
    probability_better,
    sign_flip_p_value,
    spread,
)
from truelift.verdicts.pareto import pareto_front
from truelift.verdicts.pooled import dunnett_p_value, step_down_dunnett
from truelift.verdicts.power import detectable_effect, power_paired_t, seeds_needed
from truelift.verdicts.question import POOLINGS, Pooling
from truelift.verdicts.requirement import Met, Requirement, met
from truelift.verdicts.scale import SCALES, in_points
from truelift.verdicts.sequential import Looks
from truelift.verdicts.sequential_path import Look
from truelift.verdicts.several import holm, holm_levels
from truelift.verdicts.unpaired import Welch, welch
from truelift.verdicts.until_decided import until_decided

__all__ = [
    "POOLINGS",
    "SCALES",
    "VERDICTS",
    "Agreed",
    "Comparison",
    "Ground",
    "Guard",
    "Guarded",
    "Look",
    "Looks",
    "Met",
    "Outlier",
    "Pooling",
    "PublishedFigure",
    "Requirement",
    "Scale",
    "Stop",
    "Verdict",
    "Welch",
    "WithFailures",
    "agreement",
    "agreement_interval",
    "at_equal_time",
    "below_p_value",
    "compare",
    "compare_unpaired",
    "detectable_effect",
    "dunnett_p_value",
    "equivalence_p_value",
    "example_standard_error",
    "holm",
    "holm_levels",
    "in_points",
    "met",
    "outlying_runs",
    "paired_t_interval",
    "paired_t_p_value",
    "pareto_front",
    "power_paired_t",
    "probability_better",
    "seeds_needed",
    "sign_flip_p_value",
    "spread",
    "step_down_dunnett",
    "until_decided",
    "welch",
]
