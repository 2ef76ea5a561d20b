"""The report for programs: JSON of the form that docs/json.md tells. Its version goes up when a key changes meaning."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from truelift import __version__
from truelift.metrics import Metric
from truelift.report import path
from truelift.report.refereed import passed
from truelift.report.rows import Row
from truelift.report.summary import Summary
from truelift.verdicts import Guarded, Look, WithFailures

VERSION = 1
"""Of the form."""


class MetricForm(Struct, forbid_unknown_fields=True):
    """A metric."""

    name: str
    unit: str
    higher_is_better: bool
    relative: bool


class GuardForm(Struct, forbid_unknown_fields=True):
    """A variant under one guard; worse counts as positive."""

    metric: str
    unit: str
    limit: float
    pairs: int
    worse: float | None
    at_most: float | None
    p_value: float | None
    p_broken: float | None
    holds: bool
    broken: bool
    state: str


class FailuresForm(Struct, forbid_unknown_fields=True):
    """The verdict with failed runs counted as the worst result of the study."""

    runs: int
    difference: float | None
    p_adjusted: float | None
    verdict: str


class LookForm(Struct, forbid_unknown_fields=True):
    """One look at a variant in a study that runs seeds until it is decided."""

    pairs: int
    difference: float
    interval: list[float]
    boundary: list[float]
    level: float
    p_at_look: float
    p_any_stop: float
    p_no_effect: float | None
    futile: bool


class StopForm(Struct, forbid_unknown_fields=True):
    """Where a variant stopped."""

    seeds: int
    ended: str | None


class UntilDecidedForm(Struct, forbid_unknown_fields=True):
    """The plan of such a study, written before its first run."""

    max_seeds: int
    looks: list[int]
    alpha: float


class EarlierForm(Struct, forbid_unknown_fields=True):
    """A plan before this one whose results could be judged."""

    seeds: int
    planned: int
    last_run: str
    removed: list[str]
    edited: list[str]
    metric: str | None
    baseline: str | None


class RefereeForm(Struct, forbid_unknown_fields=True):
    """A variant as a candidate of a referee's ledger."""

    candidate: int
    level: float
    look: int
    confirmation: int
    passed: bool | None


class VariantForm(Struct, forbid_unknown_fields=True):
    """A variant on one metric; what is null cannot be told, or belongs to no baseline."""

    name: str
    verdict: str
    reason: str | None
    ground: str | None
    mean: float | None
    sd: float | None
    values: list[float | None]
    pairs: int | None
    difference: float | None
    interval: list[float] | None
    interval_confidence: float | None
    p_value: float | None
    p_adjusted: float | None
    p_no_effect: float | None
    p_sign_flip: float | None
    probability_better: float | None
    correlation: float | None
    smallest_detectable: float | None
    standard_error_over_test_images: float | None
    more_seeds: list[int | None] | None
    guards: list[GuardForm]
    with_failures: FailuresForm | None
    referee: RefereeForm | None
    path: list[LookForm]
    stop: StopForm | None


class ReportForm(Struct, forbid_unknown_fields=True):
    """A study's report."""

    schema: int
    kind: str
    truelift: str
    name: str
    question: str
    metric: MetricForm
    smallest_effect: float
    baseline: str
    seeds: list[int]
    until_decided: UntilDecidedForm | None
    earlier: list[EarlierForm]
    paired: bool
    replicates: str
    complete: bool
    variants: list[VariantForm]
    other_metrics: dict[str, list[VariantForm]]
    problems: list[str]
    notes: list[str]
    files: list[str]


class SeedsForm(Struct, forbid_unknown_fields=True):
    """How many seeds are needed where paired results correlate so."""

    correlation: float
    seeds: int


class PlanForm(Struct, forbid_unknown_fields=True):
    """What `truelift plan` says."""

    schema: int
    kind: str
    truelift: str
    effect: float
    sd: float
    power: float
    alpha: float
    needed: list[SeedsForm]


class PlanLikeForm(Struct, forbid_unknown_fields=True):
    """What `truelift plan --like` says."""

    schema: int
    kind: str
    truelift: str
    like: str
    metric: str
    effect: float
    sd: float
    most_sd: float
    power: float
    alpha: float
    seeds: int
    most_seeds: int


class StudyPlanForm(Struct, forbid_unknown_fields=True):
    """What `truelift plan FILE` says."""

    schema: int
    kind: str
    truelift: str
    name: str
    question: str
    metric: str
    smallest_effect: float
    baseline: str
    variants: list[str]
    seeds: list[int]
    until_decided: UntilDecidedForm | None


def report_form(summary: Summary, files: Sequence[Path] = ()) -> ReportForm:
    """Everything that the report says in numbers.

    Args:
        summary: The report.
        files: Of the report, as far as they were written.
    """
    asked = summary.asked
    return ReportForm(
        schema=VERSION,
        kind="report",
        truelift=__version__,
        name=asked.name,
        question=asked.question,
        metric=_metric(summary.metric),
        smallest_effect=asked.smallest_effect,
        baseline=asked.baseline,
        seeds=list(asked.seeds),
        until_decided=None
        if asked.looks is None
        else UntilDecidedForm(asked.looks.most_seeds, list(asked.looks.seeds), asked.looks.alpha),
        earlier=[
            EarlierForm(
                one.seeds, one.planned, one.last_run, list(one.removed), list(one.edited), one.metric, one.baseline
            )
            for one in asked.earlier
        ],
        paired=asked.paired,
        replicates=asked.replicates,
        complete=summary.complete,
        variants=[_variant(row, summary.asked.guard_names, _refereed(row, summary)) for row in summary.rows],
        other_metrics={
            name: [_variant(row, summary.asked.guard_names) for row in rows] for name, rows in summary.others.items()
        },
        problems=list(summary.problems),
        notes=[*asked.notes, *summary.cautions, *summary.notes, *path.lines(summary)],
        files=[str(path) for path in files],
    )


def plan_form(effect: float, sd: float, power: float, alpha: float, needed: Sequence[tuple[float, int]]) -> PlanForm:
    """The seeds that are needed, by correlation."""
    seeds = [SeedsForm(correlation, count) for correlation, count in needed]
    return PlanForm(VERSION, "plan", __version__, effect, sd, power, alpha, seeds)


def plan_like_form(
    like: str,
    metric: str,
    effect: float,
    sd: float,
    most_sd: float,
    power: float,
    alpha: float,
    seeds: int,
    most_seeds: int,
) -> PlanLikeForm:
    """The seeds that are needed, by the measured spread of a study."""
    return PlanLikeForm(
        VERSION, "plan like", __version__, like, metric, effect, sd, most_sd, power, alpha, seeds, most_seeds
    )


def study_plan_form(plan: Mapping[str, Any]) -> StudyPlanForm:
    """The plan of a study.

    Args:
        plan: The content that its study.json is to have.
    """
    until = plan["until_decided"]
    return StudyPlanForm(
        schema=VERSION,
        kind="study plan",
        truelift=__version__,
        name=plan["name"],
        question=plan["question"],
        metric=plan["metric"],
        smallest_effect=plan["smallest_effect"],
        baseline=plan["baseline"],
        variants=list(plan["variants"]),
        seeds=list(plan["seeds"]),
        until_decided=None if until is None else UntilDecidedForm(**until),
    )


def to_json(form: ReportForm | PlanForm | PlanLikeForm | StudyPlanForm) -> str:
    """As indented JSON."""
    return msgspec.json.format(msgspec.json.encode(form), indent=2).decode()


def _metric(metric: Metric) -> MetricForm:
    return MetricForm(metric.name, metric.unit, metric.higher_is_better, metric.relative)


def _refereed(row: Row, summary: Summary) -> RefereeForm | None:
    """Passed is None as long as the ledger has no verdict: runs are to come, or all failed."""
    referee, found = summary.asked.referee, row.comparison
    if referee is None or found is None:
        return None
    one = referee.candidates[row.variant]
    judged = passed(found) if summary.complete and not found.failed_throughout else None
    return RefereeForm(one.number, one.level, one.look, referee.confirmation, judged)


def _variant(row: Row, guard_names: Mapping[str, str], referee: RefereeForm | None = None) -> VariantForm:
    c = row.comparison
    return VariantForm(
        name=row.variant,
        verdict=row.standing,
        reason=None if c is None else c.reason,
        ground=None if c is None else c.ground,
        mean=_number(row.mean),
        sd=_number(row.sd),
        values=[_number(value) for value in row.values],
        pairs=None if c is None else c.seeds,
        difference=None if c is None else _number(c.difference),
        interval=None if c is None or c.interval is None else list(c.interval),
        interval_confidence=None if c is None else c.interval_confidence,
        p_value=None if c is None else c.p_value,
        p_adjusted=None if c is None else c.p_adjusted,
        p_no_effect=None if c is None else c.p_no_effect,
        p_sign_flip=None if c is None else c.p_sign_flip,
        probability_better=None if c is None else _number(c.probability_better),
        correlation=None if c is None else c.correlation,
        smallest_detectable=None if c is None else c.smallest_detectable,
        standard_error_over_test_images=row.example_error,
        more_seeds=None if c is None or c.more_seeds is None else list(c.more_seeds),
        guards=[] if c is None else [_guard(guard, guard_names[guard.metric]) for guard in c.guards],
        with_failures=None if c is None or c.with_failures is None else _failures(c.with_failures),
        referee=referee,
        path=[] if c is None else [_look(look) for look in c.path],
        stop=None if c is None or c.stop is None else StopForm(c.stop.seeds, c.stop.ended),
    )


def _look(found: Look) -> LookForm:
    return LookForm(
        pairs=found.seeds,
        difference=found.difference,
        interval=list(found.interval),
        boundary=list(found.boundary),
        level=found.level,
        p_at_look=found.p_at_look,
        p_any_stop=found.p_value,
        p_no_effect=found.p_no_effect,
        futile=found.futile,
    )


def _guard(found: Guarded, name: str) -> GuardForm:
    return GuardForm(
        metric=name,
        unit=found.unit,
        limit=found.limit,
        pairs=found.seeds,
        worse=_number(found.worse),
        at_most=found.at_most,
        p_value=found.p_value,
        p_broken=found.p_broken,
        holds=found.holds,
        broken=found.broken,
        state=found.state,
    )


def _failures(found: WithFailures) -> FailuresForm:
    return FailuresForm(found.runs, _number(found.difference), found.p_adjusted, found.verdict)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
