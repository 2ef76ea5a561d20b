"""A study at one moment: how each run stands and what it left, looked at once for all parts of a report."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from truelift.metrics import no_result
from truelift.records import Run, Status, Study
from truelift.report.asked import Asked, read_asked
from truelift.report.devices import Unlike, unlike, without_times
from truelift.report.judged import Found
from truelift.report.kept import KeptPredictions, Key
from truelift.report.predicted import measured


@dataclass(frozen=True)
class Seen:
    """What was found."""

    asked: Asked
    """The plan; of a metric out of predictions the scale is known."""
    statuses: tuple[tuple[Run, Status], ...]
    """Of every run of the plan."""
    unlike: Mapping[Key, Unlike]
    """Pairs on unlike devices."""
    left: Found
    """By the runs that are done."""

    @property
    def done(self) -> list[Run]:
        """The runs with a result."""
        return [run for run, status in self.statuses if status == "done"]

    @cached_property
    def comparable(self) -> Found:
        """What they left, without the times of pairs on unlike devices."""
        return without_times(self.left, self.unlike)


def seen(study: Study) -> Seen:
    """Look at every run of a study."""
    asked = read_asked(study.plan)
    statuses = tuple((run, run.status) for run in study.runs)
    done = [run for run, status in statuses if status == "done"]
    found = Found(
        {(run.variant, run.seed): _metrics(run) for run in done},
        KeptPredictions({(run.variant, run.seed): run for run in done}),
        {(run.variant, run.seed): run for run, status in statuses if status == "failed"},
        {(run.variant, run.seed): count for run in done if (count := run.result().get("test_images"))},
        max(filter(None, map(_held_out, done)), default=None),
    )
    asked, found = measured(asked, found, done)
    return Seen(asked, statuses, unlike(done, asked), found)


def _metrics(run: Run) -> dict[str, float]:
    """Those that can be judged; earlier versions took larger numbers."""
    return {name: value for name, value in run.result()["metrics"].items() if no_result(value) is None}


def _held_out(run: Run) -> float | None:
    """n_test / n_train; None where the run does not tell both."""
    test, train = (run.result().get(f"{split}_images") for split in ("test", "train"))
    return test / train if test and train else None
