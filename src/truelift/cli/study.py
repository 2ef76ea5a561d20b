"""`truelift study`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift import recipes
from truelift.cli import ahead, refereed
from truelift.cli.given import GIVEN
from truelift.cli.options import ExperimentOptions
from truelift.cli.say import Output, show, warn
from truelift.errors import InputError
from truelift.records import Run
from truelift.referee import Ledger
from truelift.report import summarise
from truelift.report.growing import decide
from truelift.studies.looks import GivenLooks
from truelift.studies.plan import read_plan
from truelift.studies.study import run_study
from truelift.training import Experiment
from truelift.training.distributed import started_by_torchrun
from truelift.verdicts import Requirement


def study(
    source: Annotated[str, Parameter(name="source")],
    /,
    *,
    scale: str = "paper",
    seeds: int | None = None,
    until_decided: bool = False,
    max_seeds: int | None = None,
    looks: str | None = None,
    jobs: int | None = None,
    out: Path | None = None,
    checkpoint_seconds: float = 30.0,
    json: bool = False,
    require: Requirement | None = None,
    ledger: Path | None = None,
    again: bool = False,
    confirm: bool = False,
    experiment: ExperimentOptions = Experiment(),  # noqa: B008
) -> int:
    """Compare variants over paired seeds. The same command goes on where it was stopped.

    Args:
        source: A study file (TOML), or the name of a recipe.
        scale: One of the file's scales, a shorter form most likely; paper: the file as it stands.
        seeds: Run seeds 0 to SEEDS-1, whatever the file says.
        until_decided: Judge while it runs, and run no more seeds than a variant needs; at most MAX_SEEDS.
        max_seeds: With --until-decided: seeds of a variant at most.
        looks: With --until-decided: at how many seeds to judge, such as 3,5,8,12. Default: at every one from the third.
        jobs: Runs at a time, cores and GPUs shared out among them. Default: one a GPU, or one a core.
        out: Folder of the study. Default: runs/NAME, or runs/NAME-SCALE.
        checkpoint_seconds: Seconds between a run's checkpoints.
        json: Print the report as JSON (docs/json.md); how the runs go is told on the standard error.
        require: helps, not-hurts or no-effect: end with status 0 where that holds of every variant, 3 where not, 4
            where it is undecided.
        ledger: A referee's ledger, made where it is missing (docs/referee.md): variants are registered before they run,
            on seeds that the ledger draws, and judged at its levels.
        again: With --ledger: another look at variants that it has judged, on fresh seeds and at another level.
        confirm: With --ledger: the last confirmation, by a metric on images that it has never judged by.
        experiment: Settings shared by all variants, in place of the file's.
    """
    if started_by_torchrun():
        raise InputError("study starts its own processes, --jobs at a time: give it without torchrun.")
    if ledger is None and (again or confirm):
        raise InputError(f"{'again' if again else 'confirm'} needs --ledger.")
    growing = GivenLooks(until_decided, max_seeds, looks)
    file = recipes.study_file(source)
    plan = read_plan(file, scale=scale, seeds=seeds, overrides=GIVEN.settings(experiment), looks=growing)
    if ledger is not None and plan.looks is not None:
        raise InputError("ledger must be left out of a study until decided: a ledger's levels are for one look.")
    for first, second in plan.equal_variants():
        warn(f'variants "{first}" and "{second}" have equal settings: they compare a thing with itself.')
    if len(plan.seeds) == 1:
        warn("one seed decides nothing: noise over seeds cannot be told from an effect. Give at least --seeds 3.")

    def report_run(run: Run, ended: int, total: int) -> None:
        if run.status == "done":
            value = run.result()["metrics"].get(plan.metric.name)
            outcome = "metric missing" if value is None else f"{plan.metric.name} {value:.4g}"
        elif run.status == "failed":
            failure = run.failure()
            outcome = failure["reason"] if failure.get("diverged") else f"failed: {failure['reason']}"
        else:
            outcome = "interrupted" if run.folder.is_dir() else "failed: its folder was removed while it ran"
        of = "/" if plan.looks is None else " of at most "
        tell(f"[{ended}{of}{total}] {run.variant} seed {run.seed}: {outcome}")
        if ended == total - 1:
            ahead.report()

    def tell(line: str) -> None:
        print(line, flush=True, file=sys.stderr if json else sys.stdout)

    if ledger is not None:
        plan = refereed.entered(plan, ledger, again=again, confirm=confirm)
        drawn = ", ".join(map(str, plan.seeds))
        print(f"{ledger}: {len(plan.seeds)} seeds drawn: {drawn}", file=sys.stderr if json else sys.stdout)
    folder = out or Path("runs") / plan.name
    repeat = shlex.join(["truelift", *sys.argv[1:]])
    records = run_study(
        plan,
        folder,
        repeat=repeat,
        report_run=report_run,
        warn=warn,
        tell=tell,
        decide=decide,
        jobs=jobs,
        checkpoint_seconds=checkpoint_seconds,
    )
    summary = summarise(records)
    if ledger is not None and not refereed.decided(Ledger(ledger), summary, records.runs):
        warn(f"not all runs have ended: {ledger} has no verdict yet. The same command goes on.")
    status = show(summary, folder, Output(json, require))
    if require is not None:
        return status
    unneeded = frozenset() if summary.grown is None else summary.grown.not_needed | summary.grown.ahead
    missing = (run for run in records.runs if run.status != "done" and (run.variant, run.seed) not in unneeded)
    return 1 if any(missing) else 0
