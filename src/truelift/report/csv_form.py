"""Every number of the report as CSV."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from truelift.metrics import Metric
from truelift.report import path
from truelift.report.plain import csv_cell, one_line
from truelift.report.published import Beside
from truelift.report.rows import Row
from truelift.report.summary import Summary
from truelift.report.tradeoff import Choice
from truelift.verdicts import Comparison, wording

_OF_METRIC = ("metric", "unit_of_differences", "variant", "seeds", "mean", "sd")
_OF_COMPARISON = (
    *("pairs", "difference", "interval_low", "interval_high", "interval_confidence"),
    *("p_value", "p_adjusted", "p_no_effect", "p_sign_flip"),
    *("probability_better", "correlation", "smallest_detectable", "standard_error_over_test_images"),
    *("more_seeds_low", "more_seeds_high", "failed_runs", "difference_with_failures", "verdict_with_failures"),
    *("verdict", "reason"),
)
_OF_GUARD = ("metric", "limit", "unit", "worse", "at_most", "p_value", "holds", "state")
_OF_LOOK = (
    *("difference", "interval_low", "interval_high", "boundary_low", "boundary_high"),
    *("p_at_look", "p_any_stop"),
)
_OF_FIGURE = ("", "_source", "_runs", "_sd", "_difference", "_low", "_high", "_agreement")
_OF_SAVING = ("counted_saving", "measured_saving", "measured_saving_sd", "pareto_front")
_AT_EQUAL_TIME = tuple(
    f"equal_time_{name}" for name in ("pairs", "difference", "interval_low", "interval_high", "p_adjusted", "verdict")
)


@dataclass(frozen=True)
class _Columns:
    """Further columns in the lines of the study's metric."""

    names: Sequence[str]
    fields: dict[str, list[object]]
    """By variant; one without has empty fields."""

    def of(self, variant: str | None) -> list[object]:
        found = self.fields.get(variant, []) if variant is not None else []
        return [*found, *[None] * (len(self.names) - len(found))]


def csv_table(summary: Summary) -> str:
    """Every metric and variant, a line each, unrounded; an empty field where there is no number.

    Notes on the records are lines of the metric "note". Published figures and savings of time stand in the lines of the
    study's metric, at the end.
    """
    further = [
        _path(summary.comparisons),
        _guards(summary.comparisons, summary.asked.guard_names),
        _published(summary.published),
        _savings(summary.trade_off.choices),
        _at_equal_time(summary.trade_off.at_equal_time),
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    of_seeds = [f"seed_{seed}" for seed in summary.asked.seeds]
    header = [*_OF_METRIC, *_OF_COMPARISON, *of_seeds, *(name for columns in further for name in columns.names)]
    writer.writerow(header)
    tables = [(summary.metric, summary.rows), *((Metric.shown(name), rows) for name, rows in summary.others.items())]
    for metric, rows in tables:
        for row in rows:
            line = [metric.name, metric.unit, row.variant, len(row.done), row.mean, row.sd, *_compared(row)]
            own = row.variant if metric == summary.metric else None
            writer.writerow(_shown([*line, *row.values, *(x for columns in further for x in columns.of(own))]))
    # A note has a line of its own at the end: "note" for a metric, the sentence for a reason.
    for note in (*summary.notes, *path.lines(summary)):
        noted = dict.fromkeys((*_OF_METRIC, *_OF_COMPARISON), "") | {"metric": "note", "reason": one_line(note)}
        writer.writerow([csv_cell(field) for field in noted.values()] + [""] * (len(header) - len(noted)))
    return out.getvalue()


def _shown(fields: Iterable[object]) -> Iterable[object]:
    for field in fields:
        if isinstance(field, str):
            yield csv_cell(field)
        else:
            yield "" if isinstance(field, float) and math.isnan(field) else field


def _compared(row: Row) -> list[object]:
    c = row.comparison
    if c is None:
        return [None] * (len(_OF_COMPARISON) - 2) + [row.standing, None]
    return [
        c.seeds,
        c.difference,
        *(c.interval or (None, None)),
        c.interval_confidence,
        c.p_value,
        c.p_adjusted,
        c.p_no_effect,
        c.p_sign_flip,
        c.probability_better,
        c.correlation,
        c.smallest_detectable,
        row.example_error,
        *(c.more_seeds or (None, None)),
        *((second.runs, second.difference, second.verdict) if (second := c.with_failures) else (None, None, None)),
        c.verdict,
        c.reason,
    ]


def _path(comparisons: Mapping[str, Comparison]) -> _Columns:
    """Where a variant stopped, and a set of columns a look."""
    if all(c.stop is None for c in comparisons.values()):
        return _Columns((), {})
    looks = sorted({look.seeds for c in comparisons.values() for look in c.path})
    fields: dict[str, list[object]] = {}
    for variant, c in comparisons.items():
        found = {look.seeds: look for look in c.path}
        line: list[object] = [None, None] if c.stop is None else [c.stop.seeds, c.stop.ended or "goes on"]
        for seeds in looks:
            look = found.get(seeds)
            line += (
                [None] * len(_OF_LOOK)
                if look is None
                else [look.difference, *look.interval, *look.boundary, look.p_at_look, look.p_value]
            )
        fields[variant] = line
    return _Columns(["stopped_after", "stop", *(f"look_{k}_{name}" for k in looks for name in _OF_LOOK)], fields)


def _guards(comparisons: Mapping[str, Comparison], names: Mapping[str, str]) -> _Columns:
    """A set of columns a guard."""
    fields: dict[str, list[object]] = {}
    for variant, c in comparisons.items():
        for one in c.guards:
            found = (one.limit, one.unit, one.worse, one.at_most, one.p_value, one.holds, one.state)
            fields.setdefault(variant, []).extend((names[one.metric], *found))
    most = max(map(len, fields.values()), default=0) // len(_OF_GUARD)
    return _Columns([f"guard_{1 + guard}_{name}" for guard in range(most) for name in _OF_GUARD], fields)


def _published(beside: Sequence[Beside]) -> _Columns:
    """A set of columns a figure."""
    fields: dict[str, list[object]] = {}
    for one in beside:
        figure, found = one.figure, one.found
        stated = (figure.value, figure.source, figure.runs, figure.sd)
        agreement = wording.agreement(found.agreement)
        numbers = (found.difference, *(found.interval or (None, None)))
        fields.setdefault(one.row.variant, []).extend((*stated, *numbers, agreement))
    most = max(map(len, fields.values()), default=0) // len(_OF_FIGURE)
    return _Columns([f"published_{1 + figure}{ending}" for figure in range(most) for ending in _OF_FIGURE], fields)


def _savings(choices: Sequence[Choice]) -> _Columns:
    fields: dict[str, list[object]] = {
        c.variant: [c.counted.mean, c.measured.mean, c.measured.sd, c.on_front] for c in choices
    }
    return _Columns(_OF_SAVING if choices else (), fields)


def _at_equal_time(rows: Sequence[Row]) -> _Columns:
    fields: dict[str, list[object]] = {}
    for row in rows:
        c = row.comparison
        assert c is not None
        fields[row.variant] = [c.seeds, c.difference, *(c.interval or (None, None)), c.p_adjusted, c.verdict]
    return _Columns(_AT_EQUAL_TIME if rows else (), fields)
