"""An auxiliary task and its gradient rules in the trainer, on digits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from truelift.errors import InputError
from truelift.records import Run
from truelift.training import Experiment, resolve, run
from truelift.training.build import assemble, load_data
from truelift.training.loop import fit
from truelift.training.parts import Training
from truelift.training.settings import parse_experiment


def pair(**settings: Any) -> Experiment:
    base = {
        "model.name": "resnet8",
        "model.width": 4,
        "epochs": 3,
        "batch_size": 16,
        "precision": "fp32",
        "tasks.main": ["1", "2"],
        "tasks.auxiliary": ["3", "4", "7"],
        "tasks.auxiliary_batch_size": 8,
    }
    return resolve(parse_experiment({**base, **settings}, "test"))


def trained(experiment: Experiment, folder: Path) -> Training:
    training = assemble(experiment, load_data(experiment))
    fit(training, lambda line: None, folder / "checkpoint.pt", 1e9)
    return training


@pytest.mark.parametrize("rule", ["single", "sum", "weighted", "unweighted", "pcgrad", "gradvac"])
def test_every_rule_learns_the_main_task(tmp_path: Path, rule: str) -> None:
    result = run(pair(**{"gradient.name": rule, "epochs": 6}), tmp_path, reporter=lambda line, steps: None)
    assert result["metrics"]["test_accuracy"] > 75  # chance is 50; 97 and more are reached
    assert result["classes"] == 2
    line = next(line for line in Run("", 0, tmp_path).metrics() if line["kind"] == "train")
    assert ("train_auxiliary_loss" in line) == (rule != "single")
    assert ("cosine" in line) == (rule not in ("single", "sum"))


def test_a_cosine_measured_now_and_then_is_logged_as_a_number(tmp_path: Path) -> None:
    experiment = pair(**{"gradient.name": "weighted", "gradient.every_steps": 3, "epochs": 2})
    run(experiment, tmp_path, reporter=lambda line, steps: None)
    lines = [line for line in Run("", 0, tmp_path).metrics() if line["kind"] == "train"]
    assert all(-1 <= line["cosine"] <= 1 for line in lines)
    assert len({line["cosine"] for line in lines}) > 1


@pytest.mark.parametrize(
    "settings",
    [
        {"gradient.name": "weighted"},
        {"gradient.name": "weighted", "gradient.granularity": "layer"},
        {"gradient.name": "sum", "gradient.auxiliary_weight": 0.5},
        {"gradient.name": "gradvac"},
        {"gradient.name": "unweighted", "gradient.measured": "convolutions", "objective.name": "gaussian-mixture"},
    ],
)
def test_freezing_goes_on_until_the_heads_alone_are_left(tmp_path: Path, settings: dict[str, Any]) -> None:
    freezing = {"freezing.name": "freezeout", "schedule.name": "constant", "epochs": 8}
    result = run(pair(**freezing, **settings), tmp_path, reporter=lambda line, steps: None)
    assert result["frozen_layers"] == 4
    lines = [line for line in Run("", 0, tmp_path).metrics() if line["kind"] == "train"]
    assert lines[-1]["step"] == result["steps"]
    assert "cosine" not in lines[-1], "nothing is shared any more"
    assert "auxiliary_weight" not in lines[-1]


def test_a_weight_of_zero_leaves_the_trunk_as_the_single_task_does(tmp_path: Path) -> None:
    # With the main task's batches alone moving the statistics, nothing of the auxiliary task may reach the trunk.
    nothing = trained(pair(**{"gradient.name": "sum", "gradient.auxiliary_weight": 0.0}), tmp_path)
    single = trained(pair(**{"gradient.name": "single"}), tmp_path)
    for (name, a), b in zip(nothing.network.state_dict().items(), single.network.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, msg=name)


def test_joint_statistics_differ_from_the_main_tasks_and_separate_ones_are_kept(tmp_path: Path) -> None:
    means = {}
    for rule in ("main", "joint", "separate"):
        training = trained(pair(**{"tasks.batch_norm": rule, "gradient.auxiliary_weight": 0.0}), tmp_path)
        norm = next(m for m in training.network.modules() if isinstance(m, nn.BatchNorm2d))
        assert norm.running_mean is not None
        means[rule] = norm.running_mean.clone()
    torch.testing.assert_close(means["main"], means["separate"], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(means["main"], means["joint"], atol=1e-3)


@pytest.mark.parametrize("settings", [{"gradient.name": "weighted"}, {"tasks.batch_norm": "separate"}])
def test_resumed_run_is_bit_identical(tmp_path: Path, settings: dict[str, Any]) -> None:
    experiment = pair(**{"gradient.name": "gradvac", **settings})
    run(experiment, tmp_path / "whole", reporter=lambda line, steps: None)

    class StopError(Exception):
        pass

    def crash(line: dict[str, Any], steps: int) -> None:
        if line["kind"] == "train" and line["step"] >= 9:
            raise StopError

    with pytest.raises(StopError):
        run(experiment, tmp_path / "cut", reporter=crash, checkpoint_seconds=0)
    run(experiment, tmp_path / "cut", reporter=lambda line, steps: None)
    whole, again = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "cut"))
    for part in ("network", "objective"):
        for name, tensor in whole[part].items():
            assert torch.equal(tensor, again[part][name]), name
    assert str(whole["rule"]) == str(again["rule"])


def test_rotated_images_are_the_auxiliary_task() -> None:
    experiment = pair(**{"tasks.main": [], "tasks.auxiliary": [], "tasks.auxiliary_rotation": 180.0})
    splits: Any = load_data(experiment)
    assert splits.auxiliary is not None
    assert torch.equal(splits.auxiliary.images, splits.train.images.flip((2, 3)))
    assert torch.equal(splits.auxiliary.labels, splits.train.labels)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tasks.auxiliary": [], "gradient.name": "weighted"}, ["gradient.name", "tasks.auxiliary", "weighted"]),
        ({"tasks.auxiliary": [], "gradient.name": "single"}, ["gradient.name", "tasks.auxiliary", "single"]),
        ({"gradient.name": "weighted", "gradient.threshold": 1.0}, ["gradient.threshold", "[0, 1)", "1.0"]),
        ({"gradient.name": "weighted", "gradient.auxiliary_weight": 0.5}, ["gradient.auxiliary_weight", "0.5"]),
        ({"tasks.auxiliary_rotation": 90.0}, ["tasks.auxiliary_rotation", "tasks.auxiliary"]),
        ({"tasks.auxiliary_batch_size": 0}, ["tasks.auxiliary_batch_size", "at least 1"]),
        ({"gradient.granularity": "layer", "gradient.every_steps": 2}, ["gradient.every_steps", "2"]),
    ],
)
def test_options_that_do_not_go_together_are_refused(settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        pair(**settings)
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(InputError, match='unknown class "11"'):
        load_data(pair(**{"tasks.main": ["11"]}))
