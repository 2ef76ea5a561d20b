"""What is asked of results, beside the results themselves."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from numpy.typing import ArrayLike

from truelift.errors import InputError, known, require
from truelift.metrics import Scale
from truelift.verdicts.checks import Array, arms_of, at_least_zero, fraction
from truelift.verdicts.evidence import AnyStop, Evidence, OneLook
from truelift.verdicts.folds import DependentFolds, check_ratio
from truelift.verdicts.pooled import FEWEST_VARIANTS
from truelift.verdicts.scale import in_points
from truelift.verdicts.sequential import Looks

NO_POOLING = 'pooling = "guarded" has no form that holds at any stop: leave it out, or give a fixed number of seeds'

Pooling = Literal["none", "guarded"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


@dataclass(frozen=True, kw_only=True)
class Question:
    """The arguments of `compare` that are no results; of runs that are no pairs too.

    Raises:
        InputError: One is outside its range.
    """

    higher_is_better: bool
    smallest_effect: float
    relative: bool
    resolution: float
    confidence: float
    unit: str
    may_be_constant: bool
    pooling: Pooling = "none"
    looks: Looks | None = None
    levels: Mapping[str, float] | None = None
    held_out: float | None = None

    def __post_init__(self) -> None:
        at_least_zero("smallest_effect", self.smallest_effect)
        at_least_zero("resolution", self.resolution)
        fraction("confidence", self.confidence)

    def arms(
        self, baseline: ArrayLike, variants: Mapping[str, ArrayLike], scale: Scale | None
    ) -> tuple[Array, dict[str, Array]]:
        """The results of the baseline and of each variant, as percent where differences are in points."""
        arms = arms_of(baseline, variants)
        if self.unit == "points" and not self.relative:
            arms = in_points("the metric", arms, scale)
        return arms[0], dict(zip(variants, arms[1:], strict=True))

    @property
    def alpha(self) -> float:
        """The level of the tests over all variants."""
        return 1 - self.confidence

    @property
    def evidence(self) -> Evidence:
        """How pairs are tested."""
        if self.held_out is not None:
            return DependentFolds(self.held_out)
        return OneLook() if self.looks is None else AnyStop(self.looks)

    def check_paired(self, variants: Mapping[str, ArrayLike]) -> None:
        """Refuse what does not go together where runs are pairs.

        Args:
            variants: The results of each, by name.

        Raises:
            InputError: It does not.
        """
        known("pooling", self.pooling, POOLINGS)
        if self.looks is not None:
            require("looks' alpha", self.looks.alpha, math.isclose(self.looks.alpha, self.alpha), "1 - confidence")
            if self.pooling != "none":
                raise InputError(f"{NO_POOLING}.")
        if self.pooling == "guarded" and len(variants) < FEWEST_VARIANTS:
            raise InputError(f'pooling = "guarded" needs {FEWEST_VARIANTS} variants or more, got {len(variants)}.')
        if self.held_out is not None:
            check_ratio(self.held_out)
            refused = {
                "pooling": self.pooling != "none",
                "looks": self.looks is not None,
                "levels": self.levels is not None,
            }
            for name, given in refused.items():
                if given:
                    raise InputError(f"{name} must be left out with folds: its tests are for independent pairs.")
        if self.levels is not None:
            self._check_levels(self.levels, variants)

    def _check_levels(self, levels: Mapping[str, float], variants: Mapping[str, ArrayLike]) -> None:
        if levels.keys() != variants.keys():
            raise InputError(f"levels must be given for {', '.join(variants)}, got {', '.join(levels) or 'none'}.")
        for name, level in levels.items():
            fraction(f'the level of "{name}"', level)
        if self.pooling != "none":
            raise InputError(f"levels must be left out with pooling = {self.pooling}, whose tests are one family.")
        if self.looks is not None:
            raise InputError("levels must be left out with looks: each is for one look.")
