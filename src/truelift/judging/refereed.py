"""Runs that one already has as candidates of a referee's ledger."""

from dataclasses import replace
from pathlib import Path

from truelift.errors import InputError
from truelift.records import Study
from truelift.referee import Ledger
from truelift.report import Summary, summarise

_NOTE = (
    "The runs were there before the ledger knew of them: their levels count what is registered, not what else was "
    "tried and left out."
)


def judged_by_ledger(study: Study, summary: Summary, path: str | Path, *, again: bool) -> Summary:
    """The report at the ledger's levels; every variant is registered, and judged at once.

    The same runs judged once more keep their verdict and cost nothing.

    Args:
        study: The runs.
        summary: The report without the ledger, which says what is there.
        path: The ledger.
        again: Take another look at variants that were judged by other runs.

    Raises:
        InputError: The runs are no pairs, the ledger's rule needs seeds that it draws, or it refuses; or variants were
            judged by other results of the same seeds.
    """
    asked = summary.asked
    if not asked.paired:
        raise InputError("a ledger needs runs that are pairs, and these are none.")
    if asked.folds is not None:
        raise InputError("a ledger needs pairs that are independent, and folds of one data set are not.")
    ledger = Ledger(path)
    registered = ledger.register_all(
        {row.variant: {"variant": row.variant} for row in summary.compared},
        baseline=asked.baseline,
        baseline_settings={"variant": asked.baseline},
        metric=asked.metric.name,
        higher_is_better=asked.metric.higher_is_better,
        smallest_effect=asked.smallest_effect,
        drawn=False,
        given=asked.seeds,
        again=again,
    )
    plan = {**study.plan, "referee": ledger.record(registered), "notes": [*study.plan["notes"], _NOTE]}
    found = summarise(replace(study, plan=plan))
    comparisons = {row.variant: row.comparison for row in found.compared}
    for one in registered:
        comparison = comparisons[one.name]
        assert comparison is not None
        if one.differences is not None and one.differences != comparison.differences:
            raise InputError(
                f'"{one.name}" was judged by other results of these seeds (candidate {one.number}): another look costs '
                "another level; ask for it (again)."
            )
        ledger.judge(one, comparison)
    return found
