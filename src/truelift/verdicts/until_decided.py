"""Seeds until decided: which variants of a growing study need no more, and their verdicts.

The rule, over the plan's seeds in their order. As soon as seed n of the baseline and of every open variant has ended,
all variants are judged by what they have, those that have stopped by what they had at their stop (`compare` with
`looks`: p-values valid at any stop, Holm over all variants; "no effect" is a Holm family of its own). A variant at a
new look stops where it is decided, or futile; the rest stops at the last seed. Its verdict is then final.

Why the error stays below alpha: a p-value over all looks so far only falls while a variant goes on, so it is never
below what it would be at the last look, and Holm rejects at some stop only what it rejects with these. Futility only
stops more. Since the rule asks for outcomes by the order of the seeds alone, it finds the same however many runs went
on at a time, in whatever order they ended, and however often the study was killed.

A run that failed, or left no result, has ended: its pair is missing, and a look at k waits for k complete pairs. Where
so many are missing that the last look is not reached, the last one that was counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from truelift.verdicts.comparison import Comparison, Ended, Stop
from truelift.verdicts.sequential import Looks
from truelift.verdicts.sequential_path import FIRST_FUTILITY
from truelift.verdicts.wording import stopped

_OPEN = ("undecided", "failed")
"""Verdicts that a further seed may change."""

Judge = Callable[[Mapping[str, int]], Mapping[str, Comparison]]
"""Each variant judged by the first so many of the plan's seeds, by its name."""


def until_decided(judge: Judge, ended: Mapping[str, int], baseline_ended: int, looks: Looks) -> dict[str, Comparison]:
    """Every variant's verdict, and where it stopped or stands.

    Args:
        judge: As `compare` with these looks, the results behind a variant's number left out.
        ended: By variant, how many of the plan's seeds have ended: all up to the first that has not.
        baseline_ended: The same of the baseline.
        looks: The plan.

    Returns:
        A comparison with its `stop` each, in the order of `ended`.
    """
    most = looks.most_seeds
    settled: dict[str, Comparison] = {}
    taken = dict.fromkeys(ended, 0)  # pairs at a variant's last look
    for seeds in range(looks.seeds[0], most + 1):
        going = [name for name in ended if name not in settled]
        if not going or min(baseline_ended, *(ended[name] for name in going)) < seeds:
            break
        found = judge(_counts(ended, settled, seeds))
        for name in going:
            c = found[name]
            at = c.path[-1].seeds if c.path else 0
            why = _ended(c, new=at > taken[name], last=seeds == most)
            taken[name] = at
            if why is not None:
                settled[name] = _stopped(c, Stop(seeds=seeds, ended=why, most=most))
    going = [name for name in ended if name not in settled]
    if not going:
        return {name: settled[name] for name in ended}
    # What is there of all that go on. More of one of them would be a look that the others have not had.
    seeds = min(baseline_ended, *(ended[name] for name in going))
    found = judge(_counts(ended, settled, seeds))
    stands = Stop(seeds=seeds, ended=None, most=most)
    return {name: settled[name] if name in settled else _stopped(_open(found[name]), stands) for name in ended}


def _open(c: Comparison) -> Comparison:
    """While runs are to come, none has failed in all."""
    return replace(c, verdict="undecided") if c.verdict == "failed" else c


def _counts(names: Mapping[str, int], settled: Mapping[str, Comparison], seeds: int) -> dict[str, int]:
    counts = {}
    for name in names:
        stop = settled[name].stop if name in settled else None
        counts[name] = seeds if stop is None else stop.seeds
    return counts


def _ended(c: Comparison, *, new: bool, last: bool) -> Ended | None:
    """Why a variant needs no more seeds; `new` where it is at a look that it has not had, `last` at the last seed."""
    if c.verdict not in _OPEN and (new or last):
        return "decided"
    if last:
        return "last look"
    if new and (c.path[-1].futile or (c.ground == "constant baseline" and c.path[-1].seeds >= FIRST_FUTILITY)):
        return "futile"
    return None


def _stopped(c: Comparison, stop: Stop) -> Comparison:
    reason = f"{c.reason} {stopped(stop)}" if c.verdict in _OPEN else c.reason
    return replace(c, stop=stop, reason=reason)
