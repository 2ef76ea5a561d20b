"""Looks at a growing study: against the ordinary test, simulation, and the interval's promise."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from truelift.errors import InputError
from truelift.verdicts.sequential import Looks, crossing_probability, nominal_level
from truelift.verdicts.sequential_path import is_futile, path


@pytest.mark.parametrize("seeds", [3, 4, 10, 40])
@pytest.mark.parametrize("level", [0.003, 0.05, 0.4])
def test_one_look_is_the_ordinary_test(seeds: int, level: float) -> None:
    # The recursion runs through all seeds before the only look, so an error at any of them would show.
    assert crossing_probability((seeds,), level) == pytest.approx(level, rel=2e-3)


def _p_values(
    generator: np.random.Generator, studies: int, most: int, mean: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    d = generator.normal(mean, size=(studies, most))
    k = np.arange(1, most + 1)
    means = d.cumsum(axis=1) / k
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(((d**2).cumsum(axis=1) - k * means**2) / (k - 1))
        t = means * np.sqrt(k) / sd
    return means, sd, 2 * stats.t.sf(np.abs(t), np.maximum(1, k - 1))


@pytest.mark.parametrize("seeds", [tuple(range(3, 6)), tuple(range(3, 11)), (3, 5, 8, 12, 20)])
def test_any_stop_decides_a_null_study_at_the_level(seeds: tuple[int, ...]) -> None:
    looks = Looks(seeds)
    _, _, p = _p_values(np.random.default_rng(1), 100_000, seeds[-1])
    decided = np.zeros(len(p), dtype=bool)
    for k in seeds:
        decided |= p[:, k - 1] <= looks.level(k)
    assert decided.mean() == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / len(p)))


def test_intervals_of_all_looks_cover_together() -> None:
    looks = Looks.at_every_seed(10)
    mean, sd, _ = _p_values(np.random.default_rng(2), 100_000, 10, mean=1.3)
    held = np.ones(len(mean), dtype=bool)
    for k in looks.seeds:
        half = stats.t.isf(looks.level(k) / 2, k - 1) * sd[:, k - 1] / math.sqrt(k)
        held &= np.abs(mean[:, k - 1] - 1.3) <= half
    assert held.mean() == pytest.approx(0.95, abs=0.003)


def test_levels_up_to_a_half() -> None:
    assert 0.3 < Looks((3, 5), 0.5).level(5) < 0.5


def test_p_value_and_level_decide_alike() -> None:
    looks = Looks((3, 5, 8))
    reached = looks.level(5)
    assert looks.p_value([0.9, reached]) == pytest.approx(0.05, rel=1e-4)
    assert looks.p_value([0.9, 0.99 * reached]) < 0.05 < looks.p_value([0.9, 1.01 * reached])
    assert looks.p_value([0.9, reached, 0.9]) == looks.p_value([0.9, reached])  # what was decided stays so


def test_fewer_looks_cost_less() -> None:
    levels = [nominal_level(seeds, 0.05) for seeds in ((10,), (5, 10), tuple(range(3, 11)))]
    assert levels[0] == pytest.approx(0.05, rel=1e-3)
    assert all(a > b for a, b in itertools.pairwise(levels))


def test_path_agrees_with_itself() -> None:
    d = np.random.default_rng(3).normal(0.02, 0.05, size=8)
    found = path(d, Looks.at_every_seed(8), margins=(-0.2, 0.2))
    assert [look.seeds for look in found] == list(range(3, 9))
    outside = inside = False
    for look in found:
        low, high = look.interval
        outside |= low > 0 or high < 0
        inside |= low > -0.2 and high < 0.2
        assert (look.p_value <= 0.05) == outside
        assert look.p_no_effect is not None
        assert (look.p_no_effect <= 0.05) == inside
    assert inside
    assert path(d[:5], Looks.at_every_seed(8), margins=(-0.2, 0.2)) == found[:3]  # later seeds change no earlier look


def test_futility_against_the_noncentral_t() -> None:
    # Hajnal's ratio is that of the densities of t^2 with the effect and without.
    looks, d = Looks.at_every_seed(10), np.array([0.3, -0.5, 0.2, 0.6, -0.4, -0.3])
    t, k = d.mean() * math.sqrt(6) / d.std(ddof=1), 6
    effect = _effect_of_80_percent(10)
    nc = effect * math.sqrt(k)
    ratio = (stats.nct.pdf(t, k - 1, nc) + stats.nct.pdf(-t, k - 1, nc)) / (2 * stats.t.pdf(t, k - 1))
    assert is_futile(d, looks) == (ratio <= 0.2 / 0.95)
    assert ratio < 0.2  # so this case is futile, and the next is not
    assert not is_futile(d + 1, looks)
    assert not is_futile(d[:3], looks)


def _effect_of_80_percent(k: int) -> float:
    effects = np.linspace(0.5, 2, 15_001)
    limit = stats.t.isf(0.025, k - 1)
    power = stats.nct.sf(limit, k - 1, effects * math.sqrt(k))
    return float(effects[np.searchsorted(power, 0.8)])


@pytest.mark.parametrize(
    ("seeds", "alpha", "said"),
    [
        ((), 0.05, "looks must be numbers of seeds that rise, got"),
        ((5, 3), 0.05, "looks must be numbers of seeds that rise, got"),
        ((2, 5), 0.05, "looks must be between 3 and 200, got"),
        ((3, 201), 0.05, "looks must be between 3 and 200, got"),
        ((3, 5), 0.51, "alpha must be above 0 and at most 0.5, got"),
    ],
)
def test_bad_plans_are_refused(seeds: tuple[int, ...], alpha: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Looks(seeds, alpha)


def test_bad_p_values_are_refused() -> None:
    with pytest.raises(InputError, match="p_values must be between 0 and 1, got"):
        Looks((3, 5)).p_value([1.5])
    with pytest.raises(InputError, match="p_values must be one a look"):
        Looks((3, 5)).p_value([0.5, 0.5, 0.5])
