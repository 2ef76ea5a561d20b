"""A study whose variants are candidates of a referee's ledger."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.metrics import LOGGED
from truelift.records import Run
from truelift.referee import Decision, Ledger, images_of
from truelift.report import Summary
from truelift.seeds import FEWEST_SEEDS
from truelift.studies.executors.local import Local
from truelift.studies.how import How, check_study
from truelift.studies.plan import StudyPlan
from truelift.studies.preflight import look, preflight
from truelift.training.identity import without_seed


def entered(
    plan: StudyPlan,
    folder: Path,
    path: Path,
    how: How,
    *,
    again: bool,
    confirm: bool,
) -> StudyPlan:
    """The plan with the seeds that the ledger draws, its variants registered at their levels.

    Everything is checked before anything is registered: what cannot run costs no level.

    Args:
        plan: How many seeds it has is how many are drawn.
        folder: The study's.
        path: The ledger; made where it is missing.
        how: The study is run.
        again: Take another look at variants that were registered before.
        confirm: The last confirmation.

    Raises:
        InputError: The study cannot run; the ledger refuses; or the plan pools its variants.
    """
    if plan.pooling != "none":
        raise InputError(
            f'pooling must be "none" with a ledger, whose levels are a variant\'s own, got {plan.pooling}.'
        )
    if plan.metric.relative and confirm:
        raise InputError(f"a confirmation is on other images, and {plan.metric.name} is computed on none.")
    if len(plan.seeds) < FEWEST_SEEDS:
        raise InputError(f"a ledger needs {FEWEST_SEEDS} seeds or more, got {len(plan.seeds)}.")
    if plan.folds is not None:
        raise InputError("a ledger draws fresh seeds, and folds are always the same: give seeds.")
    executor = check_study(plan, folder, how)
    executor.check(folder)
    look(plan, executor)
    if not isinstance(executor, Local):  # a mistake would cost a level: what can be seen here is looked at too
        preflight(plan)
    settings = _settings(plan)
    images = _images(plan)
    names = [variant.name for variant in plan.variants if variant.name != plan.baseline]
    ledger = Ledger(path)
    registered = ledger.register_all(
        {name: settings[name] for name in names},
        baseline=plan.baseline,
        baseline_settings=settings[plan.baseline],
        metric=plan.metric.name,
        higher_is_better=plan.metric.higher_is_better,
        smallest_effect=plan.smallest_effect,
        seeds=len(plan.seeds),
        images=images,
        again=again,
        confirm=confirm,
    )
    return replace(plan, seeds=registered[0].seeds, referee=ledger.record(registered, unseen=_unseen(plan, images)))


def decided(path: Path, summary: Summary, runs: tuple[Run, ...]) -> list[Decision]:
    """Record the verdicts of a study's variants; none while a run has not ended, nor of one that failed throughout.

    That one, or its baseline, is to be mended and run again, and its level is kept.

    Args:
        path: The ledger where they are registered.
        summary: Of the study.
        runs: All that it has.
    """
    if any(run.status == "unfinished" for run in runs):
        return []
    ledger = Ledger(path)
    referee = summary.asked.referee
    assert referee is not None
    return [
        ledger.judge(referee.candidates[name].number, found)
        for name, found in summary.comparisons.items()
        if not found.failed_throughout
    ]


def _settings(plan: StudyPlan) -> dict[str, Any]:
    """What each variant is, its seed left out."""
    found = {}
    for run in plan.runs():
        if run.variant not in found:
            found[run.variant] = without_seed(run.identity)
    return found


def _images(plan: StudyPlan) -> str:
    run = next(run for run in plan.runs() if run.variant == plan.baseline)
    return images_of(plan.metric.name, "" if run.experiment is None else run.experiment.data.name)


def _unseen(plan: StudyPlan, images: str) -> list[str]:
    """Metrics of test images, where the study is judged by others: what is looked at is worn out too."""
    trainings = all(variant.command is None for variant in plan.variants)
    if not trainings or not images.startswith("validation"):
        return []
    return [one.name for one in LOGGED if one.by == "detection" or images_of(one.name).startswith("test")]
