"""What TensorBoard shows of a run that went on. Skipped where it is not installed."""

import time
from pathlib import Path

import pytest

from truelift.trackers import Tracked

pytest.importorskip("tensorboard")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_was_told_of_the_checkpoints_step_stays_and_what_came_after_it_goes(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from truelift.trackers.to_tensorboard import TensorBoard

    def begun(from_step: int) -> TensorBoard:
        return TensorBoard(Tracked("s", "v", 0, {}, "f", tmp_path, tmp_path, from_step))

    before = begun(0)
    for step in (5, 10, 15):
        before.log({"train_loss": 1 / step}, step)
    before.log({"test_accuracy": 90.0}, 10)
    before.end("stopped")
    time.sleep(1.1)  # a file's name has the second in which it began
    after = begun(10)
    for step in (15, 20):
        after.log({"train_loss": 2 / step}, step)
    after.end("done")
    shown = EventAccumulator(str(tmp_path / "tensorboard" / "v" / "seed-0"))
    shown.Reload()
    assert [(e.step, round(e.value * e.step)) for e in shown.Scalars("train_loss")] == [
        (5, 1),
        (10, 1),
        (15, 2),
        (20, 2),
    ]
    assert [e.step for e in shown.Scalars("test_accuracy")] == [10]
