"""How many runs does a study until decided take, and what does it find, against one of a fixed number of seeds?

    python benchmarks/until_decided.py        (some two minutes on one core)

Studies of three variants, whose paired differences have a true mean of 3 standard deviations (strong), none (null) and
1 (weak), at most K seeds, a look at every seed from the third. All verdicts are computed on the arrays of all studies
at once, from the levels of `truelift.verdicts.Looks`; of the first hundred, `until_decided` with `compare`, as a user's
study is judged, must find the same verdicts and stops.

The last line is one JSON object, for K = 15: `false_positive_rate`, the share of studies in which null is decided (at
most 0.05); `seeds_over_fixed_plan_k15`, runs over those of a fixed plan of K seeds, the baseline's among them (at most
0.6); `power_weak` and `power_weak_fixed`, the share of studies in which weak is found.
"""

import os
import sys

# A neighbour is named like a module of the standard library: keep the folder off the path.
if (folder := os.path.dirname(os.path.abspath(__file__))) in sys.path:
    sys.path.remove(folder)

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truelift.verdicts import Comparison, Looks, compare, until_decided
from truelift.verdicts.power import POWER, detectable_effect
from truelift.verdicts.sequential import nominal_level

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]

STUDIES = 10_000
EFFECTS = (3.0, 0.0, 1.0)
ALPHA = 0.05
FIRST_FUTILITY = 4
CHECKED = 100


@dataclass(frozen=True)
class Outcome:
    """What was found, (studies, m) each."""

    decided: Flags
    better: Flags
    """Whether the mean at the stop is above 0."""
    stop: Counts


def grow(d: Array, looks: Looks) -> Outcome:
    """Studies until decided, on paired differences (studies, m, K): Holm over the variants, with futility."""
    studies, variants, most = d.shape
    least = np.full((studies, variants), np.inf)  # of p_j (K / j)^1.5, until the stop
    stop = np.zeros((studies, variants), dtype=np.int64)
    decided = np.zeros((studies, variants), dtype=bool)
    better = np.zeros((studies, variants), dtype=bool)
    steps = np.array([nominal_level(looks.seeds, ALPHA / left) for left in range(variants, 0, -1)])
    for k in looks.seeds:
        going = stop == 0
        mean, p = tested(d[:, :, :k])
        least = np.where(going, np.minimum(least, p * (most / k) ** 1.5), least)
        rejected, level = holm(least, steps)
        now = going & rejected
        decided |= now
        better = np.where(now, mean > 0, better)
        settled = now if k < most else going
        if FIRST_FUTILITY <= k < most:
            settled = settled | (going & ~now & futile(d[:, :, :k], most, level))
        stop[settled] = k
    return Outcome(decided, better, stop)


def tested(d: Array) -> tuple[Array, Array]:
    """Means and Student's two-sided p-values of (…, k) differences."""
    from scipy import special

    k = d.shape[-1]
    mean = d.mean(axis=-1)
    return mean, 2 * special.stdtr(k - 1, -np.abs(mean) * np.sqrt(k) / d.std(axis=-1, ddof=1))


def holm(least: Array, steps: Array) -> tuple[Flags, Array]:
    """What Holm rejects, and how many are left to reject for each variant: the divisor of its level."""
    order = np.argsort(least, axis=1)
    rejected = np.logical_and.accumulate(np.take_along_axis(least, order, 1) <= steps, axis=1)
    found = np.empty_like(rejected)
    np.put_along_axis(found, order, rejected, axis=1)
    left = least.shape[1] - rejected.sum(axis=1)
    return found, np.broadcast_to(np.maximum(1, left)[:, None], least.shape)


def futile(d: Array, most: int, left: Array) -> Flags:
    """Hajnal's ratio, at the level alpha / left."""
    from scipy import special

    k = d.shape[-1]
    squared = k * (d.mean(axis=-1) / d.std(axis=-1, ddof=1)) ** 2
    share = squared / (squared + k - 1)
    half = np.select(
        [left == m for m in range(1, d.shape[1] + 1)],
        [k * detectable_effect(1.0, most, alpha=ALPHA / m) ** 2 / 2 for m in range(1, d.shape[1] + 1)],
    )
    ratio = np.exp(-half) * special.hyp1f1(k / 2, 0.5, half * share)
    return np.asarray(ratio <= (1 - POWER) / 0.95)


def fixed(d: Array) -> Flags:
    """What a fixed plan decides, (studies, m)."""
    _, p = tested(d)
    return holm(p, np.array([ALPHA / left for left in range(d.shape[1], 0, -1)]))[0]


def check(d: Array, looks: Looks, found: Outcome) -> None:
    """The product's verdicts and stops on the first studies are those of the arrays."""
    names = [str(i) for i in range(d.shape[1])]
    for index in range(CHECKED):
        told = judged(d[index], looks)
        assert [told[name].verdict != "undecided" for name in names] == found.decided[index].tolist(), index
        stops = [stop.seeds for name in names if (stop := told[name].stop) is not None]
        assert stops == found.stop[index].tolist(), index


def judged(differences: Array, looks: Looks) -> dict[str, Comparison]:
    """One study by `until_decided`, all of whose runs have ended."""
    most = differences.shape[1]
    base = np.arange(most) / 7  # not all one number
    others = {str(i): base + row for i, row in enumerate(differences)}

    def judge(counts: Mapping[str, int]) -> dict[str, Comparison]:
        cut = {name: np.where(np.arange(most) < counts[name], values, np.nan) for name, values in others.items()}
        return compare(base, cut, higher_is_better=True, looks=looks)

    return until_decided(judge, dict.fromkeys(others, most), most, looks)


def main() -> None:
    print(f"{STUDIES} studies of three variants: 3 sd, 0 and 1 sd\n")
    print(f"{'K':>4}{'null decided':>16}{'strong found':>16}{'weak found':>14}{'fixed':>10}{'runs / fixed':>15}")
    summary: dict[str, float] = {}
    for most in (10, 15, 20):
        looks = Looks.at_every_seed(most)
        generator = np.random.default_rng([most, 1])
        d = np.array(EFFECTS)[:, None] + generator.normal(size=(STUDIES, 3, most))
        found = grow(d, looks)
        check(d, looks, found)
        right = (found.decided & found.better).mean(axis=0)
        runs = (found.stop.sum(axis=1) + found.stop.max(axis=1)).mean() / (4 * most)
        of_fixed = float(fixed(d)[:, 2].mean())
        null = float(found.decided[:, 1].mean())
        print(f"{most:>4}{null:>16.4f}{right[0]:>16.4f}{right[2]:>14.4f}{of_fixed:>10.4f}{runs:>15.3f}", flush=True)
        if most == 15:
            summary = {
                "false_positive_rate": null,
                "seeds_over_fixed_plan_k15": float(runs),
                "power_weak": float(right[2]),
                "power_weak_fixed": of_fixed,
            }
    print(f"\n{json.dumps(summary)}")


if __name__ == "__main__":
    main()
