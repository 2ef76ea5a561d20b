"""From p-values and intervals to helps, hurts, no effect or undecided, from the plainest case to the subtlest."""

import math
from dataclasses import dataclass, replace

from truelift.seeds import FEWEST_SEEDS
from truelift.verdicts.comparison import MOST_MORE_SEEDS, Judgement, Rule
from truelift.verdicts.power import POWER, power_paired_t, seeds_needed
from truelift.verdicts.sample import Sample, margins
from truelift.verdicts.student import spread_range


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The tests of one variant, adjusted over all variants."""

    p_adjusted: float | None
    p_no_effect: float | None
    p_guarded: float | None
    """Of the metric and every guard at once; None without guards."""
    constant_baseline: bool
    may_decide: bool = True
    """Whether there are enough pairs for a verdict; False before a growing study's first look."""


def judge(sample: Sample, facts: Judgement, tested: Tested, rule: Rule) -> Judgement:
    """The verdict, its ground and the number of seeds that would decide.

    Args:
        sample: The pairs.
        facts: What is known already, undecided.
        tested: The p-values.
        rule: What they are held against.
    """
    return with_failures(_with_guards(_of_metric(sample, facts, tested, rule), tested, rule))


def _of_metric(sample: Sample, facts: Judgement, tested: Tested, rule: Rule) -> Judgement:
    k = sample.seeds
    if k == 0:
        return facts
    if rule.looks is not None and not tested.may_decide:
        return replace(facts, ground="no look yet")
    if k == 1:
        return replace(facts, ground="one seed")
    if k < FEWEST_SEEDS:
        return replace(facts, ground="two seeds", more_seeds=_more_seeds(sample, rule))
    if tested.constant_baseline:
        return replace(facts, ground="constant baseline")
    if not sample.differences.any():
        return replace(facts, ground="no difference")
    assert tested.p_adjusted is not None
    low, high = margins(rule.smallest_effect, relative=rule.relative)
    decided = tested.p_adjusted <= rule.alpha and not _looks_disagree(facts, rule)
    if decided and not low < sample.difference < high:
        better = (sample.difference > 0) == rule.higher_is_better
        return replace(facts, ground="more than noise", verdict="helps" if better else "hurts")
    equivalent = tested.p_no_effect is not None and tested.p_no_effect <= rule.alpha
    if equivalent and low < sample.difference < high:
        return replace(facts, ground="equivalent", verdict="no effect")
    if facts.interval is None:
        # What is below the smallest effect is decided by no effect alone. Both have 2^(1 - k) against their level.
        level = rule.no_effect_level if low < sample.difference < high else rule.level
        more = max(1, math.ceil(1 - math.log2(level)) - k)
        return replace(facts, ground="no spread", more_seeds=None if rule.looks or rule.folds else (more, more))
    planned = _more_seeds(sample, rule)
    if decided:
        return replace(facts, ground="too small", more_seeds=planned)
    chance = sample.p_value is not None and sample.p_value <= rule.alpha
    return replace(facts, ground="chance" if chance else "too wide", more_seeds=planned)


def _looks_disagree(facts: Judgement, rule: Rule) -> bool:
    """Whether an early look has decided, and the mean is back on the other side of 0 by now."""
    return rule.looks is not None and facts.interval is not None and facts.interval[0] <= 0 <= facts.interval[1]


def _with_guards(found: Judgement, tested: Tested, rule: Rule) -> Judgement:
    if found.seeds < FEWEST_SEEDS or not found.guards or found.ground == "constant baseline":
        return found
    if any(guard.broken for guard in found.guards):
        return replace(found, verdict="hurts", ground="guard broken")
    if found.verdict != "helps":
        return found
    kept = tested.p_guarded is not None and tested.p_guarded <= rule.alpha
    return replace(found, ground="guard kept") if kept else replace(found, ground="guard open", verdict="undecided")


def with_failures(found: Judgement) -> Judgement:
    """The verdict as it stands with failed runs counted as the worst result: undecided where that is another one."""
    second = found.with_failures
    if second is None or found.verdict in ("undecided", "failed") or found.ground == "guard broken":
        return found
    # What hurts without its failed runs does so all the more with them: they only widen its interval.
    same = second.verdict == found.verdict or (found.verdict == "hurts" and second.verdict == "undecided")
    return found if same else replace(found, verdict="undecided", ground="failures")


def _more_seeds(sample: Sample, rule: Rule) -> tuple[int, int | None] | None:
    """Seeds to add for a power of 80 %, from and to, as the spread of so few seeds allows; at least 1. None above 1000.

    Planned for the smallest effect where there is one, else for the effect as seen.
    """
    if rule.looks is not None or rule.folds:  # its plan says how many
        return None
    if not sample.spread:
        return None
    k, difference = sample.seeds, sample.difference
    fewest, most = (more_needed(difference, spread, k, rule) for spread in spread_range(sample.spread, k))
    return None if fewest is None else (fewest, most)


def more_needed(difference: float, spread: float, seeds: int, rule: Rule) -> int | None:
    """How many more than `seeds` give a power of 80 % for the smallest effect, or else for `difference`; at least 1.

    None above 1000, or where there is no effect to plan for.
    """
    low, high = margins(rule.smallest_effect, relative=rule.relative)
    effect = min(-low, high) if rule.smallest_effect > 0 else abs(difference)
    # Asked first: the number itself is long to find, and useless, where the effect is next to nothing.
    if not effect or power_paired_t(effect, spread, seeds + MOST_MORE_SEEDS, rule.level) < POWER:
        return None
    return max(1, seeds_needed(effect, spread, alpha=rule.level) - seeds)
