"""What the pairs of a variant say by themselves: judged once, or at any look of a study that grows.

`compare` asks one of these, or the folds' (`folds.py`), for p-values and intervals, so that every verdict rests on the
same rules, and a verdict of a study that stops when it is decided holds wherever it stops.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

from truelift.seeds import FEWEST_SEEDS
from truelift.verdicts.checks import Array
from truelift.verdicts.equivalence import below_p_value, equivalence_p_value
from truelift.verdicts.paired import paired_t_p_value, spread
from truelift.verdicts.power import detectable_effect
from truelift.verdicts.sample import Sample
from truelift.verdicts.sequential import Looks
from truelift.verdicts.student import critical


class Evidence(Protocol):
    """P-values and intervals of one sample. Levels are two-sided; limits and intervals are in working units."""

    def counted(self, sample: Sample) -> Sample:
        """The pairs that count by now."""

    def p_value(self, sample: Sample) -> float | None:
        """Two-sided, of a mean of 0, of pairs that count; None where there are too few."""

    def may_decide(self, sample: Sample) -> bool:
        """Whether there are pairs enough for a verdict."""

    def in_family(self, sample: Sample) -> bool:
        """Whether it is one of the tests that are corrected together."""

    def interval(self, sample: Sample, level: float) -> tuple[float, float]:
        """The interval of confidence 1 - level for the mean; the sample has a spread."""

    def below(self, sample: Sample, limit: float) -> float:
        """One-sided p-value of the mean being below `limit`."""

    def between(self, sample: Sample, low: float, high: float) -> float:
        """P-value of two one-sided tests that the mean lies between the two."""

    def upper(self, sample: Sample, level: float) -> float:
        """Upper end of the one-sided interval of confidence 1 - level for the mean; the sample has a spread."""

    def detectable(self, sample: Sample, level: float) -> float | None:
        """The mean that so many pairs find with a power of 80 %; None where that is not to be told."""


class OneLook:
    """A fixed number of pairs, judged once: Student's paired t."""

    def inflation(self, pairs: int) -> float:
        """The mean's standard error, in units of spread / sqrt(pairs): 1 for independent pairs, as seeds are."""
        return 1.0

    def counted(self, sample: Sample) -> Sample:
        """All pairs."""
        return sample

    def p_value(self, sample: Sample) -> float | None:
        """Student's; None below 2 pairs."""
        return paired_t_p_value(sample.differences, resolution=sample.resolution) if sample.seeds >= 2 else None

    def may_decide(self, sample: Sample) -> bool:
        """From three pairs on."""
        return sample.seeds >= FEWEST_SEEDS

    def in_family(self, sample: Sample) -> bool:
        """Where it may decide: what is never tested takes no level from the others."""
        return self.may_decide(sample)

    def interval(self, sample: Sample, level: float) -> tuple[float, float]:
        """Mean(d) +- t_{k-1} SE."""
        half = self._half(sample, level)
        return sample.difference - half, sample.difference + half

    def below(self, sample: Sample, limit: float) -> float:
        """As `below_p_value`."""
        return below_p_value(sample.differences, limit, resolution=sample.resolution)

    def between(self, sample: Sample, low: float, high: float) -> float:
        """The larger of the two one-sided tests' p-values."""
        return max(self.below(sample.turned(), -low), self.below(sample, high))

    def upper(self, sample: Sample, level: float) -> float:
        """Mean(d) + t_{k-1} SE, one-sided."""
        return sample.difference + self._half(sample, 2 * level)

    def detectable(self, sample: Sample, level: float) -> float | None:
        """As `detectable_effect`; None without spread, where an interval of no width would claim certainty."""
        if not sample.spread:
            return None
        return detectable_effect(sample.spread * self.inflation(sample.seeds), sample.seeds, alpha=level)

    def _half(self, sample: Sample, level: float) -> float:
        assert sample.spread
        k = sample.seeds
        return critical(k - 1, level) * sample.spread * self.inflation(k) / math.sqrt(k)


@dataclass(frozen=True)
class AnyStop:
    """A study that is judged while it grows: what holds wherever it stops.

    A look at k is taken as soon as k complete pairs are there, so that a pair that is missing delays a look and adds
    none. Pairs since the last look do not count yet. Of an interval's ends the innermost over all looks so far holds,
    since all looks' intervals hold the true difference together; the mean at the last look is kept inside.
    """

    looks: Looks

    def counted(self, sample: Sample) -> Sample:
        """The pairs up to the last look; before the first, those that are there."""
        taken = self._taken(sample.seeds)
        if not taken:
            return sample
        k = taken[-1]
        d = sample.differences[:k]
        return replace(
            sample,
            baseline=sample.baseline[:k],
            variant=sample.variant[:k],
            differences=d,
            spread=spread(d, resolution=sample.resolution),
        )

    def p_value(self, sample: Sample) -> float | None:
        """P(A_K <= min_j p_j (K / j)^1.5), p_j Student's at look j: see `Looks.p_value`."""
        found = [paired_t_p_value(part, resolution=sample.resolution) for part in self._at(sample.differences)]
        return self._over_looks(found)

    def may_decide(self, sample: Sample) -> bool:
        """From the first look on."""
        return sample.seeds >= self.looks.seeds[0]

    def in_family(self, sample: Sample) -> bool:
        """Always, with p = 1 before its first look: what is tested later shares the level from the beginning."""
        return True

    def interval(self, sample: Sample, level: float) -> tuple[float, float]:
        """The innermost ends of all looks' intervals; where they contradict each other, the last look's."""
        ends = self._ends(sample, level)
        low, high = max(low for low, _ in ends), min(high for _, high in ends)
        if low > high:
            low, high = ends[-1]
        return min(low, sample.difference), max(high, sample.difference)

    def below(self, sample: Sample, limit: float) -> float:
        """P(A_K <= min_j 2 p_j (K / j)^1.5) / 2, p_j the one-sided p-value at look j."""
        return self._one_sided(
            [below_p_value(part, limit, resolution=sample.resolution) for part in self._at(sample.differences)]
        )

    def between(self, sample: Sample, low: float, high: float) -> float:
        """The same of the two one-sided tests' p-values."""
        parts = self._at(sample.differences)
        return self._one_sided([equivalence_p_value(part, low, high, resolution=sample.resolution) for part in parts])

    def upper(self, sample: Sample, level: float) -> float:
        """The innermost of all looks' upper ends, and not below the mean."""
        return max(sample.difference, min(high for _, high in self._ends(sample, 2 * level)))

    def detectable(self, sample: Sample, level: float) -> float | None:
        """None: power is known of a fixed number of pairs, not at a stop."""
        return None

    def _taken(self, pairs: int) -> list[int]:
        return [k for k in self.looks.seeds if k <= pairs]

    def _at(self, differences: Array) -> list[Array]:
        """The differences as each look sees them."""
        return [differences[:k] for k in self._taken(differences.size)]

    def _one_sided(self, p_values: list[float]) -> float:
        return 1.0 if not p_values else self._over_looks([min(1.0, 2 * p) for p in p_values]) / 2

    def _over_looks(self, p_values: list[float]) -> float:
        return self.looks.p_value(p_values) if p_values else 1.0

    def _ends(self, sample: Sample, level: float) -> list[tuple[float, float]]:
        """Each look's interval, where it has a spread."""
        at_level = replace(self.looks, alpha=level)
        found = []
        for d in self._at(sample.differences):
            if s := spread(d, resolution=sample.resolution):
                half = critical(d.size - 1, at_level.level(d.size)) * s / math.sqrt(d.size)
                found.append((float(d.mean()) - half, float(d.mean()) + half))
        return found
