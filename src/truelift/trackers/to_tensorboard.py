"""TensorBoard: event files in the study's folder, one folder a variant and seed."""

from collections.abc import Mapping

from torch.utils.tensorboard import SummaryWriter

from truelift.trackers.base import Outcome, Tracked


class TensorBoard:
    """Writes scalars; `tensorboard --logdir STUDY/tensorboard` shows the runs by variant and seed."""

    def __init__(self, tracked: Tracked) -> None:
        folder = tracked.home / "tensorboard" / tracked.name
        if tracked.from_step == 0 and folder.is_dir():  # an earlier try, or the run with other settings
            for file in folder.glob("events.out.tfevents.*"):
                file.unlink()
        # What was told of the checkpoint's own step stays: it is not told again.
        purged = tracked.from_step + 1 if tracked.from_step else None
        self.writer = SummaryWriter(str(folder), purge_step=purged)

    def log(self, numbers: Mapping[str, float], step: int) -> None:
        """Write, so that a killed run leaves what it has told."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def end(self, outcome: Outcome) -> None:
        """Close the file."""
        self.writer.close()


start = TensorBoard
