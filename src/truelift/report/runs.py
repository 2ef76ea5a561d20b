"""Every run of a study, a line each: what it reached, how long it took, and how it failed."""

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from truelift.records import Run, Status, log_tail
from truelift.report.kept import Key
from truelift.report.plain import csv_cell
from truelift.report.rows import Row, mean_digits
from truelift.verdicts.numbers import number

HEADER = ("run", "seed", "status", "result", "seconds")
LEGEND = "Each run's result, and the seconds of its training where it told them. report-runs.csv has every metric."
MOST_LOGS = 20
"""Of failed runs whose logs are shown."""
_TIMES = ("train_seconds", "wall_seconds")
_WORDS: Mapping[Status, str] = {"done": "done", "failed": "failed", "unfinished": "not finished"}


@dataclass(frozen=True)
class RunLine:
    """One run."""

    variant: str
    seed: int
    status: Status
    judged: bool
    """False for a run that was made ahead, in a study until decided."""
    value: float
    """The study's metric as the table shows it; NaN where it is not judged."""
    seconds: float
    """Of the training; NaN where it is not told."""
    metrics: Mapping[str, float]
    """All numbers as the run left them, but for those that are kept unseen."""
    tail: tuple[str, ...]
    """The last lines of a failed run's log.txt."""

    @property
    def words(self) -> str:
        """The status for a reader."""
        return _WORDS[self.status] if self.judged else f"{_WORDS[self.status]}, not judged"


def run_lines(
    statuses: Sequence[tuple[Run, Status]],
    rows: Sequence[Row],
    seeds: Sequence[int],
    *,
    ahead: Collection[Key],
    unseen: Collection[str],
) -> tuple[RunLine, ...]:
    """A line each, in the order of the table and of the seeds.

    Args:
        statuses: The runs that are to be told of, each as it was found.
        rows: Of the study's metric.
        seeds: Of the study, in the order of the rows' values.
        ahead: Runs that are not judged, by variant and seed.
        unseen: Metrics that are not to be shown.
    """
    values = {(row.variant, seed): value for row in rows for seed, value in zip(seeds, row.values, strict=True)}
    place = {key: i for i, key in enumerate(values)}
    logs = 0
    lines = []
    for run, status in sorted(statuses, key=lambda one: place[one[0].variant, one[0].seed]):
        key = run.variant, run.seed
        result = run.result() if status == "done" else {"metrics": {}}
        tail: tuple[str, ...] = ()
        if status == "failed" and logs < MOST_LOGS:
            tail = log_tail(run.folder)
            logs += bool(tail)
        lines.append(
            RunLine(
                variant=run.variant,
                seed=run.seed,
                status=status,
                judged=key not in ahead,
                value=values[key],
                seconds=_seconds(result),
                metrics={name: value for name, value in result["metrics"].items() if name not in unseen},
                tail=tail,
            )
        )
    return tuple(lines)


def _seconds(result: Mapping[str, object]) -> float:
    """Of a program of the user's, which may not have told them, those that it ran."""
    metrics = result["metrics"]
    assert isinstance(metrics, Mapping), "its reader has checked it"
    for place in (metrics, result):
        for name in _TIMES:
            if isinstance(found := place.get(name), int | float):
                return float(found)
    return math.nan


def cells(lines: Sequence[RunLine], rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """A row each, under HEADER."""
    digits = mean_digits(rows)
    return [
        (
            line.variant,
            str(line.seed),
            line.words,
            number(line.value, digits=digits),
            number(line.seconds, digits=1 if line.seconds < 100 else 0),
        )
        for line in lines
    ]


def runs_csv(lines: Sequence[RunLine], metric: str) -> str:
    """One row a run and metric, unrounded and as the run left it; a run without a result has one row with no value.

    Args:
        lines: The runs.
        metric: The study's, which a run without a result lacks.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("variant", "seed", "status", "metric", "value"))
    for line in lines:
        found: Mapping[str, float | str] = line.metrics or {metric: ""}
        for name, value in found.items():
            writer.writerow((csv_cell(line.variant), line.seed, line.words, csv_cell(name), value))
    return out.getvalue()
