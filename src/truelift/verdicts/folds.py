"""Pairs that are the folds of one data set: they share training images, so that they vary too little among themselves.

Letters: k folds; d is the array of k paired differences, variant - baseline; s from `spread`; r = n_test / n_train.

Each fold's training images are for the most part those of the other folds. So the k differences are correlated, their
mean varies more than s^2 / k says, and Student's paired t finds effects that are not there. Nadeau and Bengio take the
correlation of two folds to be n_test / (n_test + n_train), the share of images that they do not train on, which gives

    SE^2 = (1/k + n_test/n_train) s^2,      t = mean(d) / SE,   k - 1 degrees of freedom.

It is an approximation: no estimate of that variance is unbiased for all data (Bengio and Grandvalet 2004). In the
simulation of benchmarks/folds.py it keeps its level where the plain test does not.

References: Nadeau and Bengio 2003, "Inference for the Generalization Error", Machine Learning 52, 239-281, section 3;
Bouckaert and Frank 2004, "Evaluating the Replicability of Significance Tests for Comparing Learning Algorithms".
"""

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike

from truelift.errors import require
from truelift.verdicts.checks import differences_of
from truelift.verdicts.evidence import OneLook
from truelift.verdicts.paired import spread
from truelift.verdicts.sample import Sample
from truelift.verdicts.special import special_functions


def corrected_t_p_value(differences: ArrayLike, ratio: float, *, resolution: float = 0.0) -> float:
    """Two-sided p-value of a mean difference of 0: t = mean(d) / (s sqrt(1/k + r)), k - 1 degrees of freedom.

    Without any spread it is 1: equal signs say nothing where the folds are not independent.

    Args:
        differences: k >= 2 paired differences, one a fold.
        ratio: r = n_test / n_train, above 0; 1/(k - 1) where all that is not held out is trained on.
        resolution: See `spread`.

    Raises:
        InputError: As `spread`, and for a ratio that is not above 0 and finite.
    """
    special = special_functions()

    d = differences_of(differences, fewest=2)
    se = corrected_standard_error(d, ratio, resolution=resolution)
    mean = float(d.mean())
    return 1.0 if mean == 0 or se == 0 else float(2 * special.stdtr(d.size - 1, -abs(mean) / se))


def corrected_standard_error(differences: ArrayLike, ratio: float, *, resolution: float = 0.0) -> float:
    """S sqrt(1/k + r): the corrected standard error of the mean difference over k folds.

    Args:
        differences: k >= 2 paired differences, one a fold.
        ratio: r, above 0.
        resolution: See `spread`.

    Raises:
        InputError: As `corrected_t_p_value`.
    """
    check_ratio(ratio)
    d = differences_of(differences, fewest=2)
    return spread(d, resolution=resolution) * math.sqrt(1 / d.size + ratio)


def check_ratio(ratio: float) -> None:
    """Refuse what is no ratio of numbers of images.

    Raises:
        InputError: It is not above 0 and finite.
    """
    require("n_test / n_train", ratio, 0 < ratio < math.inf, "above 0 and finite")


@dataclass(frozen=True)
class DependentFolds(OneLook):
    """Evidence of the folds of one data set: Student's with the corrected standard error."""

    ratio: float
    """n_test / n_train."""

    def inflation(self, pairs: int) -> float:
        """SE in units of s / sqrt(k): sqrt(1 + k r)."""
        return math.sqrt(1 + pairs * self.ratio)

    def p_value(self, sample: Sample) -> float | None:
        """As `corrected_t_p_value`; None below 2 folds."""
        if sample.seeds < 2:
            return None
        return corrected_t_p_value(sample.differences, self.ratio, resolution=sample.resolution)

    def below(self, sample: Sample, limit: float) -> float:
        """P(t_{k-1} <= (mean(d) - limit) / SE); without a spread 1."""
        special = special_functions()

        if math.isinf(limit):
            return 0.0 if limit > 0 else 1.0
        se = corrected_standard_error(sample.differences, self.ratio, resolution=sample.resolution)
        return 1.0 if se == 0 else float(special.stdtr(sample.seeds - 1, (sample.difference - limit) / se))
