"""`truelift study`."""

import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from truelift import recipes
from truelift.cli.dry_run import show_cost
from truelift.cli.given import GIVEN
from truelift.cli.live import LiveStudy
from truelift.cli.options import HiddenExperimentOptions
from truelift.cli.say import show, warn
from truelift.cli.study_lines import StudyLines, warn_of
from truelift.errors import InputError
from truelift.report import summarise
from truelift.report.standing import decide
from truelift.studies.executors import Cluster, ExecutorOptions, Work, cluster_of, executor_options
from truelift.studies.folders import names_of
from truelift.studies.how import How
from truelift.studies.longest_first import LongestFirst
from truelift.studies.looks import GivenLooks
from truelift.studies.plan import StudyPlan
from truelift.studies.preflight import check, look
from truelift.studies.study import run_study
from truelift.studies.study_file import read_plan
from truelift.training import Experiment
from truelift.training.distributed import started_by_torchrun
from truelift.verdicts import Requirement

_WHAT = Parameter(group=Group("What runs", sort_key=1))
_HOW = Parameter(group=Group("How it runs", sort_key=2))
_SAYS = Parameter(group=Group("What it says", sort_key=3))
_LEDGER = Parameter(group=Group("A referee for a search", sort_key=4))
_WHERE = Group("Where it runs", sort_key=5)


def study(
    source: Annotated[str, Parameter(name="source")],
    /,
    *,
    scale: Annotated[str, _WHAT] = "paper",
    seeds: Annotated[int | None, _WHAT] = None,
    until_decided: Annotated[bool, _WHAT] = False,
    max_seeds: Annotated[int | None, _WHAT] = None,
    looks: Annotated[str | None, _WHAT] = None,
    dry_run: Annotated[bool, _WHAT] = False,
    jobs: Annotated[int | None, _HOW] = None,
    out: Annotated[Path | None, _HOW] = None,
    checkpoint_seconds: Annotated[float, _HOW] = 30.0,
    wait: Annotated[bool, _HOW] = False,
    quiet: Annotated[bool, _SAYS] = False,
    verbose: Annotated[bool, _SAYS] = False,
    json: Annotated[bool, _SAYS] = False,
    require: Annotated[Requirement | None, _SAYS] = None,
    ledger: Annotated[Path | None, _LEDGER] = None,
    again: Annotated[bool, _LEDGER] = False,
    confirm: Annotated[bool, _LEDGER] = False,
    executor: Annotated[ExecutorOptions, Parameter(name="executor", group=_WHERE)] = ExecutorOptions(),  # noqa: B008
    experiment: HiddenExperimentOptions = Experiment(),  # noqa: B008
) -> int:
    """Compare variants over paired seeds. The same command goes on where it was stopped.

    Any setting that all variants share may follow, such as `--epochs 10`: `truelift options` lists them, and
    `truelift study --help-all` shows all options.

    Args:
        source: A study file (TOML), or the name of a recipe.
        scale: One of the file's scales, usually a shorter form; paper: the file as it is.
        seeds: Run seeds 0 to SEEDS-1, whatever the file says.
        until_decided: Judge while it runs, and run no more seeds than a variant needs; at most MAX_SEEDS.
        max_seeds: With --until-decided: the most seeds per variant.
        looks: With --until-decided: at how many seeds to judge, such as 3,5,8,12. Default: at every one from the third.
        dry_run: Say what would run, what is done and what it will cost: time from some steps of each variant, disk and
            memory. Nothing is written except the cache of decoded images. With --executor slurm or ray: print what
            would be handed over.
        jobs: Runs at a time, with cores and GPUs divided among them. Default: one per GPU, or one per core.
        out: Folder of the study. Default: runs/NAME, or runs/NAME-SCALE.
        checkpoint_seconds: Seconds between a run's checkpoints.
        quiet: Say nothing while it runs, except warnings.
        verbose: Also show what the runs print.
        json: Print the report as JSON (docs/json.md); progress goes to the standard error.
        require: helps, not-hurts or no-effect: end with status 0 if that holds for every variant, 3 if not, 4 if it is
            undecided.
        ledger: A referee's ledger, created if it is missing (docs/referee.md): variants are registered before they run,
            on seeds that the ledger draws, and judged at its levels.
        again: With --ledger: another look at variants that it has judged, on fresh seeds and at another level.
        confirm: With --ledger: the last confirmation, by a metric on images that it has never used to judge.
        wait: With --executor slurm: wait until all runs have ended, and then report.
        executor: What runs the study (docs/clusters.md).
        experiment: Settings shared by all variants, instead of the file's.
    """
    if started_by_torchrun():
        raise InputError("study starts its own processes, --jobs at a time: give it without torchrun.")
    if ledger is None and (again or confirm):
        raise InputError(f"{'again' if again else 'confirm'} needs --ledger.")
    if quiet and verbose:
        raise InputError("quiet and verbose exclude each other.")
    if dry_run and (json or require or ledger is not None):
        raise InputError("dry_run writes no report: leave out json, require and ledger.")
    growing = GivenLooks(until_decided, max_seeds, looks)
    file = recipes.study_file(source)
    plan = read_plan(file, scale=scale, seeds=seeds, overrides=GIVEN.settings(experiment), looks=growing)
    if ledger is not None and plan.looks is not None:
        raise InputError("ledger must be left out of a study until decided: a ledger's levels are for one look.")
    options = executor_options(plan.executor, GIVEN.under("executor", executor))
    cluster = cluster_of(options, wait=wait)
    if cluster is not None and (jobs is not None or (ledger is not None and not cluster.waits)):
        raise InputError(f"{'ledger' if jobs is None else 'jobs'} must be left out with --executor {options.name}.")
    warn_of(plan)
    folder = out or Path("runs") / plan.name
    how = How(jobs=jobs, checkpoint_seconds=checkpoint_seconds, retries=options.retries or 0, executor=cluster)
    if dry_run and cluster is None:
        return show_cost(plan, folder, how)

    lines = StudyLines(plan, quiet=quiet, json=json)
    if ledger is not None:
        from truelift.cli import refereed  # a referee is wanted seldom

        plan = refereed.entered(plan, folder, ledger, how, again=again, confirm=confirm)
        drawn = ", ".join(map(str, plan.seeds))
        print(f"{ledger}: {len(plan.seeds)} seeds drawn: {drawn}", file=sys.stderr if json else sys.stdout)
    if dry_run and cluster is not None:
        print(_handed_over(plan, folder, how, cluster), end="")
        return 0
    repeat = shlex.join(["truelift", *sys.argv[1:]])
    shown: AbstractContextManager[LiveStudy | None] = nullcontext()
    if not quiet and cluster is None:
        shown = LiveStudy(
            lines.tell, until_decided=plan.looks is not None, terminal=sys.stderr.isatty(), verbose=verbose
        )
    with shown as watcher:
        records = run_study(
            plan,
            folder,
            how,
            repeat=repeat,
            report_run=lines.report_run,
            warn=warn,
            tell=lines.tell,
            decide=decide,
            watcher=watcher,
        )
    if cluster is not None and not cluster.waits and any(run.status == "unfinished" for run in records.runs):
        place = shlex.quote(str(folder))
        told = {"how far it is": "status", "live": "watch", "to end it": "cancel", "when it has ended": "report"}
        lines.tell("; ".join(f"{what}: truelift {command} {place}" for what, command in told.items()))
        return 0
    summary = summarise(records)
    if ledger is not None:
        judged = refereed.decided(ledger, summary, records.runs)
        if any(run.status == "unfinished" for run in records.runs):
            warn(f"not all runs have ended: {ledger} has no verdict yet. The same command goes on.")
        elif len(judged) < len(summary.compared):
            warn(f"what failed in every run has no verdict in {ledger}: mend it, and give the same command again.")
    status = show(summary, folder, json=json, require=require)
    if require is not None:
        return status
    unneeded = frozenset() if summary.grown is None else summary.grown.not_needed | summary.grown.ahead
    missing = (run for run in records.runs if run.status != "done" and (run.variant, run.seed) not in unneeded)
    return 1 if any(missing) else 0


def _handed_over(plan: StudyPlan, folder: Path, how: How, cluster: Cluster) -> str:
    """What a dry run shows of a study that a cluster is to run; refuses what the study would."""
    _, runs, _, pending = check(plan, folder, how)
    look(plan, cluster)
    work = Work(folder, how.checkpoint_seconds, plan.metric.name, one_by_one=plan.looks is not None)
    return cluster.shown(list(LongestFirst(names_of(runs), pending).folders()), work)
