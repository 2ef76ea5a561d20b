"""How much the paired differences of a study scatter: what a study to come is planned by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from truelift.verdicts.paired import sample_sd

FEWEST_PAIRS = 3
"""Two have a standard deviation that tells next to nothing."""


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """The noise of paired differences, variant less baseline under one seed, in their unit."""

    sd: float
    """Root mean square of the variants' sample standard deviations, at least 0."""
    least: float
    """The smallest of them."""
    most: float
    """The largest."""
    variants: int
    """How many have three pairs or more; the others are left out."""
    seeds: int
    """The fewest pairs of such a variant, at least 3."""


def scatter(differences: Iterable[Sequence[float]]) -> Scatter | None:
    """Of the differences of each variant; None where no variant has enough pairs."""
    enough = [np.asarray(one) for one in differences if len(one) >= FEWEST_PAIRS]
    if not enough:
        return None
    sds = [sample_sd(one) for one in enough]
    return Scatter(
        sd=float(np.sqrt(np.mean(np.square(sds)))),
        least=min(sds),
        most=max(sds),
        variants=len(enough),
        seeds=min(map(len, enough)),
    )
