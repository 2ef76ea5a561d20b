"""What a study says while it runs, to a person: a line a run, and the end of the log of one that failed."""

import re
import sys
from collections.abc import Iterator, Sequence

from truelift.cli import ahead
from truelift.cli.say import ONE_AT_A_TIME, warn
from truelift.errors import printable
from truelift.records import Run, log_tail
from truelift.records.predicted import metric_of
from truelift.studies.plan import StudyPlan

_LAST_LINES = 5
"""Of a failed run's log."""


class StudyLines:
    """Prints a study's lines.

    Args:
        plan: The study's.
        quiet: Print none.
        json: Leave the standard output to JSON.
    """

    def __init__(self, plan: StudyPlan, *, quiet: bool, json: bool) -> None:
        self._metric = plan.metric.name
        self._of = "/" if plan.looks is None else " of at most "
        self._quiet = quiet
        self._json = json
        self._logs: dict[tuple[str, ...], str] = {}
        """By the way in which runs failed, the first that did."""

    def tell(self, line: str) -> None:
        """Print a line."""
        if not self._quiet:
            with ONE_AT_A_TIME:  # the streams are looked up each time: a live display puts its own in their places
                print(line, flush=True, file=sys.stderr if self._json else sys.stdout)

    def report_run(self, run: Run, ended: int, total: int) -> None:
        """Tell that a run has ended, as `run_study` does."""
        name = f"{run.variant} seed {run.seed}"
        log = _end_of_log(run) if run.status == "failed" else ()
        shown = self._logs.setdefault((run.failure()["reason"], *_without_numbers(log)), name) if log else name
        again = "" if shown == name else f"; its log ends as that of {shown}"
        self.tell(f"[{ended}{self._of}{total}] {name}: {self._outcome(run)}{again}")
        if log and not again:
            self.tell(f"  the end of {printable(str(run.folder / 'log.txt'))}:")
            for line in log:
                self.tell(f"  | {line}")
        if ended == total - 1:
            ahead.report()

    def _outcome(self, run: Run) -> str:
        if run.status == "done":
            value = metric_of(run, self._metric)
            return "metric missing" if value is None else f"{self._metric} {value:.4g}"
        if run.status == "failed":
            failure = run.failure()
            return failure["reason"] if failure.get("diverged") else f"failed: {failure['reason']}"
        return "interrupted" if run.folder.is_dir() else "failed: its folder was removed while it ran"


def _end_of_log(run: Run) -> tuple[str, ...]:
    """Without the line that a worker ends it with: that is the reason, which is told."""
    lines = log_tail(run.folder, _LAST_LINES + 1)
    return (lines[:-1] if lines and lines[-1].startswith("truelift: ") else lines)[-_LAST_LINES:]


def _without_numbers(log: Sequence[str]) -> Iterator[str]:
    """All but the last line without steps, seeds, times and names of folders, which differ between runs."""
    for line in log[:-1]:
        yield re.sub(r"\w*\d\w*", "", line)
    yield log[-1]


def warn_of(plan: StudyPlan) -> None:
    """Print what is odd about a plan."""
    for first, second in plan.equal_variants():
        warn(f'variants "{first}" and "{second}" have equal settings: they compare a thing with itself.')
    for line in (*plan.against_their_names(), *plan.without_effect()):
        warn(line)
    if len(plan.seeds) == 1:
        warn("one seed decides nothing: noise over seeds cannot be told from an effect. Give at least --seeds 3.")
