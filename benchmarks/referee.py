"""How often does a search of 300 candidates promote one that is no better, with and without a referee?

    python benchmarks/referee.py        (three minutes on one core)

A search tries 300 candidates one after the other against a baseline. Each is judged by k = 10 paired seeds; the paired
differences are normal with standard deviation 1, of mean 0 for a candidate without effect and of a stated number of
standard deviations for a real one. Each search goes through `truelift.referee.Account`, which is what a ledger keeps
its levels with; p-values are computed for whole searches at once, and those of the first ones are held against
`truelift.verdicts` as a ledger uses it. A candidate that passes its level counts as promoted.

Cells: 300 candidates without effect, and 20 real ones at random places among 300. Then what the rules assume is broken
on purpose: all candidates use the same runs of the baseline, or a program climbs in the noise, each candidate a
neighbour of the best so far on the same seeds; and noise that is not normal, where the far tail of Student's t is not
the truth.

The last line is one JSON object. `false_promotions_rate`: the share of searches with any false promotion, by alpha
spending (300 candidates stated), the larger of both cells; at most 0.05, and 0.0488 by calculation where none is real.
`power`: the share of the 20 real candidates, of 2 standard deviations, that it promotes. `naive_false_promotions`: the
share of the searches with any false promotion where each candidate is judged by itself, two-sided at 0.05;
`naive_false_promotions_mean`: how many there are in a search. `lord_false_discovery_rate` and
`saffron_false_discovery_rate` (at most 0.05), the larger of both cells, and the powers of these rules.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from truelift.referee import Account, Rule
from truelift.referee.ledger import promotion_p_value
from truelift.verdicts import compare

Array = NDArray[np.float64]

CANDIDATES, REAL, SEEDS, ALPHA = 300, 20, 10, 0.05
SEARCHES = 2_000  # a Monte-Carlo error of 0.005 at a rate of 0.05
MOST_SEARCHES = 50_000  # of spending with a stated number, whose rate is close to the limit: an error of 0.001
RULES: tuple[tuple[str, Rule, int | None], ...] = (
    ("spending, 300 stated", "spending", CANDIDATES),
    ("spending, open end", "spending", None),
    ("LORD++", "lord", None),
    ("SAFFRON", "saffron", None),
)


@dataclass(frozen=True)
class Rates:
    """Over all searches."""

    any_false: float
    """Share of searches with a false promotion."""
    mean_false: float
    """False promotions a search."""
    false_discovery: float
    """Mean of false promotions over max(promotions, 1)."""
    power: float
    """Share of the real candidates that are promoted; NaN without any."""


def p_values(differences: Array) -> Array:
    """One-sided, of Student's t: (searches, candidates, k) to (searches, candidates)."""
    k = differences.shape[-1]
    t = differences.mean(axis=-1) / differences.std(axis=-1, ddof=1) * math.sqrt(k)
    found: Array = special.stdtr(k - 1, -t)
    return found


def promoted(p: Array, rule: Rule, candidates: int | None) -> NDArray[np.bool_]:
    """Each search judged by one account, one candidate after the other."""
    found = np.zeros(p.shape, dtype=bool)
    for search, row in enumerate(p.tolist()):
        account = Account(rule, alpha=ALPHA, candidates=candidates)
        for i, value in enumerate(row):
            passed = value <= account.open()[0]
            account.close(i + 1, value, passed)
            found[search, i] = passed
    return found


def rates(passed: NDArray[np.bool_], real: NDArray[np.bool_]) -> Rates:
    false = (passed & ~real).sum(axis=1)
    power = float((passed & real).sum() / real.sum()) if real.any() else math.nan
    share = false / np.maximum(passed.sum(axis=1), 1)
    return Rates(float((false > 0).mean()), float(false.mean()), float(share.mean()), power)


def search(
    generator: np.random.Generator, effect: float, searches: int, seeds: int = SEEDS
) -> tuple[Array, NDArray[np.bool_]]:
    """P-values, and which candidates are real: none for an effect of 0."""
    real = np.zeros((searches, CANDIDATES), dtype=bool)
    if effect:
        real[:, :REAL] = True
        real = generator.permuted(real, axis=1)
    p = np.empty(real.shape)
    for i in range(searches):  # one at a time: the differences of all would take gigabytes
        differences = generator.normal(size=(1, CANDIDATES, seeds)) + effect * real[i, :, None]
        p[i] = p_values(differences)[0]
        if i < 3:
            check(p[i, :5], differences[0, :5])
    return p, real


def check(p: Array, differences: Array) -> None:
    """The p-values are those of a ledger."""
    for value, d in zip(p, differences, strict=True):
        base = np.linspace(0, 1, d.size)
        found = compare(base, {"one": base + d}, higher_is_better=True)["one"]
        assert math.isclose(promotion_p_value(found, higher_is_better=True), value, rel_tol=1e-6), (value, found)


def shared_baseline(generator: np.random.Generator, searches: int) -> Array:
    """All candidates against the same runs of the baseline."""
    p = np.empty((searches, CANDIDATES))
    for i in range(searches):
        base, own = generator.normal(size=(1, 1, SEEDS)), generator.normal(size=(1, CANDIDATES, SEEDS))
        p[i] = p_values((own - base) / math.sqrt(2))[0]
    return p


def climbing(generator: np.random.Generator, searches: int) -> Array:
    """Each candidate a neighbour of the best so far, on the same seeds: no candidate has an effect on fresh ones."""
    best = generator.normal(size=(searches, SEEDS))
    p = np.empty((searches, CANDIDATES))
    p[:, 0] = lowest = p_values(best)
    for i in range(1, CANDIDATES):
        here = 0.9 * best + math.sqrt(1 - 0.9**2) * generator.normal(size=best.shape)
        p[:, i] = p_values(here)
        better = p[:, i] < lowest
        best[better], lowest = here[better], np.minimum(lowest, p[:, i])
    return p


def not_normal(draw: Callable[[tuple[int, ...]], Array], searches: int) -> Array:
    """Baseline and candidate of one distribution that is not normal."""
    p = np.empty((searches, CANDIDATES))
    for i in range(searches):
        p[i] = p_values(draw((1, CANDIDATES, SEEDS)) - draw((1, CANDIDATES, SEEDS)))[0]
    return p


def tell(name: str, found: Rates) -> None:
    power = "" if math.isnan(found.power) else f"  power {found.power:.3f}"
    print(
        f"  {name:22}  any false {found.any_false:.4f}  false a search {found.mean_false:7.4f}  "
        f"false discovery rate {found.false_discovery:.4f}{power}",
        flush=True,
    )


def judge_all(title: str, p: Array, real: NDArray[np.bool_]) -> dict[str, Rates]:
    fewer = min(len(p), SEARCHES)
    more = f", the first rule {len(p):,}" if len(p) > fewer else ""
    print(f"{title} ({fewer:,} searches{more})")
    found = {}
    for name, rule, stated in RULES:
        count = fewer if stated is None else len(p)
        found[name] = rates(promoted(p[:count], rule, stated), real[:count])
    found["each by itself"] = rates(p <= 0.025, real)
    for name, one in found.items():
        tell(name, one)
    return found


def main() -> None:
    generator = np.random.default_rng(0)
    null = judge_all(f"{CANDIDATES} without effect, {SEEDS} seeds", *search(generator, 0.0, MOST_SEARCHES))
    real = judge_all(f"{REAL} real of 2 sd among {CANDIDATES}, {SEEDS} seeds", *search(generator, 2.0, MOST_SEARCHES))
    fewer = SEARCHES // 4
    for effect, seeds in ((1.0, SEEDS), (3.0, SEEDS), (3.0, 5)):
        judge_all(f"{REAL} real of {effect:g} sd, {seeds} seeds", *search(generator, effect, fewer, seeds))
    none = np.zeros((fewer, CANDIDATES), dtype=bool)
    judge_all("none real, the baseline's runs used again", shared_baseline(generator, fewer), none)
    judge_all("none real, climbing on the same seeds", climbing(generator, fewer), none)
    judge_all("none real, Student's t of 3 degrees", not_normal(lambda s: generator.standard_t(3, s), fewer), none)
    judge_all("none real, exponential", not_normal(lambda s: generator.exponential(size=s), fewer), none)
    judge_all("none real, uniform", not_normal(lambda s: generator.uniform(size=s), fewer), none)
    spending = RULES[0][0]
    result = {
        "false_promotions_rate": max(null[spending].any_false, real[spending].any_false),
        "power": real[spending].power,
        "naive_false_promotions": null["each by itself"].any_false,
        "naive_false_promotions_mean": null["each by itself"].mean_false,
        "naive_false_discovery_rate_20_real": real["each by itself"].false_discovery,
        "lord_false_discovery_rate": max(null["LORD++"].false_discovery, real["LORD++"].false_discovery),
        "lord_power": real["LORD++"].power,
        "saffron_false_discovery_rate": max(null["SAFFRON"].false_discovery, real["SAFFRON"].false_discovery),
        "saffron_power": real["SAFFRON"].power,
    }
    print(json.dumps({name: round(value, 4) for name, value in result.items()}))
    limited = ("false_promotions_rate", "lord_false_discovery_rate", "saffron_false_discovery_rate")
    sys.exit(any(result[name] > ALPHA for name in limited))


if __name__ == "__main__":
    main()
