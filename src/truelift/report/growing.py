"""A study that runs seeds until it is decided: where each variant stopped or stands, from the records alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from truelift.records import Run, Status, shown_looks
from truelift.report.asked import Asked
from truelift.report.judged import Found, compared
from truelift.report.kept import Key
from truelift.verdicts import Comparison, Looks, Stop, until_decided
from truelift.verdicts.wording import stopped

Statuses = Mapping[Key, Status]
"""Of each run, by variant and seed."""


@dataclass(frozen=True)
class Grown:
    """How far the study has grown."""

    looks: Looks
    comparisons: Mapping[str, Comparison]
    """By variant, the baseline left out; each with its stop."""
    found: Found
    """What the runs left that are judged."""
    not_needed: frozenset[Key]
    """Runs, by variant and seed, that were not made because their variant had stopped."""
    ahead: frozenset[Key]
    """Runs that were made all the same, since the others still ran; they do not count."""
    to_come: frozenset[Key]
    """Runs that have not begun, of variants that go on."""

    @property
    def uncounted(self) -> frozenset[Key]:
        """Runs that no table counts."""
        return self.not_needed | self.ahead | self.to_come

    @property
    def stops(self) -> dict[str, Stop]:
        """By variant."""
        return {name: c.stop for name, c in self.comparisons.items() if c.stop is not None}


def grown(asked: Asked, found: Found, statuses: Statuses, begun: frozenset[Key]) -> Grown:
    """Judge what is there of a study until decided.

    Args:
        asked: Its plan, with looks.
        found: What the runs left.
        statuses: Of every run of the plan.
        begun: Unfinished runs that have a folder.

    Raises:
        InputError: As `compared`.
    """
    assert asked.looks is not None
    ended = {name: _ended(asked, name, statuses) for name in asked.order}

    def judge(counts: Mapping[str, int]) -> Mapping[str, Comparison]:
        judged = _first(asked, found, counts)
        return compared(asked, asked.metric, judged, smallest_effect=asked.smallest_effect, guards=asked.guards)

    others = {name: ended[name] for name in asked.order[1:]}
    comparisons = until_decided(judge, others, ended[asked.baseline], asked.looks)
    stops = {name: c.stop for name, c in comparisons.items() if c.stop is not None}
    goes_on = any(stop.ended is None for stop in stops.values())
    last = {name: None if stop.ended is None else stop.seeds for name, stop in stops.items()}
    last[asked.baseline] = None if goes_on else max(stop.seeds for stop in stops.values())
    not_needed: set[Key] = set()
    ahead: set[Key] = set()
    to_come: set[Key] = set()
    for name, end in last.items():
        for number, seed in enumerate(asked.seeds):
            run = (name, seed)
            over = statuses[run] != "unfinished"
            if end is not None and number >= end:
                (ahead if over else not_needed).add(run)
            elif not over and run not in begun:
                to_come.add(run)
    return Grown(
        looks=asked.looks,
        comparisons=comparisons,
        found=_first(asked, found, {name: stop.seeds for name, stop in stops.items()}),
        not_needed=frozenset(not_needed),
        ahead=frozenset(ahead),
        to_come=frozenset(to_come),
    )


def by_run(statuses: Iterable[tuple[Run, Status]]) -> Statuses:
    """The states by variant and seed."""
    return {(run.variant, run.seed): status for run, status in statuses}


def growth_lines(grown: Grown, asked: Asked) -> list[str]:
    """Where each variant stopped or stands, and what was run that does not count: a line each."""
    lines = [f"{name}: {c.verdict}. {stopped(stop)}" for name, c in grown.comparisons.items() if (stop := c.stop)]
    for what, runs in (
        ("not needed, and not run.", grown.not_needed),
        ("run ahead while others were not over; kept, and not judged.", grown.ahead),
    ):
        for name in asked.order:
            seeds = [seed for seed in asked.seeds if (name, seed) in runs]
            if seeds:
                lines.append(f"{name}, {_shown(seeds)}: {what}")
    return lines


def _shown(seeds: list[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {shown_looks(seeds)}"


def _ended(asked: Asked, name: str, statuses: Statuses) -> int:
    """How many of the plan's seeds have ended, up to the first that has not."""
    for number, seed in enumerate(asked.seeds):
        if statuses[name, seed] == "unfinished":
            return number
    return len(asked.seeds)


def _first(asked: Asked, found: Found, counts: Mapping[str, int]) -> Found:
    """What the first so many seeds of each variant left; of the baseline as many as any of them has."""
    most = {**counts, asked.baseline: max(counts.values())}
    return found.only({(name, seed) for name, count in most.items() for seed in asked.seeds[:count]})
