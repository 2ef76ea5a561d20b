"""Verdicts for runs that one already has."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.judging import at as steps
from truelift.judging import metric as of_metric
from truelift.judging.guards import read as read_guards
from truelift.judging.judged import Judged
from truelift.judging.metric import Better
from truelift.judging.refereed import judged_by_ledger
from truelift.judging.studied import Asked, study_of
from truelift.records.elsewhere import Wanted, read_runs
from truelift.report import summarise
from truelift.verdicts import Scale
from truelift.verdicts.checks import at_least_zero

_SEVERAL = "Runs have several rows: the last of each counts (--at last)."


def judge(
    table: Any,
    *,
    baseline: str | None = None,
    metric: str | None = None,
    smallest_effect: float = 0.0,
    variant: str | Sequence[str] = (),
    seed: str | None = None,
    step: str | None = None,
    at: str | None = None,
    better: Better | None = None,
    scale: Scale | None = None,
    guards: Mapping[str, float | str] | None = None,
    paired: bool | None = None,
    question: str | None = None,
    repeat: str | None = None,
    ledger: str | Path | None = None,
    again: bool = False,
) -> Judged:
    """Which variants help, of runs that were made elsewhere?

    Args:
        table: A pandas or polars frame, a dict of lists, a list of dicts; or the path of a table (CSV, TSV, JSON lines,
            parquet), of MLflow's or Trackio's database, or of a folder of MLflow, TensorBoard, Weights & Biases,
            Lightning or a Trainer, or of one CSV a run (docs/judge.md).
        baseline: The variant that the others are compared with; else the one named plain, baseline or the like.
        metric: What is judged; else the first usual metric that is there.
        smallest_effect: The smallest difference that matters, in units of the differences, at least 0.
        variant: The column or setting that tells variants apart, or several; else it is found.
        seed: The column or setting of the seed; else it is found.
        step: The column of steps or epochs; else it is found.
        at: Where a run has several rows: last, best-validation, best=METRIC or step=N; default last.
        better: higher or lower, for a metric whose name does not say it.
        scale: points, fraction or none, for a metric whose results are not what its name says. Fractions are judged in
            points.
        guards: To other metrics by how much they may get worse: {"test_loss": 0.1}, or "3 %" of the baseline, or with
            their scale "0.5:fraction". A variant helps only where all hold.
        paired: False compares unpaired although there are seeds.
        question: For the report.
        repeat: The command that repeats it, for the report.
        ledger: A referee's ledger, of alpha spending: variants are registered in it and judged at its levels
            (docs/referee.md).
        again: With a ledger: another look at variants that it has judged by other runs.

    Raises:
        InputError: The table cannot be read, or something is not in it; one line says what.
    """
    at_least_zero("smallest_effect", smallest_effect)
    wanted = Wanted(
        baseline=None if baseline is None else str(baseline),
        metric=metric,
        variant=(variant,) if isinstance(variant, str) else tuple(variant),
        seed=seed,
        step=step,
    )
    runs = read_runs(table, wanted)
    judged_by = of_metric.choose(runs, metric, better)
    where = steps.parse(at or "last", judged_by, runs)
    asked = Asked(
        metric=judged_by,
        at=where,
        baseline=wanted.baseline,
        smallest_effect=float(smallest_effect),
        scale=scale,
        guards=read_guards(guards or {}, runs.metrics, judged_by.name),
        paired=paired,
        question=question,
        repeat=repeat or _call(table, wanted, judged_by.name),
        notes=(f"{runs.told[0].upper()}{runs.told[1:]}.", *((_SEVERAL,) if at is None and runs.steps_from else ())),
    )
    studied = study_of(runs, asked)
    summary = summarise(studied.study)
    if ledger is not None:
        summary = judged_by_ledger(studied.study, summary, ledger, again=again)
    elif again:
        raise InputError("again needs a ledger.")
    summary = replace(summary, problems=studied.problems)
    return Judged(summary)


def _call(table: Any, wanted: Wanted, metric: str) -> str:
    source = repr(os.fspath(table)) if isinstance(table, str | os.PathLike) else "table"
    return f"truelift.judge({source}, baseline={wanted.baseline!r}, metric={metric!r})"
