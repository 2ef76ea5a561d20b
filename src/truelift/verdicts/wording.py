"""The sentences about verdicts, made here alone from typed results."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from truelift.verdicts.agreement import Agreement
from truelift.verdicts.comparison import (
    MOST_MORE_SEEDS,
    VERDICTS,
    Comparison,
    Judgement,
    Rule,
    Stop,
    Verdict,
    WithFailures,
)
from truelift.verdicts.guards import Guarded
from truelift.verdicts.numbers import number, places_that_show


@dataclass(frozen=True)
class Headline:
    """One variant's verdict for a reader."""

    variant: str
    verdict: Verdict
    words: str
    """What was found, or why nothing was decided: one sentence without the verdict and the name."""

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.verdict} · {self.variant}: {self.words}"


def decided_first(found: Iterable[Headline]) -> list[Headline]:
    """What helps, then what hurts, and last what decides nothing; among equals as they come."""
    return sorted(found, key=lambda one: VERDICTS.index(one.verdict))


def answer(found: Sequence[Headline], *, metric: str, baseline: str, smallest: str = "", so_far: bool = False) -> str:
    """All verdicts in one sentence, the decided ones first.

    Args:
        found: Of each variant but the baseline.
        metric: What they were judged by, for a reader.
        baseline: What they were compared with.
        smallest: The smallest effect that matters, with its unit; empty where any does.
        so_far: Whether runs are still to come.
    """
    groups = {verdict: [one.variant for one in found if one.verdict == verdict] for verdict in VERDICTS}
    said = {
        "helps": ("helps", "help"),
        "hurts": ("hurts", "hurt"),
        "no effect": tuple(
            f"{verb} no effect{f' as large as {smallest}' if smallest else ''}" for verb in ("has", "have")
        ),
        "undecided": ("is undecided", "are undecided"),
        "failed": ("failed in every run", "failed in every run"),
    }
    parts = [
        f"{_names(names, of=len(found))} {said[verdict][len(names) > 1]}" for verdict, names in groups.items() if names
    ]
    return f"{'So far, judged' if so_far else 'Judged'} by {metric} against {baseline}: {'; '.join(parts)}."


_LONGEST_WHY = 300
"""Characters of what a failed run says."""
_MOST_NAMES = 5


def _names(names: Sequence[str], *, of: int) -> str:
    """In words, of so many variants: "a", "a and b", "7 variants (a, b, c and 4 more)", "all 7 variants"."""
    if len(names) > _MOST_NAMES:
        if len(names) == of:
            return f"all {of} variants"
        return f"{len(names)} variants ({', '.join(names[:3])} and {len(names) - 3} more)"
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def headline(variant: str, c: Comparison, *, metric: str, unit: str, digits: int) -> Headline:
    """The verdict with its difference and interval, or with its reason where that says more.

    Args:
        variant: Its name.
        c: Its comparison.
        metric: The metric's name for a reader.
        unit: Of the differences; may be empty.
        digits: After the point, for the difference and the interval.
    """
    if c.ground in ("guard kept", "guard open"):
        return Headline(variant, c.verdict, f"{metric} {c.reason}")
    if c.ground == "guard broken":
        guards, _, found = c.reason.partition("; ")
        return Headline(variant, c.verdict, f"{guards}; {metric} {found}")
    # Without an interval, as where all seeds differ by exactly the same, the reason says what decided.
    if c.verdict in ("undecided", "failed") or c.ground != "more than noise" or c.interval is None:
        return Headline(variant, c.verdict, c.reason)
    difference, low, high = (number(value, digits=digits, sign=True) for value in (c.difference, *c.interval))
    found = f"{metric} {difference} {unit}".rstrip()
    within = f"{percent(c.interval_confidence)} interval {low} to {high}, {c.seeds} {c.replicates}"
    return Headline(variant, c.verdict, f"{found} ({within}).")


def reason(judged: Judgement, rule: Rule) -> str:
    """Why the verdict is what it is, in one sentence."""
    k, pairs = judged.seeds, rule.replicates
    same = f"{k} {pairs} differ by exactly {_amount(judged.difference, rule, '+')}"
    match judged.ground:
        case "all failed":
            return f"{_all_failed(judged).capitalize()}."
        case "baseline failed":
            return f"There is nothing to compare with, as the baseline {_all_failed(judged)}."
        case "no pairs" if pairs == "runs":
            return "The baseline or the variant has no run with a result."
        case "no pairs":
            return f"No {pairs[:-1]} has a result of both the baseline and the variant."
        case "one seed":
            return f"One {pairs[:-1]} decides nothing: without a second there is no noise to hold it against."
        case "no look yet":
            assert rule.looks is not None
            return f"No look yet: the first is at {rule.looks.seeds[0]} pairs, and {k} are there."
        case "two seeds":
            known = "they do not tell their noise well enough"
            return f"Two {pairs} decide nothing: {known}; run three at least, better five."
        case "constant baseline":
            return (
                f"All results of the baseline are the same number in {k} {pairs}: does the program use its seed? "
                "Without noise nothing can be decided."
            )
        case "no difference":
            return (
                f"All {k} {pairs} gave exactly the baseline's result: the variant changes nothing, or nothing that so "
                "few results or test images can show."
            )
        case "too small":
            small, matters = _amount(judged.difference, rule, "+"), _amount(rule.smallest_effect, rule)
            real = f"Real ({_p(judged.p_adjusted)}), {small}, but the {_interval(judged, rule, ', ')}"
            return f"{real}, leaves open whether it reaches the {matters} that matter{_more(judged, rule)}."
        case "more than noise":
            word = "Better" if judged.verdict == "helps" else "Worse"
            size = _amount(abs(judged.difference), rule)
            noise = "the noise of folds that share images" if rule.folds else "seed noise"
            return f"{word} by {size}, more than {noise} explains ({k} {pairs}, {_p(judged.p_adjusted)})."
        case "guard kept":
            return f"{_found(judged, rule)}; {_guards(judged, rule)}."
        case "guard open":
            return f"{_found(judged, rule)}, but {_guards(judged, rule)}: not shown to be within."
        case "guard broken":
            broken = (
                f"{guard.metric} gets {of_guard(guard.worse, guard)} worse (limit {of_guard(guard.limit, guard)})"
                for guard in judged.guards
                if guard.broken
            )
            return f"{' and '.join(broken)}; {_found(judged, rule)}."
        case "failures":
            second, without = judged.with_failures, _amount(judged.difference, rule, "+")
            assert second is not None
            compared = "runs" if pairs == "runs" else "pairs"
            return (
                f"{without} in {k} {compared} without failure ({_p(judged.p_adjusted)}), but with {_failed(second)} "
                f"{_amount(second.difference, rule, '+')}, {second.verdict}."
            )
        case "equivalent":
            effect = _amount(rule.smallest_effect, rule)
            is_real = judged.p_adjusted is not None and judged.p_adjusted <= rule.alpha
            real = f"Real ({_p(judged.p_adjusted)}), but no" if is_real else "No"
            shown = f"all {same}" if judged.interval is None else f"the {_interval(judged, rule, ' is ')}"
            return f"{real} effect as large as {effect}: {shown}."
        case "no spread" if pairs == "runs":
            apart = _amount(judged.difference, rule, "+")
            alike = f"All runs of each gave one number, {apart} apart, so there is no noise to hold it against"
            return f"{alike}: more runs decide nothing, pairs of runs under one seed can."
        case "no spread":
            return f"All {same}, so there is no noise to hold it against{_more(judged, rule)}."
        case "chance":
            corrected = f"({_p(judged.p_value)}, corrected for all {_p(judged.p_adjusted)})"
            among = "among all that the referee's ledger holds" if rule.refereed else f"with {rule.tests} variants"
            alone = f"Alone it would count, but {among} that can be chance {corrected}"
            return f"{alone}; the {_interval(judged, rule, ' is ')}{_more(judged, rule)}."
        case "too wide":
            both = "includes both 0 and effects that matter"
            return f"The {_interval(judged, rule, ', ')}, {both}{_more(judged, rule)}."


def _all_failed(judged: Judgement) -> str:
    runs = judged.all_failed
    return "failed in its only run" if runs == 1 else f"failed in all {runs} runs"


def failed_for(reason: str, why: Sequence[str], log: str) -> str:
    """The reason of a variant all of whose runs failed, with what failed in them.

    Args:
        reason: By `reason`, a sentence.
        why: What the runs say, each different one once, the first run's first; at least one.
        log: Where the first run's log is; empty where there is none.
    """
    others = "" if len(why) == 1 else f" (the first; {len(why) - 1} more {'differs' if len(why) == 2 else 'differ'})"
    first = why[0].removesuffix(".")
    first = first if len(first) <= _LONGEST_WHY else f"{first[:_LONGEST_WHY]}…"
    where = f"; log, in the study's folder: {log}" if log else ""
    return f"{reason.removesuffix('.')}: {first}{others}{where}."


def stopped(stop: Stop) -> str:
    """Where a variant stands in a study that is judged while it grows, in one sentence."""
    seeds = f"{stop.seeds} {'seed' if stop.seeds == 1 else 'seeds'}"
    match stop.ended:
        case "decided":
            return f"Decided after {seeds} of at most {stop.most}."
        case "futile":
            return f"Stopped after {seeds}: {stop.most} are unlikely to decide it."
        case "last look":
            return f"All {stop.most} seeds of the plan are used."
        case None:
            return f"It goes on: {seeds} of at most {stop.most} are judged."


def second_line(variant: str, c: Comparison, *, unit: str, digits: int) -> str | None:
    """What the difference is with failed runs counted as the worst result; None where no run failed."""
    second = c.with_failures
    if second is None:
        return None
    difference = f"{number(second.difference, digits=digits, sign=True)} {unit}".rstrip()
    p = "" if second.p_adjusted is None else f", {_p(second.p_adjusted)}"
    return f"{variant} against the baseline, with {_failed(second)}: {difference}{p}, {second.verdict}."


def rounding(variant: str, step: float, *, unit: str, what: str = "") -> str:
    """Why nearly equal results have an interval at all.

    Args:
        variant: Its name.
        step: The metric's smallest step.
        unit: Of the step; may be empty.
        what: What is worth one step: "one test image"; may be empty.
    """
    worth = f"{step:.3g} {unit}".rstrip() + (f", {what}" if what else "")
    narrower = "More test images make it narrower." if what else "More seeds make it narrower."
    return (
        f"{variant}: its differences vary less than the metric's rounding to steps ({worth}) explains. Equal results "
        f"may be equal by that rounding, so the interval is as wide as it alone makes it. {narrower}"
    )


def outlying(variant: str, seed: int | None, value: float, median: float, *, digits: int) -> str:
    """A run far from its variant's others."""
    shown, middle = (number(x, digits=digits) for x in (value, median))
    run = variant if seed is None else f"{variant}, seed {seed}"
    return f"{run}: {shown}, far from the median {middle} of its runs: look at this run."


def _failed(second: WithFailures) -> str:
    return f"{second.runs} failed {'run' if second.runs == 1 else 'runs'} of either counted as the study's worst result"


def _found(judged: Judgement, rule: Rule) -> str:
    """The metric's difference in a sentence with guards: 21 % less (18 to 24)."""
    if not rule.relative:
        within = f" ({_interval(judged, rule, ' ')})" if judged.interval else ""
        return f"{_amount(judged.difference, rule, '+')}{within}"
    word = "less" if judged.difference < 0 else "more"
    sign = -1 if judged.difference < 0 else 1
    size = f"{abs(judged.difference):.3g} % {word}"
    if judged.interval is None:
        return size
    low, high = sorted(sign * end for end in judged.interval)
    return f"{size} ({low:.3g} to {high:.3g}, {judged.seeds} {rule.replicates})"


def _guards(judged: Judgement, rule: Rule) -> str:
    return " and ".join(_guard(guard, rule) for guard in judged.guards)


def _guard(guard: Guarded, rule: Rule) -> str:
    at_most = guard.worse if guard.at_most is None else guard.at_most
    if guard.holds and at_most <= 0:
        return f"{guard.metric} gets no worse (limit {of_guard(guard.limit, guard)})"
    if guard.holds:
        cost = f"costs at most {of_guard(max(at_most, 0.0), guard)}"
    elif guard.at_most is not None:
        cost = f"may get up to {of_guard(at_most, guard)} worse"
    else:
        cost = f"is {of_guard(guard.worse, guard)} worse in {guard.seeds} {rule.replicates}"
    return f"{guard.metric} {cost} (limit {of_guard(guard.limit, guard)})"


def of_guard(value: float, guard: Guarded, sign: str = "") -> str:
    """A number in the unit of a guard's limit; two digits, but never 1.2e+02."""
    unit = "%" if guard.unit.startswith("percent") else guard.unit
    number = f"{value:{sign},.0f}" if abs(value) >= 99.5 else f"{value:{sign}.2g}"
    return f"{number} {unit}".strip()


def agreement(found: Agreement) -> str:
    """Whether a published figure agrees, why that cannot be told, or a dash where nothing is compared."""
    if found == "not compared":
        return "–"
    return f"{found}: cannot be told" if found in ("one seed", "no spread") else found


def missing_runs(variant: str, seeds: Sequence[object], why: str) -> str:
    """Which runs have no result that counts, and why."""
    return f"{variant}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}: {why}"


def _amount(value: float, rule: Rule, sign: str = "") -> str:
    """A number with its unit; three digits, but never 1.23e+04."""
    digits = f"{value:{sign}.3g}" if abs(value) < 1000 else f"{value:{sign},.0f}"
    return f"{digits} {rule.unit}".strip()


def percent(confidence: float) -> str:
    """Three digits, or as many as tell it from 100 %.

    >>> percent(0.95), percent(1 - 0.05 / 3), percent(1 - 0.05 / 300)
    ('95 %', '98.3 %', '99.983 %')
    """
    shown = f"{100 * confidence:.3g}"
    if shown == "100" and confidence < 1:
        shown = f"{100 * confidence:.{1 - math.floor(math.log10(100 * (1 - confidence)))}f}"
    return f"{shown} %"


def _interval(judged: Judgement, rule: Rule, between: str) -> str:
    """Both ends with as many places as show the half width with three digits, and neither end as 0."""
    assert judged.interval is not None
    low, high = judged.interval
    half = (high - low) / 2 or math.ulp(max(abs(low), abs(high)))  # of a noise below what these numbers can tell
    places = max(0, 2 - math.floor(math.log10(half)))
    places = places_that_show((low, high), places)
    ends = f"{low:+,.{places}f} to {high:+,.{places}f} {rule.unit}".strip()
    return f"{percent(judged.interval_confidence)} interval{between}{ends}"


def _more(judged: Judgement, rule: Rule) -> str:
    # Folds are as many as the data set was cut into; of a growing study `stopped` says whether it goes on.
    if rule.folds or rule.looks is not None:
        return ""
    pairs = rule.replicates
    if judged.more_seeds is None:
        return f"; more than {MOST_MORE_SEEDS} more {pairs} would be needed to decide"
    fewest, most = judged.more_seeds
    if most is None:
        return f"; {fewest} to more than {MOST_MORE_SEEDS} more {pairs} would be needed, depending on the noise"
    if fewest == most:
        return f"; about {fewest} more {pairs[:-1] if fewest == 1 else pairs} would be needed"
    return f"; roughly {fewest} to {most} more {pairs} would be needed, depending on the noise"


def _p(value: float | None) -> str:
    assert value is not None
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
