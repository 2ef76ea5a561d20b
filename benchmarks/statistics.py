"""How often do studies without an effect get a verdict, and how often is a real effect found?

    python benchmarks/statistics.py        (about a minute on one core)

Every cell simulates studies and passes each through `truelift.verdicts.compare`, as a user's study is. In a
null world baseline and variants have the same mean, so a verdict of helps or hurts is a false positive, counted once a
study however many variants it has. Required: at most 0.06 in every null world at 3, 5 and 10 seeds.

The last line is one JSON object: `false_positive_rate_max` over the null worlds, `false_positive_rate_stress_max` over
the one world that breaks the t-test's assumptions on purpose (not held to the limit; it shows what the method cannot
do), and `power_at_5_seeds_2sd`, the share of studies found to help at an effect of 2 standard deviations of the paired
differences.
"""

import os
import sys

# This file is named like a module of the standard library that others import: keep its folder off the path.
if (folder := os.path.dirname(os.path.abspath(__file__))) in sys.path:
    sys.path.remove(folder)

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from truelift.verdicts import compare, power_paired_t

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]

SEEDS = (3, 5, 10)
STUDIES = 10_000  # a Monte-Carlo error of 0.0022 at a rate of 0.05: the limit of 0.06 is 4.5 of them away
IMAGES = 360
STEP = 100 / IMAGES  # points of accuracy an image


@dataclass(frozen=True)
class World:
    """How results come about: `draw(generator, k)` gives the baseline's row and one row a variant, k seeds each."""

    name: str
    draw: Draw
    resolution: float = 0.0


def paired(
    noise: Callable[..., Array], correlation: float, variants: int, generator: np.random.Generator, k: int
) -> Array:
    """Noise of one distribution for all, part of it shared by the runs of a seed."""
    shared, own = noise(generator, (1, k)), noise(generator, (1 + variants, k))
    return math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own


def gaussian(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    return generator.normal(size=shape)


def heavy_tailed(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    return generator.standard_t(3, size=shape)


def skewed(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Skewness -2: most runs are near their best, a few are far worse."""
    return 1 - generator.exponential(size=shape)


def gumbel(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Skewness -1.14, mean 0."""
    return np.euler_gamma - generator.gumbel(size=shape)


def unequal(noise: Callable[..., Array], ratio: float, generator: np.random.Generator, k: int) -> Array:
    """The variant has the baseline's mean but `ratio` times its spread: the differences keep the skew."""
    baseline, variant = noise(generator, (2, k))
    return np.stack((baseline, ratio * variant))


def accuracy(a: float, b: float, generator: np.random.Generator, k: int) -> Array:
    """Percent right on the test images; a run is right on image i with probability p_i ~ Beta(a, b), alike for all."""
    chance = generator.beta(a, b, size=IMAGES)
    right = generator.random((2, k, IMAGES)) < chance
    return np.asarray(100 * right.mean(axis=2))


NULL_WORLDS = (
    World("gaussian, correlation 0", partial(paired, gaussian, 0.0, 1)),
    World("gaussian, correlation 0.9", partial(paired, gaussian, 0.9, 1)),
    World("gaussian, two variants", partial(paired, gaussian, 0.5, 2)),
    World("heavy tails (t with 3 degrees)", partial(paired, heavy_tailed, 0.5, 1)),
    World("skewed (exponential)", partial(paired, skewed, 0.5, 1)),
    World("skewed (Gumbel), variant twice the spread", partial(unequal, gumbel, 2.0)),
    # Mean 95.2 %, a run's sd 0.92 points = 3.3 images; and mean 99 %, where few images change: sd 0.43 points.
    World("accuracy on 360 images, 95 %", partial(accuracy, 2.0, 0.1), STEP),
    World("accuracy on 360 images, 99 %", partial(accuracy, 2.0, 0.02), STEP),
)
STRESS_WORLD = World("STRESS: exponential, variant 3 x the spread", partial(unequal, skewed, 3.0))


def rate(world: World, k: int, verdicts: set[str], *, effect: float = 0.0) -> float:
    """The share of studies with a variant that gets one of `verdicts`, `effect` added to every variant."""
    generator = np.random.default_rng([k, *world.name.encode()])  # a cell's numbers do not depend on the others
    hits = 0
    for _ in range(STUDIES):
        baseline, *others = world.draw(generator, k)
        variants = {str(i): results + effect for i, results in enumerate(others)}
        found = compare(baseline, variants, higher_is_better=True, resolution=world.resolution)
        hits += any(comparison.verdict in verdicts for comparison in found.values())
    return hits / STUDIES


def row(name: str, rates: list[float]) -> str:
    cells = (f"{value:.4f} ± {math.sqrt(value * (1 - value) / STUDIES):.4f}" for value in rates)
    return f"{name:46}" + "".join(f"{cell:>18}" for cell in cells)


def main() -> None:
    print(f"{STUDIES} studies a cell, ± one Monte-Carlo standard error\n")
    print(f"{'False positives':46}" + "".join(f"{f'{k} seeds':>18}" for k in SEEDS))
    decided = {"helps", "hurts"}
    worst = {}
    for world in (*NULL_WORLDS, STRESS_WORLD):
        rates = [rate(world, k, decided) for k in SEEDS]
        worst[world.name] = max(rates)
        print(row(world.name, rates), flush=True)

    # At a correlation of 0.5 the paired differences have the standard deviation of the results, which is 1 here.
    effect, world = 2.0, World("gaussian, correlation 0.5", partial(paired, gaussian, 0.5, 1))
    powers = [rate(world, k, {"helps"}, effect=effect) for k in SEEDS]
    print("\nPower at an effect of 2 standard deviations of the paired differences")
    print(row(world.name, powers))
    print(f"{'by the noncentral t':46}" + "".join(f"{power_paired_t(effect, 1, k):>18.4f}" for k in SEEDS))

    summary = {
        "false_positive_rate_max": max(worst[world.name] for world in NULL_WORLDS),
        "false_positive_rate_stress_max": worst[STRESS_WORLD.name],
        "power_at_5_seeds_2sd": powers[SEEDS.index(5)],
    }
    print(f"\n{json.dumps(summary)}")


if __name__ == "__main__":
    main()
