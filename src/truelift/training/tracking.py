"""A run that a tracker is told of: whose variant it is, and how it ended."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from truelift import signals
from truelift.trackers import Careful, Tracked, check_tracker
from truelift.training.experiment import Experiment
from truelift.training.identity import fingerprint, identity, without_seed

_BY_ITSELF = "train"


def tracked(experiment: Experiment, folder: Path, from_step: int) -> Tracked:
    """What a tracker is told of a run: a study's, which lies in STUDY/runs/VARIANT, or a training by itself."""
    folder = folder.absolute()
    settings = identity(experiment)
    home, variant, study = folder, f"{experiment.model.name}-{experiment.data.name}", _BY_ITSELF
    if len(folder.parents) > 2 and (folder.parents[2] / "study.json").is_file():
        home, variant = folder.parents[2], folder.parent.name
        study = home.name
    of_run = {name: value for name, value in without_seed(settings).items() if name != "defaults_version"}
    return Tracked(study, variant, experiment.seed, of_run, fingerprint(settings), folder, home, from_step)


@contextlib.contextmanager
def tracking(experiment: Experiment, folder: Path, from_step: int) -> Iterator[Careful]:
    """Within it the experiment's tracker follows the run; it is told in the end how that ended."""
    start = check_tracker(experiment.tracker)
    tracker = Careful(experiment.tracker, start, tracked(experiment, folder, from_step))
    try:
        yield tracker
    except (KeyboardInterrupt, signals.PreemptedError):
        tracker.end("stopped")
        raise
    except BaseException:
        tracker.end("failed")
        raise
    tracker.end("done")
