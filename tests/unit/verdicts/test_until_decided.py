"""The rule of studies until decided: against the table, a plain rewriting of the rule, and what it promises."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from truelift.errors import InputError
from truelift.verdicts import Comparison, Guard, Looks, compare, until_decided
from truelift.verdicts.sequential import nominal_level
from truelift.verdicts.until_decided import Judge

Array = npt.NDArray[np.float64]

# rho by level and K: simulated with 6 million paths, three figures.
RHO = {
    0.05: {4: 0.717, 5: 0.606, 6: 0.546, 8: 0.482, 10: 0.447, 20: 0.383},
    0.025: {4: 0.691, 5: 0.577, 8: 0.446, 10: 0.410, 20: 0.347},
    0.05 / 3: {5: 0.562, 10: 0.394, 20: 0.330},
}
CRITICAL_T_OF_10 = (16.45, 7.14, 4.92, 3.99, 3.48, 3.16, 2.93, 2.75)


@pytest.mark.parametrize(("alpha", "most", "rho"), [(a, k, rho) for a, of in RHO.items() for k, rho in of.items()])
def test_levels_are_those_that_were_simulated(alpha: float, most: int, rho: float) -> None:
    assert nominal_level(tuple(range(3, most + 1)), alpha) / alpha == pytest.approx(rho, abs=0.003)


def test_critical_t_is_what_was_simulated() -> None:
    looks = Looks.at_every_seed(10)
    found = [stats.t.isf(looks.level(k) / 2, k - 1) for k in looks.seeds]
    assert found == pytest.approx(CRITICAL_T_OF_10, rel=4e-3)


def _judge(base: Array, others: Mapping[str, Array], looks: Looks, **options: Any) -> Judge:
    """As a report judges: results behind a variant's number left out."""

    def judge(counts: Mapping[str, int]) -> Mapping[str, Comparison]:
        seeds = np.arange(len(base))
        cut = {name: np.where(seeds < counts[name], values, np.nan) for name, values in others.items()}
        failed = {name: (seeds < counts[name]) & np.isnan(others[name]) for name in others}
        last = np.where(seeds < max(counts.values()), base, np.nan)
        base_failed = (seeds < max(counts.values())) & np.isnan(base)
        return compare(
            last, cut, higher_is_better=True, looks=looks, failed=failed, baseline_failed=base_failed, **options
        )

    return judge


def _decided(judge: Judge, ended: Mapping[str, int], baseline_ended: int, looks: Looks) -> dict[str, Any]:
    """Each with its stop, which is there."""
    return until_decided(judge, ended, baseline_ended, looks)


def _all(base: Array, others: Mapping[str, Array], looks: Looks, **options: Any) -> dict[str, Any]:
    return _decided(_judge(base, others, looks, **options), dict.fromkeys(others, len(base)), len(base), looks)


def _plain_rule(d: Array, most: int, rho: Mapping[float, Mapping[int, float]]) -> tuple[list[bool], list[int]]:
    """The rule in loops, for two variants: Holm by hand, from the table's rho; decided variants and their stops."""
    level = {1: 0.05 * rho[0.05][most], 2: 0.025 * rho[0.025][most]}
    least, stop, decided = [math.inf, math.inf], [0, 0], [False, False]
    for k in range(3, most + 1):
        for i in (0, 1):
            if not stop[i]:
                p = stats.ttest_1samp(d[i, :k], 0).pvalue
                least[i] = min(least[i], p * (most / k) ** 1.5)
        first, second = sorted((0, 1), key=lambda i: least[i])
        rejected = [False, False]
        rejected[first] = least[first] <= level[2]
        rejected[second] = rejected[first] and least[second] <= level[1]
        left = 2 - sum(rejected)
        for i in (0, 1):
            if stop[i]:
                continue
            if rejected[i]:
                decided[i], stop[i] = True, k
            elif k == most or (k >= 4 and _hajnal(d[i, :k], most, 0.05 / max(1, left))):
                stop[i] = k
    return decided, stop


def _hajnal(d: Array, most: int, alpha: float) -> bool:
    """The ratio from scipy's noncentral t densities, with the effect that K seeds find with 80 % power."""
    limit = stats.t.isf(alpha / 2, most - 1)
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if stats.nct.sf(limit, most - 1, middle) < 0.8 else (low, middle)
    k = len(d)
    t, shift = d.mean() * math.sqrt(k) / d.std(ddof=1), low * math.sqrt(k / most)
    ratio = (stats.nct.pdf(t, k - 1, shift) + stats.nct.pdf(-t, k - 1, shift)) / (2 * stats.t.pdf(t, k - 1))
    return bool(ratio <= 0.2 / 0.95)


@pytest.mark.parametrize("most", [5, 10])
def test_stops_and_verdicts_are_those_of_the_plain_rule(most: int) -> None:
    generator, agree = np.random.default_rng(most), 0
    stops: set[int] = set()
    for _ in range(30):
        d = np.array([[2.5], [0.5]]) + generator.normal(size=(2, most))
        base = generator.normal(size=most)
        found = _all(base, {"a": base + d[0], "b": base + d[1]}, Looks.at_every_seed(most))
        decided, stop = _plain_rule(d, most, RHO)
        told = [c.verdict != "undecided" for c in found.values()], [c.stop.seeds for c in found.values()]
        agree += told == (decided, stop)
        stops |= set(stop)
    # The table has three figures: a p-value between its level and ours is rare.
    assert agree >= 29
    assert len(stops) > 2


def test_a_settled_verdict_agrees_with_its_interval() -> None:
    looks, generator = Looks.at_every_seed(8), np.random.default_rng(4)
    seen = set()
    for effect in np.repeat((0.0, 0.6, 2.0), 12):
        base = generator.normal(size=8)
        others = {"a": base + effect + generator.normal(size=8), "b": base + 0.3 * generator.normal(size=8)}
        for c in _all(base, others, looks, smallest_effect=0.8).values():
            low, high = c.interval
            assert low <= c.difference <= high
            if c.verdict in ("helps", "hurts"):
                assert low > 0 or high < 0
            elif c.verdict == "no effect":
                assert -0.8 < low < high < 0.8
            elif c.ground == "too wide":
                assert low <= 0 <= high
            seen.add(c.verdict)
    assert seen >= {"helps", "no effect", "undecided"}


def _study(seed: int = 0) -> tuple[Array, dict[str, Array]]:
    generator = np.random.default_rng(seed)
    base = generator.normal(90, 1, size=10)
    lifts = {"strong": 3.0, "null": 0.0, "weak": 1.2}
    return base, {name: base + lift + generator.normal(size=10) for name, lift in lifts.items()}


def test_the_order_in_which_runs_end_changes_nothing() -> None:
    base, others = _study()
    looks = Looks.at_every_seed(10)
    whole = _all(base, others, looks)
    assert len({c.stop.seeds for c in whole.values()}) > 1
    generator = np.random.default_rng(1)
    for _ in range(3):
        ended, of_base = dict.fromkeys(others, 0), 0
        while True:
            found = _decided(_judge(base, others, looks), ended, of_base, looks)
            for name, c in found.items():
                if c.stop.ended is not None:  # what is settled is final, whatever ends later
                    assert c == whole[name]
            going = [name for name, c in found.items() if c.stop.ended is None]
            if not going:
                break
            # Any run that may be under way ends next, also one of the others far ahead.
            waiting = [name for name in (*going, "base") if (of_base if name == "base" else ended[name]) < 10]
            pick = str(generator.choice(waiting))
            if pick == "base":
                of_base += 1
            else:
                ended[pick] += 1
        assert found == whole


def test_later_runs_of_a_settled_variant_change_nothing() -> None:
    base, others = _study()
    looks = Looks.at_every_seed(10)
    whole = _all(base, others, looks)
    stop = whole["strong"].stop.seeds
    assert stop < 10
    changed = {**others, "strong": np.where(np.arange(10) < stop, others["strong"], 0.0)}
    assert _all(base, changed, looks) == whole


def test_what_is_there_so_far_is_judged_and_goes_on() -> None:
    base, others = _study()
    looks = Looks.at_every_seed(10)
    judge = _judge(base, others, looks)
    found = _decided(judge, dict.fromkeys(others, 2), 2, looks)
    assert {c.ground for c in found.values()} == {"no look yet"}
    assert found["weak"].reason == (
        "No look yet: the first is at 3 pairs, and 2 are there. It goes on: 2 seeds of at most 10 are judged."
    )
    found = _decided(judge, {"strong": 9, "null": 3, "weak": 9}, 9, looks)  # null holds the others up
    assert {c.stop.seeds for c in found.values()} == {3}
    assert all(c.stop.ended is None and len(c.path) == 1 for c in found.values())


def test_a_variant_that_fails_in_every_run_goes_on_to_the_last_look_and_has_failed() -> None:
    base = np.array([1.0, 2.0, 3.0, 4.0])
    looks = Looks.at_every_seed(4)
    others = {"v": np.full(4, np.nan)}
    found = _all(base, others, looks)["v"]
    assert found.stop is not None
    assert (found.verdict, found.stop.seeds, found.stop.ended) == ("failed", 4, "last look")
    assert found.reason == "Failed in all 4 runs. All 4 seeds of the plan are used."
    yet = until_decided(_judge(base, others, looks), {"v": 2}, 2, looks)["v"]
    assert yet.stop is not None
    assert (yet.verdict, yet.stop.ended) == ("undecided", None)
    assert yet.reason == "Failed in all 2 runs. It goes on: 2 seeds of at most 4 are judged."


def test_a_failed_run_delays_a_look_and_counts_as_the_worst_beside() -> None:
    base, others = _study()
    looks = Looks((3, 5, 8, 10))
    others["strong"][1] = np.nan
    found = _all(base, others, looks)
    assert next(look.seeds for look in found["strong"].path) == 3
    assert found["strong"].stop.seeds > found["strong"].path[-1].seeds  # a seed more than pairs
    assert found["strong"].with_failures.runs == 1
    assert found["null"].with_failures is None
    without = {name: np.delete(values, 1) for name, values in others.items()}
    same = _all(np.delete(base, 1), {"strong": without["strong"]}, Looks((3, 5, 8, 9)))["strong"]
    assert same.path[0].difference == pytest.approx(found["strong"].path[0].difference)


def test_a_failure_of_the_baseline_after_a_stop_is_not_the_variants() -> None:
    base, others = _study()
    looks = Looks.at_every_seed(10)
    first, *_, last = sorted(_all(base, others, looks).items(), key=lambda item: item[1].stop.seeds)
    stop = first[1].stop.seeds
    assert stop < last[1].stop.seeds
    base[stop] = np.nan
    found = _all(base, others, looks)
    assert found[first[0]] == first[1]
    assert found[last[0]].with_failures.runs == 1


def test_the_worst_runs_failing_gives_no_plain_helps() -> None:
    generator, helped, without = np.random.default_rng(0), 0, 0
    looks = Looks.at_every_seed(10)
    for _ in range(60):
        base, variant = generator.normal(size=(2, 10))
        variant[variant < -0.5] = np.nan
        helped += _all(base, {"v": variant}, looks)["v"].verdict == "helps"
        ignored = compare(base, {"v": variant}, higher_is_better=True, looks=looks)["v"]
        without += ignored.verdict == "helps"
    assert helped < without / 2


def test_guards_hold_at_any_stop() -> None:
    generator = np.random.default_rng(3)
    looks = Looks.at_every_seed(10)
    base = generator.normal(90, 1, size=10)
    variant = base + 3 + 0.5 * generator.normal(size=10)
    cost = generator.normal(50, 0.1, size=10)

    def judge_with(extra: Array) -> Any:
        def judge(counts: Mapping[str, int]) -> Mapping[str, Comparison]:
            seeds = np.arange(10)
            cut = np.where(seeds < counts["v"], variant, np.nan)
            guard = Guard(
                metric="cost",
                limit=1.0,
                higher_is_better=False,
                baseline=cost,
                variants={"v": np.where(seeds < counts["v"], cost + extra, np.nan)},
            )
            return compare(base, {"v": cut}, higher_is_better=True, looks=looks, guards=[guard])

        return until_decided(judge, {"v": 10}, 10, looks)["v"]

    noise = 0.2 * generator.normal(size=10)
    kept, broken, opened = judge_with(0.2 + noise), judge_with(3.0 + noise), judge_with(1.0 + noise)
    assert (kept.verdict, kept.ground) == ("helps", "guard kept")
    # The bound is wider than that of a fixed number of as many seeds, which would hold at this one stop alone.
    k = kept.seeds
    d = (0.2 + noise)[:k]
    once = d.mean() + stats.t.isf(0.05, k - 1) * d.std(ddof=1) / math.sqrt(k)
    assert once < kept.guards[0].at_most < 1.0
    assert (broken.verdict, broken.ground) == ("hurts", "guard broken")
    assert (opened.verdict, opened.stop.ended) == ("undecided", "last look")


def test_ratios_are_judged_in_logarithms_and_shown_in_percent() -> None:
    generator = np.random.default_rng(5)
    base = np.exp(generator.normal(size=8))
    variant = base * np.exp(-0.5 + 0.05 * generator.normal(size=8))
    c = _all(base, {"v": variant}, Looks.at_every_seed(8), relative=True)["v"]
    k = c.seeds
    logs = np.log(variant / base)[:k]
    half = stats.t.isf(Looks.at_every_seed(8).level(k) / 2, k - 1) * logs.std(ddof=1) / math.sqrt(k)
    last = c.path[-1]
    assert last.difference == pytest.approx(100 * math.expm1(logs.mean()))
    assert last.interval == pytest.approx([100 * math.expm1(logs.mean() + side * half) for side in (-1, 1)])
    assert last.boundary == pytest.approx([100 * math.expm1(side * half) for side in (-1, 1)])


def test_a_study_goes_on_that_may_still_show_no_effect() -> None:
    generator = np.random.default_rng(6)
    base = generator.normal(size=12)
    others = {"v": base + 0.2 * generator.normal(size=12)}
    looks = Looks.at_every_seed(12)
    assert _all(base, others, looks)["v"].stop.ended == "futile"
    found = _all(base, others, looks, smallest_effect=0.5)["v"]
    assert (found.verdict, found.stop.ended) == ("no effect", "decided")
    assert _all(base, others, looks, smallest_effect=0.01)["v"].stop.ended == "futile"  # never to be shown


def test_what_changes_nothing_or_ignores_its_seed_stops_early() -> None:
    base = np.random.default_rng(7).normal(size=10)
    looks = Looks.at_every_seed(10)
    twin = _all(base, {"v": base}, looks)["v"]
    assert (twin.ground, twin.stop.ended, twin.stop.seeds) == ("no difference", "futile", 4)
    deaf = _all(np.full(10, 90.0), {"v": 90 + base}, looks)["v"]
    assert (deaf.ground, deaf.stop.ended, deaf.stop.seeds) == ("constant baseline", "futile", 4)


def test_a_mean_that_turned_around_decides_nothing() -> None:
    # The first look decides for, and the mean ends on the other side of 0: p falls and never rises again.
    base = np.arange(8) / 7
    d = np.array([1.0, 1.0001, 0.9999, *[-3.0] * 5])
    c = compare(base, {"v": base + d}, higher_is_better=True, looks=Looks.at_every_seed(8))["v"]
    assert c.p_adjusted is not None
    assert c.difference is not None
    assert c.interval is not None
    assert c.p_adjusted < 0.05
    assert c.difference < 0
    assert c.interval[0] < 0 < c.interval[1]
    assert c.verdict == "undecided"


def test_only_the_level_of_its_looks_is_taken() -> None:
    with pytest.raises(InputError, match=r"looks' alpha must be 1 - confidence, got 0\.1"):
        compare([1, 2, 3], {"v": [2, 3, 5]}, higher_is_better=True, looks=Looks((3, 5), 0.1))
    variants = {name: [2.0, 3.0, 5.0] for name in "abc"}
    with pytest.raises(InputError, match='pooling = "guarded" has no form that holds at any stop'):
        compare([1, 2, 3], variants, higher_is_better=True, looks=Looks((3, 5)), pooling="guarded")


def test_the_p_value_falls_along_a_path() -> None:
    base, others = _study(2)
    for c in _all(base, others, Looks.at_every_seed(10)).values():
        assert all(a.p_value >= b.p_value for a, b in itertools.pairwise(c.path))
        assert c.p_value == c.path[-1].p_value


def test_what_has_no_look_yet_shares_the_level_already() -> None:
    # Two variants may be tested at once, and the third, whose first runs failed, later: all three share the level.
    base, others = _study()
    looks = Looks.at_every_seed(10)
    late = {**others, "weak": np.where(np.arange(10) < 6, np.nan, others["weak"])}
    first = np.where(np.arange(10) < 5, 1.0, np.nan)
    found = compare(base, {n: v * first for n, v in late.items()}, higher_is_better=True, looks=looks)
    assert (found["weak"].ground, found["weak"].p_value, found["weak"].p_adjusted) == ("no pairs", None, None)
    alone = compare(base, {"strong": others["strong"] * first}, higher_is_better=True, looks=looks)["strong"]
    assert alone.p_value is not None
    assert found["strong"].p_adjusted == pytest.approx(min(1.0, 3 * alone.p_value))
    guard = Guard(metric="cost", limit=1.0, higher_is_better=False, baseline=base, variants=late)
    told = compare(base, late, higher_is_better=True, looks=looks, guards=[guard])
    assert told["weak"].guards[0].p_value is not None
    early = {n: v * first for n, v in late.items()}
    guard = Guard(metric="cost", limit=1.0, higher_is_better=False, baseline=base, variants=early)
    told = compare(base, early, higher_is_better=True, looks=looks, guards=[guard])
    assert (told["weak"].guards[0].p_value, told["weak"].guards[0].at_most) == (None, None)
