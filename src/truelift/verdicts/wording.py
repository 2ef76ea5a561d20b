"""The sentences about verdicts, made here alone from typed results."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from truelift.verdicts.agreement import Agreement
from truelift.verdicts.comparison import MOST_MORE_SEEDS, Comparison, Judgement, Rule, Verdict
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


def headline(variant: str, c: Comparison, *, metric: str, unit: str, digits: int) -> Headline:
    """The verdict with its difference and interval, or with its reason where that says more.

    Args:
        variant: Its name.
        c: Its comparison.
        metric: The metric's name for a reader.
        unit: Of the differences; may be empty.
        digits: After the point, for the difference and the interval.
    """
    # Without an interval, as where all seeds differ by exactly the same, the reason says what decided.
    if c.verdict == "undecided" or c.interval is None:
        return Headline(variant, c.verdict, c.reason)
    difference, low, high = (number(value, digits=digits, sign=True) for value in (c.difference, *c.interval))
    found = f"{metric} {difference} {unit}".rstrip()
    return Headline(variant, c.verdict, f"{found} (95 % interval {low} to {high}, {c.seeds} seeds).")


def reason(judged: Judgement, rule: Rule) -> str:
    """Why the verdict is what it is, in one sentence."""
    k = judged.seeds
    match judged.ground:
        case "no pairs":
            return "No seed has a result of both the baseline and the variant."
        case "one seed":
            return "One seed decides nothing: without a second there is no noise to hold it against."
        case "no difference":
            return f"All {k} seeds gave exactly the baseline's result: does the variant change anything?"
        case "too small":
            small, matters = _amount(judged.difference, rule, "+"), _amount(rule.smallest_effect, rule)
            return f"Real ({_p(judged.p_adjusted)}), but {small} is smaller than the {matters} that matter."
        case "more than noise":
            word = "Better" if judged.verdict == "helps" else "Worse"
            size = _amount(abs(judged.difference), rule)
            return f"{word} by {size}, more than seed noise explains ({k} seeds, {_p(judged.p_adjusted)})."
        case "no spread":
            same = _amount(judged.difference, rule, "+")
            without = f"All {k} seeds differ by exactly {same}, so there is no noise to hold it against"
            return f"{without}; {_more(judged.more_seeds)}."
        case "ruled out":
            effect = _amount(rule.smallest_effect, rule)
            return f"An effect of {effect} is ruled out either way: the {_interval(judged, rule, ' is ')}."
        case "chance":
            corrected = f"({_p(judged.p_value)}, by Holm's correction {_p(judged.p_adjusted)})"
            excluded = f"excludes 0, but with {rule.tests} variants that can be chance {corrected}"
            return f"The {_interval(judged, rule, ', ')}, {excluded}; {_more(judged.more_seeds)}."
        case "too wide":
            both = "includes both 0 and effects that matter"
            return f"The {_interval(judged, rule, ', ')}, {both}; {_more(judged.more_seeds)}."


def agreement(found: Agreement) -> str:
    """Whether a published figure agrees, why that cannot be told, or a dash where nothing is compared."""
    if found == "not compared":
        return "–"
    return f"{found}: cannot be told" if found in ("one seed", "no spread") else found


def missing_runs(variant: str, seeds: Sequence[int], why: str) -> str:
    """Which runs have no result that counts, and why."""
    return f"{variant}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}: {why}"


def _amount(value: float, rule: Rule, sign: str = "") -> str:
    """A number with its unit; three digits, but never 1.23e+04."""
    digits = f"{value:{sign}.3g}" if abs(value) < 1000 else f"{value:{sign},.0f}"
    return f"{digits} {rule.unit}".strip()


def _interval(judged: Judgement, rule: Rule, between: str) -> str:
    """Both ends with as many places as show the half width with three digits, and neither end as 0."""
    assert judged.interval is not None
    low, high = judged.interval
    places = max(0, 2 - math.floor(math.log10((high - low) / 2)))
    places = places_that_show((low, high), places)
    ends = f"{low:+,.{places}f} to {high:+,.{places}f} {rule.unit}".strip()
    return f"{100 * rule.confidence:.3g} % interval{between}{ends}"


def _more(seeds: int | None) -> str:
    if seeds is None:
        return f"more than {MOST_MORE_SEEDS} more seeds would be needed to decide"
    return f"about {seeds} more {'seed' if seeds == 1 else 'seeds'} would decide"


def _p(value: float | None) -> str:
    assert value is not None
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
