"""`truelift judge`."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift.cli.say import show, warn
from truelift.judging import judge as judge_runs
from truelift.judging.guards import parse
from truelift.judging.metric import Better
from truelift.verdicts import Requirement, Scale


def judge(
    source: Annotated[str, Parameter(name="source")],
    /,
    *,
    baseline: str | None = None,
    metric: str | None = None,
    smallest_effect: float = 0.0,
    variant: tuple[str, ...] = (),
    seed: str | None = None,
    step: str | None = None,
    at: str | None = None,
    better: Better | None = None,
    scale: Scale | None = None,
    guard: tuple[str, ...] = (),
    unpaired: bool = False,
    question: str | None = None,
    out: Path | None = None,
    json: bool = False,
    require: Requirement | None = None,
    ledger: Path | None = None,
    again: bool = False,
) -> int:
    """Give verdicts for runs that you already have, of whatever program.

    Args:
        source: A table (CSV, TSV, JSON lines, parquet), a database of MLflow or Trackio, or a folder of MLflow,
            TensorBoard, Weights & Biases, Lightning or a Trainer, or of one CSV a run.
        baseline: The variant that the others are compared with. Default: the one named plain, baseline or the like.
        metric: What is judged. Default: the first usual one that is there.
        smallest_effect: The smallest difference that matters, in units of the differences.
        variant: Column or setting that distinguishes variants, or several. Default: found by its name or the baseline.
        seed: Column or setting of the seed, by which runs are paired. Default: found by its name.
        step: Column of steps or epochs. Default: found by its name.
        at: If a run has several rows: last, best-validation, best=METRIC or step=N. Default: last.
        better: higher or lower, for a metric whose name does not say it.
        scale: Of the metric: points, fraction or none. Default: by its name. Fractions are judged in points.
        guard: METRIC=LIMIT, or several: how much worse other metrics may get at most, in their unit or in percent
            ("test_loss=3%"); "test_accuracy=0.5:fraction" also tells their scale. A variant helps only if all hold.
        unpaired: Compare all runs with all of the baseline, although there are seeds.
        question: For the report. Default: which of the variants is best.
        out: Folder of the report. Default: runs/judge/SOURCE.
        json: Print the report as JSON and nothing else (docs/json.md).
        require: helps, not-hurts or no-effect: end with status 0 if that holds for every variant, 3 if not, 4 if it is
            undecided.
        ledger: A referee's ledger of alpha spending (docs/referee.md): variants are registered in it and judged at its
            levels.
        again: With --ledger: another look at variants that it has judged by other runs, at another level.
    """
    judged = judge_runs(
        source,
        baseline=baseline,
        metric=metric,
        smallest_effect=smallest_effect,
        variant=variant,
        seed=seed,
        step=step,
        at=at,
        better=better,
        scale=scale,
        guards=parse(guard),
        paired=False if unpaired else None,
        question=question,
        ledger=ledger,
        again=again,
        repeat=shlex.join(["truelift", *sys.argv[1:]]),
    )
    first, *others = judged.notes
    print(first, file=sys.stderr if json else sys.stdout)
    for note in others:
        warn(note)
    return show(judged.summary, out or _place(source), json=json, require=require)


def _place(source: str) -> Path:
    """Another for each source: two tables may both be named results.csv, or differ in their endings alone."""
    path, here = Path(os.path.abspath(source.removeprefix("sqlite:///"))), Path.cwd()
    below = path.relative_to(here if path.is_relative_to(here) else path.anchor)
    return Path("runs/judge") / below / ("" if below.parts else "runs")
