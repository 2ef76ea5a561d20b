"""Looks at a study while it grows: one level of error over all of them.

Letters: k paired seeds so far, K at most; W_k = sum(d) / sqrt(sum(d^2)) over the first k differences, and theta =
arccos(W_k / sqrt(k)), so that Student's t of the first k is sqrt(k - 1) cot(theta).

References: Armitage, McPherson & Rowe 1969, "Repeated Significance Tests on Accumulating Data" (the recursion);
Jennison & Turnbull 1991, "Exact Calculations for Sequential t, chi^2 and F Tests" (Student's t in place of the normal).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from truelift.errors import InputError, real, require
from truelift.seeds import FEWEST_SEEDS
from truelift.verdicts.checks import Array
from truelift.verdicts.special import special_functions
from truelift.verdicts.student import critical

FIRST_LOOK = FEWEST_SEEDS
MOST_SEEDS = 200
MOST_ALPHA = 0.5  # above it a decision says nothing
SHAPE = 1.5  # the level of a look grows with (k / K)^1.5: early looks cost little of the last one's
_STATES, _NODES = 65, 32
_FINE = 4  # times as many states below 5 seeds, where v still has kinks of its own
_BULK = 7.0  # standard deviations
# Of the table, denser where verdicts are made.
_LEVELS = (*np.geomspace(1e-6, 1e-3, 4).tolist(), *np.geomspace(2.5e-3, 0.3, 9).tolist(), 0.5, 0.7, 0.85, 1.0)


@dataclass(frozen=True)
class Looks:
    """At which numbers of seeds a study is judged, all fixed before its first run.

    Raises:
        InputError: Looks that do not rise, below 3 or above 200, or a level outside (0, 0.5].
    """

    seeds: tuple[int, ...]
    """Rising; the last is K."""
    alpha: float = 0.05
    """The chance, over all looks, that a variant without an effect is decided."""

    def __post_init__(self) -> None:
        real("alpha", self.alpha, lambda value: 0 < value <= MOST_ALPHA, f"above 0 and at most {MOST_ALPHA}")
        fits = bool(self.seeds) and all(a < b for a, b in pairwise(self.seeds))
        require("looks", list(self.seeds), fits, "numbers of seeds that rise")
        within = self.seeds[0] >= FIRST_LOOK and self.seeds[-1] <= MOST_SEEDS
        require("looks", list(self.seeds), within, f"between {FIRST_LOOK} and {MOST_SEEDS}")

    @classmethod
    def at_every_seed(cls, most_seeds: int, alpha: float = 0.05) -> "Looks":
        """A look after each seed from the third to the last.

        Raises:
            InputError: As `Looks`.
        """
        require("max_seeds", most_seeds, FIRST_LOOK <= most_seeds <= MOST_SEEDS, f"{FIRST_LOOK} to {MOST_SEEDS}")
        return cls(tuple(range(FIRST_LOOK, most_seeds + 1)), alpha)

    @property
    def most_seeds(self) -> int:
        """K."""
        return self.seeds[-1]

    def level(self, seeds: int) -> float:
        """What Student's ordinary two-sided p-value must reach at the look of `seeds`.

            alpha rho (k / K)^1.5,   rho so that all looks together decide with probability alpha without an effect

        Raises:
            InputError: There is no look at so many seeds.
        """
        require("seeds", seeds, seeds in self.seeds, f"one of the looks {list(self.seeds)}")
        return float(nominal_level(self.seeds, self.alpha) * (seeds / self.most_seeds) ** SHAPE)

    def p_value(self, p_values: Sequence[float]) -> float:
        """The p-value of the looks so far, valid wherever one stops: P(A_K <= min_j p_j (K / j)^1.5) without an effect.

        It is at most alpha exactly where one of the looks has reached its `level`.

        Args:
            p_values: Student's ordinary two-sided p-value at each look so far, in order.

        Raises:
            InputError: More p-values than looks, or one outside [0, 1].
        """
        if not 0 < len(p_values) <= len(self.seeds):
            raise InputError(f"p_values must be one a look, 1 to {len(self.seeds)}, got {len(p_values)}.")
        for value in p_values:
            require("p_values", value, 0 <= value <= 1, "between 0 and 1")
        done = self.seeds[: len(p_values)]
        least = min(p * (self.most_seeds / k) ** SHAPE for k, p in zip(done, p_values, strict=True))
        return tabulated_probability(self.seeds, least)


@lru_cache(maxsize=1024)
def nominal_level(looks: tuple[int, ...], alpha: float) -> float:
    """The level of the last look, alpha rho: `tabulated_probability` of it is alpha."""
    from scipy import optimize

    return float(
        optimize.brentq(lambda level: tabulated_probability(looks, level) - alpha, 1e-3 * alpha, 2 * alpha, rtol=1e-12)
    )


def tabulated_probability(looks: tuple[int, ...], level: float) -> float:
    """`crossing_probability` from a table, which a report asks a hundred times.

    Increasing in `level`; within 0.1 % of it where verdicts are made (0.004 to 0.1), and some percent far below.
    """
    if level <= 0:
        return 0.0
    if level >= 1:
        return 1.0
    if level < _LEVELS[0]:  # where it is proportional
        return float(np.exp(_table(looks)(math.log(_LEVELS[0]))) * level / _LEVELS[0])
    return float(np.exp(_table(looks)(math.log(level))))


@lru_cache(maxsize=64)
def _table(looks: tuple[int, ...]) -> Callable[[float], float]:
    """The logarithm of `crossing_probability` over that of its level."""
    from scipy import interpolate

    chances = [crossing_probability(looks, level) for level in _LEVELS]
    assert all(a < b for a, b in pairwise(chances)), "a higher level is crossed more often"
    found: Callable[[float], float] = interpolate.PchipInterpolator(np.log(_LEVELS), np.log(chances))
    return found


@lru_cache(maxsize=4096)
def crossing_probability(looks: tuple[int, ...], level: float) -> float:
    """P(some look k has p_k <= level (k / K)^1.5) for normal differences of mean 0, whatever their spread.

    Computed backwards. With a new difference the state moves to

        cos(theta') = sqrt(k / (k + 1)) cos(theta) sin(phi) + sqrt(1 / (k + 1)) cos(phi),   phi ~ sin(phi)^(k - 1),

    v_k(theta) is the chance that no later look decides, and theta is uniform on (0, pi) at k = 2. By symmetry theta is
    kept in (0, pi/2].

    Args:
        looks: Rising numbers of seeds from 3 on; the last is K.
        level: Of the look at K, at least 0.
    """
    if level <= 0:
        return 0.0
    last = looks[-1]
    if level >= 1:  # the look at K decides whatever it sees
        return 1.0
    # The largest |cos(theta)| at which a look goes on; 1 where there is no look.
    bounds = {k: _cosine(critical(k - 1, level * (k / last) ** SHAPE), k) for k in looks}
    chances = _Chances(0.0, 0.0, None, lambda theta: np.ones(theta.shape))
    for k in range(last - 1, 1, -1):
        # States below bounds[k] have been decided, and those far from pi/2 are reached with probability 1e-10.
        low = max(math.acos(bounds.get(k, 1.0)), math.pi / 2 - _BULK / math.sqrt(k - 1))
        chances = _step_back(low, k, bounds.get(k + 1, 1.0), chances)
    theta, weight = _nodes(np.array([chances.low, chances.split]), np.array([chances.split, math.pi / 2]))
    return float(np.clip(1 - 2 / math.pi * (weight * chances(theta)).sum(), 0.0, 1.0))


@dataclass(frozen=True)
class _Chances:
    """v_k on (low, pi/2): like a square root below `split`, from where on the next look may decide, smooth above."""

    low: float
    split: float
    below: Callable[[Array], Array] | None
    """Of sqrt(split - theta); None where low is split."""
    above: Callable[[Array], Array]
    """Of theta."""

    def __call__(self, theta: Array) -> Array:
        right = self.above(np.maximum(theta, self.split))
        if self.below is None:
            return right
        return np.where(theta < self.split, self.below(np.sqrt(np.maximum(0.0, self.split - theta))), right)


def _cosine(t: float, k: int) -> float:
    return t / math.sqrt(t * t + k - 1)


def _nodes(start: Array, end: Array) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights of intervals (..., ), each (..., nodes); none of a width below 0."""
    x, w = _legendre(_NODES)
    half = np.maximum(0.0, end - start)[..., None] / 2
    return start[..., None] + half * (x + 1), half * w


@lru_cache(maxsize=4)
def _legendre(nodes: int) -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(nodes)


def _step_back(low: float, k: int, bound: float, after: _Chances) -> _Chances:
    """v_k from v_{k + 1}, `after`, and the largest |cos(theta')| at which the look at k + 1 goes on."""
    from scipy import interpolate

    states = _STATES * _FINE if k < 5 else _STATES
    # Below it the next look may decide: the largest |cos(theta')| that theta reaches is `bound`.
    square = ((k + 1) * bound**2 - 1) / k
    split = max(low, math.acos(math.sqrt(min(1.0, max(0.0, square)))))
    theta = np.linspace(split, math.pi / 2, states)
    if split >= math.pi / 2 - 1e-9:  # the next look may decide from anywhere
        split, theta = low, np.linspace(low, math.pi / 2, states)
    # Even around pi/2, so its slope there is 0.
    above = interpolate.CubicSpline(theta, _mean(theta, k, bound, after), bc_type=("not-a-knot", (1, 0.0)))
    if split - low < 1e-9:
        return _Chances(low, split, None, above)
    roots = np.linspace(0.0, math.sqrt(split - low), states)
    return _Chances(low, split, interpolate.CubicSpline(roots, _mean(split - roots**2, k, bound, after)), above)


def _mean(theta: Array, k: int, bound: float, after: _Chances) -> Array:
    """The mean of v_{k + 1} over the next difference where its look goes on, by state."""
    special = special_functions()

    # cos(theta') = reach cos(phi - turn)
    up, along = math.sqrt(1 / (k + 1)), math.sqrt(k / (k + 1)) * np.cos(theta)
    reach, turn = np.hypot(up, along), np.arctan2(along, up)
    # |phi - turn| modulo pi lies beyond `away` where the look goes on; at `kink` v_{k + 1} changes its form.
    away = np.arccos(np.minimum(1, bound / reach))
    kink = np.maximum(away, np.arccos(np.minimum(1, math.cos(after.split) / reach)))
    log_density = special.gammaln((k + 1) / 2) - special.gammaln(k / 2) - math.log(math.pi) / 2
    first = max(0.0, math.pi / 2 - _BULK / math.sqrt(k - 1))  # beyond it sin(phi)^(k - 1) is below 1e-10
    total = np.zeros(theta.shape)
    for start, end in ((away, kink), (kink, math.pi - kink), (math.pi - kink, math.pi - away)):
        for shift in (turn, turn - math.pi):
            ends = [np.clip(side + shift, first, math.pi - first) for side in (start, end)]
            here = np.flatnonzero(ends[1] > ends[0])
            if not here.size:
                continue
            phi, weight = _nodes(ends[0][here], ends[1][here])
            cosine = np.abs(reach[here, None] * np.cos(phi - turn[here, None]))
            following = np.maximum(np.arccos(np.minimum(1, cosine)), after.low)
            total[here] += (weight * math.exp(log_density) * np.sin(phi) ** (k - 1) * after(following)).sum(axis=1)
    return total
