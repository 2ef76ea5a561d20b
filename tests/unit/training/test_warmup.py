"""The warm-up that lasts until the training error is low."""

from pathlib import Path
from typing import Any

import pytest
import torch

from truelift.training import Experiment, resolve, run
from truelift.training.build import assemble, load_data
from truelift.training.objectives import error_percent
from truelift.training.policies import Progress
from truelift.training.schedules import UntilError
from truelift.training.settings import parse_experiment

LABELS = torch.zeros(10, dtype=torch.int64)


def test_errors_in_percent() -> None:
    logits = torch.eye(2)[[1] * 3 + [0] * 7]  # ten images of class 0, three of which are taken for class 1
    assert error_percent(logits, LABELS).item() == pytest.approx(30)
    assert error_percent(logits[3:], LABELS[3:]).item() == 0


def rates(wrong_at: list[int], percent: float = 80.0) -> list[float]:
    """The factor at each step, where so many of the step's ten images are wrong; the schedule itself is the step."""
    schedule = UntilError(lambda p: float(p.step), factor=0.1, error_percent=percent)
    factors = []
    last_error = None
    for step, wrong in enumerate(wrong_at):
        factors.append(schedule(Progress(step, 10, 100, last_error)))
        last_error = torch.tensor(10.0 * wrong)
    return factors


def test_it_ends_after_twenty_steps_under_the_threshold() -> None:
    # 80 % exactly in the first twenty is not under it; 79.5 % in the second is; what comes later changes nothing.
    got = rates([8] * 20 + [8] * 19 + [7] + [10] * 60)
    assert got == [0.1] * 40 + [float(step) for step in range(40, 100)]
    assert rates([10] * 10 + [0] * 10 + [10] * 10) == [0.1] * 20 + [float(step) for step in range(20, 30)]
    assert rates([9] * 100) == [0.1] * 100


def small(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 6, "data.train_images": 320, "batch_size": 32}
    warmup = {"schedule.name": "step", "schedule.milestones_steps": [45], "schedule.warmup": "until-error"}
    warmup["precision"] = "fp32"
    return resolve(parse_experiment({**base, **warmup, "schedule.warmup_factor": 0.1, **settings}, "test"))


@pytest.mark.parametrize(
    "settings",
    [{}, {"objective.name": "gaussian-mixture"}, {"tasks.auxiliary_rotation": 90.0}],
    ids=["softmax", "mixture", "two tasks"],
)
def test_a_training_rises_when_it_has_learned_something(tmp_path: Path, settings: dict[str, Any]) -> None:
    lines: list[dict[str, Any]] = []
    experiment = small(**settings)
    run(experiment, tmp_path, reporter=lambda line, steps: lines.append(line))
    seen = {line["step"]: line["learning_rate"] for line in lines if line["kind"] == "train"}
    assert seen[20] == pytest.approx(0.01)
    assert seen[45] == pytest.approx(0.1)
    assert seen[46] == pytest.approx(0.01)  # the milestone counts from the training's start


@pytest.mark.parametrize(
    "settings", [{}, {"objective.name": "gaussian-mixture", "objective.margin": 1.0}, {"tasks.auxiliary": ["3", "4"]}]
)
def test_the_error_is_the_batches_own(settings: dict[str, Any]) -> None:
    """Against the logits of a second, identical network; no margin moves it."""
    experiment = small(precision="fp32", **settings)
    splits = load_data(experiment)
    training, twin = assemble(experiment, splits), assemble(experiment, splits)
    batch = next(iter(training.batches.epoch(0)))
    images, labels, _ = batch
    losses = training.objective(training.network.train(), batch)
    wrong = (twin.network.train()(images).argmax(1) != labels).sum()
    assert losses.error.item() == pytest.approx(100 * int(wrong) / len(labels))


@pytest.mark.parametrize("crash_at", [13, 22, 48])
def test_a_resumed_run_is_bit_identical(tmp_path: Path, crash_at: int) -> None:
    whole = run(small(), tmp_path / "whole", reporter=lambda line, steps: None)["metrics"]

    def crash(line: dict[str, Any], steps: int) -> None:
        if line["kind"] == "train" and line["step"] == crash_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(small(), tmp_path / "cut", reporter=crash, checkpoint_seconds=0)
    again = run(small(), tmp_path / "cut", reporter=lambda line, steps: None)["metrics"]
    states = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "cut")]
    for name, tensor in states[0]["network"].items():
        assert torch.equal(tensor, states[1]["network"][name]), name
    assert states[0]["policy 0 learning_rate"] == states[1]["policy 0 learning_rate"]
    assert again["test_loss"] == whole["test_loss"]
