"""Everything that a report says, computed once from a study's records; its forms only show it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from truelift.errors import InputError
from truelift.metrics import LOGGED, Metric, is_time
from truelift.records import Run, Status, Study
from truelift.report.asked import Asked
from truelift.report.curves import Picture, pictures
from truelift.report.devices import Unlike, flagged
from truelift.report.environments import Environment, environments
from truelift.report.growing import Grown, by_run, grown
from truelift.report.judged import Found, Results, judged, rows_of
from truelift.report.kept import Key
from truelift.report.notes import EARLY, notes
from truelift.report.objectives import LOSS, other_losses, why_losses_differ
from truelift.report.panels import Panel, panels
from truelift.report.published import Beside, beside
from truelift.report.refereed import refereed_line
from truelift.report.rows import Row, difference_digits, mean_digits
from truelift.report.runs import RunLine, run_lines
from truelift.report.seen import seen
from truelift.report.standing import begun, goes_on
from truelift.report.study_form import study_file
from truelift.report.tradeoff import TradeOff, trade_off
from truelift.verdicts import Comparison, outlying_runs
from truelift.verdicts.wording import (
    Headline,
    answer,
    decided_first,
    headline,
    missing_runs,
    outlying,
    rounding,
    second_line,
)


@dataclass(frozen=True)
class Summary:
    """All that the report says."""

    folder: Path
    """The study's, where the report is written."""
    asked: Asked
    rows: tuple[Row, ...]
    """The baseline first."""
    headlines: Mapping[str, Headline]
    """By variant, the baseline left out; the decided ones first."""
    others: Mapping[str, tuple[Row, ...]]
    """The other metrics, by name."""
    problems: tuple[str, ...]
    """Failed and missing runs, one line for each variant and reason."""
    complete: bool
    """Whether no run of the plan is to come."""
    cautions: tuple[str, ...]
    """That runs are to come; the difference with failed runs counted as the worst, outlying runs, and metrics that were
    left out."""
    published: tuple[Beside, ...]
    """Published figures beside ours."""
    trade_off: TradeOff
    """Savings of time, and the verdicts at equal time."""
    pictures: tuple[Picture, ...]
    """Curves of training, a picture a number."""
    panels: tuple[Panel, ...]
    """Two-dimensional features."""
    seconds: Mapping[str, float]
    """Seconds of training, by variant, over all done runs; empty where a program does not say."""
    environments: tuple[Environment, ...]
    grown: Grown | None
    """Of a study that runs seeds until it is decided: where each variant stopped or stands."""
    answer: str
    """All verdicts in one sentence."""
    runs: tuple[RunLine, ...]
    """Every run that has a folder, or should have one."""
    study_file: str | None
    """The study as a study file; None where it came from none."""
    notes: tuple[str, ...]
    """What was wrong with records, and what differs between runs that should not: a sentence each."""

    @property
    def metric(self) -> Metric:
        """The study's."""
        return self.asked.metric

    @property
    def compared(self) -> tuple[Row, ...]:
        """The rows with a verdict."""
        return tuple(row for row in self.rows if row.comparison is not None)

    @property
    def comparisons(self) -> dict[str, Comparison]:
        """By variant, the baseline left out."""
        return {row.variant: row.comparison for row in self.rows if row.comparison is not None}


def summarise(study: Study) -> Summary:
    """Compare every variant with the baseline on every metric that is there.

    Raises:
        InputError: The study's metric is relative and a result is not above 0, or its scale cannot be told.
    """
    now = seen(study)
    asked, done, pairs, records = now.asked, now.done, now.unlike, now.comparable
    statuses = list(now.statuses)
    every_result = records.results
    ran_in = environments(study.runs)

    shown, features = pictures(done, [variant.name for variant in asked.variants]), panels(done, asked.order)
    if unseen := () if asked.referee is None else asked.referee.unseen:
        shown, features = tuple(picture for picture in shown if picture.drawn.name not in unseen), ()
    growth = None
    ahead: list[tuple[Run, Status]] = []
    if asked.looks is None:
        rows = judged(asked, asked.metric, records, smallest_effect=asked.smallest_effect, guards=asked.guards)
    else:
        growth = grown(asked, records, by_run(statuses), begun(study))
        records = growth.found  # from here on, as if no other run had been made
        rows = rows_of(asked, asked.metric, records, growth.comparisons)
        ahead = [(run, status) for run, status in statuses if (run.variant, run.seed) in growth.ahead]
        statuses = [(run, status) for run, status in statuses if (run.variant, run.seed) not in growth.uncounted]
    results = records.results
    others, left_out = _others(asked, records)
    reached = asked.reached
    of_reached = rows if reached == asked.metric else judged(asked, reached, records, smallest_effect=0.0)
    # Its differences have no test that holds at any stop, nor over folds.
    lengths = asked.other_lengths() if growth is None and asked.folds is None else frozenset()
    digits = difference_digits(rows)
    metric = asked.metric
    found = [
        headline(row.variant, row.comparison, metric=metric.label, unit=metric.unit, digits=digits)
        for row in rows
        if row.comparison is not None
    ]
    headlines = {one.variant: one for one in decided_first(found)}
    complete = not goes_on(statuses, growth)
    return Summary(
        folder=study.folder,
        asked=asked,
        rows=rows,
        headlines=headlines,
        answer=answered(asked, headlines.values(), so_far=not complete),
        others=others,
        problems=_problems(statuses, metric, every_result, pairs),
        complete=complete,
        cautions=(
            *([EARLY] if growth is None and not complete else []),
            *_refereed(asked, rows, results),
            *_cautions(asked, rows, records.step(metric)),
            *left_out,
        ),
        published=beside(rows, asked.published, comparable=not asked.changed),
        trade_off=trade_off(
            of_reached,
            results,
            asked.seeds,
            reached,
            on_cpu=all(environment.on_cpu for environment in ran_in),
            lengths=lengths,
            smallest_effect=asked.smallest_effect if reached == metric else 0.0,
        ),
        pictures=shown,
        panels=features,
        seconds=_seconds(asked, now.left.results),
        environments=ran_in,
        grown=growth,
        runs=run_lines(
            [*statuses, *ahead], rows, asked.seeds, ahead={(run.variant, run.seed) for run, _ in ahead}, unseen=unseen
        ),
        study_file=study_file(study.plan),
        notes=(*notes(study, asked), *_losses(asked, others), *flagged(pairs)),  # all that is read has been read by now
    )


def answered(asked: Asked, headlines: Iterable[Headline], *, so_far: bool) -> str:
    """All verdicts in one sentence."""
    smallest = f"{asked.smallest_effect:g} {asked.metric.unit}".strip() if asked.smallest_effect > 0 else ""
    label, found = asked.metric.label, list(headlines)
    return answer(found, metric=label, baseline=asked.baseline, smallest=smallest, so_far=so_far)


def _others(asked: Asked, found: Found) -> tuple[dict[str, tuple[Row, ...]], list[str]]:
    """The other metrics by name, and why some are left out."""
    others, left_out = {}, []
    unseen = () if asked.referee is None else asked.referee.unseen
    for name in _names(found.results, programs=asked.programs):
        if name != asked.metric.name and name not in unseen and _comparable(name, found.results):
            other = asked.other(name)
            if not other.judged:
                others[name] = rows_of(asked, other, found, {})
                continue
            # What is too small to matter in test accuracy is so in test error: else the two would contradict.
            same_scale = other.in_points and asked.metric.in_points
            effect = asked.smallest_effect if same_scale else 0.0
            try:
                without = other_losses(asked) if name == LOSS else ()
                others[name] = judged(asked, other, found, smallest_effect=effect, without=without)
            except InputError as error:  # nobody asked for this metric: the report goes on without it
                left_out.append(f"{name} is left out of the other metrics: {error}")
    return others, left_out


def _losses(asked: Asked, others: Mapping[str, Sequence[Row]]) -> list[str]:
    """That training losses are no measure of each other, where the report shows them."""
    judged = asked.metric.name == LOSS
    return why_losses_differ(other_losses(asked), judged=judged) if LOSS in others or judged else []


def _refereed(asked: Asked, rows: Sequence[Row], results: Results) -> tuple[str, ...]:
    """The levels of a ledger, and what is kept unseen."""
    if asked.referee is None:
        return ()
    lines = [refereed_line(row.variant, asked.referee, row.comparison) for row in rows if row.comparison is not None]
    unseen = ", ".join(name for name in asked.referee.unseen if any(name in found for found in results.values()))
    kept = (f"Not shown, for a confirmation is to be judged by it: {unseen}.",) if unseen else ()
    return (*lines, *kept)


_MOST_OTHERS = 200
"""Metrics beside the study's own: a program may write any number of numbers."""


def _names(results: Results, *, programs: bool) -> list[str]:
    """Of the other metrics: ours in our order, then those of a user's programs in theirs."""
    ours = [logged.name for logged in LOGGED]
    theirs = dict.fromkeys(name for metrics in results.values() for name in metrics if programs)
    return [*ours, *(name for name in theirs if name not in ours)][: len(ours) + _MOST_OTHERS]


def _comparable(name: str, results: Results) -> bool:
    """Whether all done runs have the metric and, for a relative one, above 0: a ratio."""
    if not results or not all(name in metrics for metrics in results.values()):
        return False
    return not Metric.shown(name).relative or all(metrics[name] > 0 for metrics in results.values())


_NOT_POOLED = (
    'Declared beforehand (pooling = "guarded") was one noise for all variants. It was not used: that takes three '
    "variants or more with the same pairs, and here runs are missing. Each variant was judged by its own paired t-test,"
    " corrected for all."
)


def _cautions(asked: Asked, rows: Sequence[Row], resolution: float) -> tuple[str, ...]:
    """Failed runs counted as the worst, intervals that rounding alone makes as wide as they are, and outlying runs."""
    of_differences, of_means = difference_digits(rows), mean_digits(rows)
    lines = [
        second_line(row.variant, row.comparison, unit=asked.metric.unit, digits=of_differences)
        for row in rows
        if row.comparison is not None and row.comparison.differences  # of a variant without a result it says nothing
    ]
    of_image = "one test image" if asked.metric.over_test_images else ""
    rounded = [rounding(row.variant, row.step, unit=asked.metric.unit, what=of_image) for row in rows if row.step]
    pooled = any(row.comparison.pooled for row in rows if row.comparison is not None)
    not_pooled = [_NOT_POOLED] if asked.pooling == "guarded" and not pooled else []
    far = outlying_runs({row.variant: row.values for row in rows}, resolution=resolution)
    return (
        *(line for line in lines if line is not None),
        *not_pooled,
        *rounded,
        *(
            outlying(
                run.variant, asked.seeds[run.index] if asked.paired else None, run.value, run.median, digits=of_means
            )
            for run in far
        ),
    )


def _problems(
    statuses: Sequence[tuple[Run, Status]], metric: Metric, results: Results, pairs: Mapping[Key, Unlike]
) -> tuple[str, ...]:
    seeds: dict[tuple[str, str], list[int]] = {}
    for run, status in statuses:
        why = _problem(run, status, metric, results, pairs.get((run.variant, run.seed)))
        if why is not None:
            seeds.setdefault((run.variant, why), []).append(run.seed)
    return tuple(missing_runs(variant, which, why) for (variant, why), which in seeds.items())


def _problem(run: Run, status: Status, metric: Metric, results: Results, pair: Unlike | None) -> str | None:
    if status == "failed":
        return f"failed: {run.failure()['reason']}"
    if status == "unfinished":
        return "not finished"
    metrics = results[run.variant, run.seed]
    if metric.name not in metrics and pair is not None and is_time(metric.name):
        return f"left out of a time: {pair.words}"
    if metric.name not in metrics:
        return f"the result has no {metric.name}, only {', '.join(sorted(metrics))}"
    return None


def _seconds(asked: Asked, results: Results) -> dict[str, float]:
    found: dict[str, list[float]] = {variant.name: [] for variant in asked.variants}
    for (variant, _), metrics in results.items():
        if "train_seconds" in metrics:
            found[variant].append(metrics["train_seconds"])
    return {variant: sum(seconds) for variant, seconds in found.items() if seconds}
