"""Freezing in the trainer, on the bundled digits."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.training.conftest import Undisturbed
from tests.unit.training.parts import freezing_of

from truelift.errors import InputError
from truelift.techniques.freezeout import counted_costs, freezing_points, saving
from truelift.training import Experiment, resolve, run
from truelift.training.afterwards.operations import counted
from truelift.training.build import assemble, load_data
from truelift.training.loop import fit
from truelift.training.predicted_saving import predict_saving
from truelift.training.settings import parse_experiment


class StopError(Exception):
    """Stands for a crash."""


def small(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 3, "data.train_images": 192, "batch_size": 32}
    frozen = {"freezing.name": "freezeout", "freezing.t0": 0.5, "schedule.name": "constant", "precision": "fp32"}
    return resolve(parse_experiment({**base, **frozen, **settings}, "test"))


ADAPTIVE = {"freezing.warmup": 0, "freezing.every_steps": 2, "freezing.tolerance": 0.7}


def silent(line: dict[str, Any], steps: int) -> None:
    pass


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer.name": "adamw", "optimizer.lr": 0.01, "freezing.freeze_every": 2},
        {**ADAPTIVE, "freezing.name": "adaptive-gradient"},
        {**ADAPTIVE, "freezing.name": "adaptive-representation"},
    ],
    ids=["sgd", "adamw in groups", "gradient", "representation"],
)
@pytest.mark.parametrize("crash_at", [2, 9, 13])
def test_resumed_run_is_bit_identical(
    undisturbed: Undisturbed, tmp_path: Path, crash_at: int, settings: dict[str, Any]
) -> None:
    experiment = small(**settings)

    def crash(line: dict[str, Any], steps: int) -> None:
        if line["kind"] == "train" and line["step"] == crash_at:
            raise StopError

    with pytest.raises(StopError):
        run(experiment, tmp_path / "cut", reporter=crash, checkpoint_seconds=0)
    run(experiment, tmp_path / "cut", reporter=silent)
    whole, cut = (
        torch.load(folder / "checkpoint.pt", weights_only=True)["network"]
        for folder in (undisturbed(experiment), tmp_path / "cut")
    )
    assert whole.keys() == cut.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, cut[name]), name


def test_all_layers_but_the_head_are_frozen_in_the_end(tmp_path: Path) -> None:
    experiment = small()
    training: Any = assemble(experiment, load_data(experiment))
    freezing = freezing_of(training)
    assert freezing is not None
    fit(training, lambda line: None, tmp_path / "checkpoint.pt", 1e9)
    layers = training.network.layers()
    assert freezing.frozen == len(layers) - 1
    for number, layer in enumerate(layers):
        assert all(p.requires_grad == (number == len(layers) - 1) for p in layer.parameters())
    assert sum(len(group["params"]) for group in training.optimizer.param_groups) == 2


def test_const_time_costs_what_the_plain_training_does() -> None:
    experiment = small(epochs=30, **{"freezing.const_time": True})
    splits = load_data(experiment)
    training: Any = assemble(experiment, splits)
    images = torch.empty(2, *splits.train.shape)
    points = freezing_points(len(training.network.layers()), 0.5, "cubic")
    share = 1 - saving(points, counted_costs(training.network, images))
    assert training.epochs > 30
    assert abs(training.epochs * share - 30) <= share / 2
    freezing = freezing_of(training)
    assert freezing is not None
    assert freezing.steps == training.steps == training.epochs * 5
    plain = small(epochs=30)
    assert assemble(plain, splits).epochs == 30


def read_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_saving_and_frozen_layers_are_recorded(tmp_path: Path) -> None:
    """FreezeOut's by its schedule; an adaptive one's by the lines of metrics, one a step; nothing without freezing."""
    scheduled = run(small(), tmp_path / "freezeout", reporter=silent)
    splits = load_data(small())
    network: Any = assemble(small(), splits).network
    costs = counted_costs(network, torch.empty(2, *splits.train.shape))
    points = freezing_points(len(network.layers()), 0.5, "cubic")
    assert scheduled["metrics"]["counted_saving"] == pytest.approx(100 * saving(points, costs))
    assert scheduled["frozen_layers"] == len(costs) - 1
    images = scheduled["steps"] * 32
    share = 1 - saving(points, costs)
    assert scheduled["metrics"]["training_operations"] == pytest.approx(images * costs[0] / 2 * share)

    name = {"freezing.name": "adaptive-representation"}
    adaptive = run(small(**ADAPTIVE, **name), tmp_path / "adaptive", reporter=silent)
    lines = [line for line in read_lines(tmp_path / "adaptive") if line["kind"] == "train"]
    frozen = [line["frozen_layers"] for line in lines]
    assert len(frozen) == adaptive["steps"]
    assert frozen == sorted(frozen)
    assert 1 <= frozen[-1] == adaptive["frozen_layers"]
    spent = sum(costs[layers] for layers in frozen) / (len(frozen) * costs[0])
    assert adaptive["metrics"]["counted_saving"] == pytest.approx(100 * (1 - spent))

    plain = run(small(**{"freezing.name": "none"}), tmp_path / "plain", reporter=silent)
    assert (plain["metrics"]["counted_saving"], plain["frozen_layers"]) == (0.0, 0)
    assert plain["metrics"]["training_operations"] == plain["steps"] * 32 * costs[0] / 2
    assert not any("frozen_layers" in line for line in read_lines(tmp_path / "plain"))


@pytest.mark.parametrize("settings", [{"objective.name": "gaussian-mixture"}, {"objective.feature_size": 2}])
def test_saving_is_counted_with_any_head(settings: dict[str, Any]) -> None:
    experiment = small(**settings)
    splits = load_data(experiment)
    training = assemble(experiment, splits)
    assert 10 < counted(training, splits.train.shape, 1)["counted_saving"] < 60


@pytest.mark.parametrize("settings", [{"tasks.auxiliary": ["3", "4"]}, {"tasks.auxiliary_rotation": 90}])
def test_operations_of_two_tasks_are_not_told(settings: dict[str, Any]) -> None:
    experiment = small(**settings)
    splits = load_data(experiment)
    assert set(counted(assemble(experiment, splits), splits.train.shape, 1)) == {"counted_saving"}


def test_saving_of_a_compiled_network_is_that_of_the_eager_one() -> None:
    splits = load_data(small())
    training = assemble(small(), splits)
    expected = counted(training, splits.train.shape, 1)
    training.network.compile_features()
    assert counted(training, splits.train.shape, 1) == expected
    assert "features" in vars(training.network)


def test_no_prediction_for_an_adaptive_freezing() -> None:
    experiment = small(**{"freezing.name": "adaptive-gradient"})
    with pytest.raises(InputError, match=r"freezing.name must be freezeout, whose .* beforehand, got adap"):
        next(predict_saving(experiment, (3, 32, 32), 10, measure=False))


def test_other_experiments_have_no_freezeout() -> None:
    experiment = small(**{"freezing.name": "none"})
    assert freezing_of(assemble(experiment, load_data(experiment))) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freezing.t0": 1.5}, r"freezing.t0 must be in \[0, 1\], got 1.5"),
        ({"freezing.freeze_every": 0}, "freezing.freeze_every must be at least 1, got 0"),
        ({"freezing.name": "none", "freezing.const_time": True}, "freezing.const_time must be false"),
        (
            {"freezing.name": "adaptive-gradient", "freezing.const_time": True},
            "freezing.const_time must be false for freezing.name adaptive-gradient, .* not known beforehand, got true",
        ),
        ({"freezing.every_steps": 0}, "freezing.every_steps must be at least 1, got 0"),
        ({"freezing.percentile": 101}, r"freezing.percentile must be in \[0, 100\], got 101"),
        ({"freezing.tolerance": 2}, r"freezing.tolerance must be in \[0, 1\], got 2"),
        ({"freezing.patience": 0}, "freezing.patience must be at least 1, got 0"),
        ({"freezing.warmup": -1}, r"freezing.warmup must be in \[0, 1\], got -1"),
        ({"freezing.max_share": 1.1}, r"freezing.max_share must be in \[0, 1\], got 1.1"),
        ({"freezing.name": "adaptive-grad"}, "adaptive-gradient"),
        ({"freezing.scaling": "cubik"}, "cubic"),
        ({"freezing.name": "freezout"}, "freezeout"),
    ],
)
def test_bad_options(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small(**settings)
