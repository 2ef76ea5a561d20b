"""Which trainings are recorded as CUDA graphs, and, where there is a GPU, that their numbers are those without."""

import contextlib
import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from truelift.data import Batch
from truelift.records import read_environment, write_json
from truelift.training import Experiment, resolve, run
from truelift.training.build import assemble, load_data
from truelift.training.compilation import compile_now
from truelift.training.graphs import GraphedPasses, Passed, why_not
from truelift.training.hardware import draw_from
from truelift.training.loop import make_step
from truelift.training.parts import Training
from truelift.training.run import _end_recording
from truelift.training.settings import parse_experiment

RECORDED: dict[str, dict[str, Any]] = {
    "plain": {},
    "label smoothing": {"objective.label_smoothing": 0.1},
    "several labels": {"objective.name": "binary-cross-entropy"},
    "freezing": {"freezing.name": "freezeout", "schedule.name": "constant"},
    "averages": {"policy.names": ["averaged-weights"]},
    "lookahead": {"policy.names": ["lookahead"]},
    "mixed labels": {"augmentation.names": ["mixup", "cutmix"]},
    "muon": {"optimizer.name": "muon"},
    "clipped": {"optimizer.clip_norm": 0.1},
    "growing images": {"data.progressive": [4, 8]},
    "batch norm": {"batch_norm_momentum": 0.5},
    "margin": {"objective.name": "gaussian-mixture", "objective.margin_schedule": "ramp"},
    "tracked": {
        "objective.name": "gaussian-mixture",
        "objective.covariance": "diagonal",
        "objective.variances": "tracked",
        "objective.priors": "estimated",
    },
    "margin for soft labels": {"objective.name": "gaussian-mixture", "augmentation.names": ["mixup"]},
    "two passes": {"gradient.name": "sharpness-aware"},
}
NOT: dict[str, dict[str, Any]] = {
    "never": {"cuda_graphs": False},
    "own network": {"model.name": "torch.nn:Identity"},
    "a step's own momentum": {"batch_norm_momentum": "dynamic"},
    "reads gradients": {"freezing.name": "adaptive-gradient"},
    "left out": {"on_divergence": "skip-step"},
    "conflicting losses": {"gradient.name": "pcgrad"},
    "two tasks": {"tasks.main": ["1"], "tasks.auxiliary": ["3"]},
    "random depth": {"model.stochastic_depth": 0.2},
}

on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


pytestmark = pytest.mark.usefixtures("one_order")


def experiment(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 3, "data.train_images": 192, "batch_size": 32}
    return parse_experiment({**base, "precision": "fp32", **settings}, "test")


def make_all_steps(training: Training) -> None:
    training.network.train()
    for epoch in range(training.epochs):
        for batch in training.batches.epoch(epoch):
            make_step(training, batch, training.meters.step)


def weights_and_statistics(training: Training) -> tuple[torch.Tensor, torch.Tensor]:
    """All of each, in one row."""
    both = torch.nn.ModuleList([training.network, training.objective])
    statistics = [buffer for buffer in both.buffers() if buffer.is_floating_point()]
    return (
        torch.cat([weight.detach().double().flatten() for weight in both.parameters()]),
        torch.cat([value.double().flatten() for value in statistics]),
    )


def largest_share_apart(
    settings: Mapping[str, Any],
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    device: str,
    graphs: list[GraphedPasses] | None = None,
    rounding: float = 0,
) -> float:
    """How far apart two trainings end that make a step from the same state, as a share of the step: the largest."""
    trainings = []
    for further in (one, other):
        made = resolve(experiment(**settings, **further, device=device))
        trainings.append(assemble(made, load_data(made)))
        trainings[-1].network.train()
    first, second = trainings
    if graphs is not None:
        graphs += [training.graph for training in trainings if training.graph is not None]
    largest = 0.0
    for epoch in range(first.epochs):
        for batch, same in zip(first.batches.epoch(epoch), second.batches.epoch(epoch), strict=True):
            second.network.load_state_dict(first.network.state_dict())
            second.objective.load_state_dict(first.objective.state_dict())
            second.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
            before = weights_and_statistics(first)
            with torch.no_grad():
                for parameter in second.network.parameters():
                    parameter.mul_(1 + rounding * torch.randn_like(parameter))
            make_step(first, batch, first.meters.step)
            make_step(second, same, second.meters.step)
            after, others = weights_and_statistics(first), weights_and_statistics(second)
            for old, new, another in zip(before, after, others, strict=True):
                largest = max(largest, float((new - another).norm() / (new - old).norm()))
    return largest


@pytest.mark.parametrize("name", RECORDED)
def test_recorded(name: str) -> None:
    assert why_not(experiment(**RECORDED[name]), "cuda", "bf16", 1) is None


@pytest.mark.parametrize("name", NOT)
def test_not_recorded(name: str) -> None:
    assert why_not(experiment(**NOT[name]), "cuda", "bf16", 1)


def test_not_recorded_elsewhere() -> None:
    plain = experiment()
    assert why_not(plain, "cpu", "bf16", 1) == "it is no CUDA GPU"
    assert why_not(plain, "cuda", "fp16", 1) == "losses are scaled"
    assert why_not(plain, "cuda:1", "bf16", 2) == "several processes train"


def test_what_a_recording_takes_for_granted() -> None:
    """Each change of it asks for another recording; new contents of the same tensors do not."""
    made = resolve(experiment(device="cpu"))
    training = assemble(made, load_data(made))
    graph = GraphedPasses([training.network, training.objective])
    first, second = (batch for _, batch in zip(range(2), training.batches.epoch(0), strict=False))
    keys = [graph._key(first)]
    assert graph._key(second) == keys[0]
    training.network.eval()
    keys.append(graph._key(first))
    training.network.train()
    parameter = next(training.network.parameters())
    parameter.requires_grad_(False)
    keys.append(graph._key(first))
    parameter.requires_grad_(True)
    keys.append(graph._key(first._replace(images=first.images[:16])))
    parameter.data = parameter.data.clone()
    keys.append(graph._key(first))
    assert len(set(keys)) == len(keys) == 5


def test_where_recording_fails_the_passes_are_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Once and for all, with a line that says why, in the run's records too."""
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr("truelift.training.graphs._renew_generator", lambda device: None)
    tried = []

    def record(graph: GraphedPasses, key: Any, batch: Batch, passes: Any) -> None:
        tried.append(batch)
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(GraphedPasses, "_record", record)
    made = resolve(experiment(device="cpu"))
    weights = []
    for graphs in (True, False):
        training = assemble(made, load_data(made))
        if graphs:
            training.graph = GraphedPasses([training.network, training.objective])
        training.network.train()
        for number, batch in zip(range(3), training.batches.epoch(0), strict=False):
            make_step(training, batch, number)
        weights.append(training.network.state_dict())
        if training.graph is not None:
            failed = training
    assert len(tried) == 1
    assert "going on without CUDA graphs, since recording fails (operation not permitted" in capsys.readouterr().err
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)

    write_json(tmp_path / "environment.json", {"device": "a GPU", "cuda_graphs": True})
    _end_recording(tmp_path, failed)
    assert read_environment(tmp_path)["cuda_graphs"].startswith("operation not permitted")
    assert failed.graph is None


def test_a_step_hardly_amplifies_rounding() -> None:
    """So that numbers with and without a recording can be held against each other step by step.

    Over many steps they cannot: of weights that differ in the seventh digit some trainings here differ in the second
    digit at their end, because an activation near 0 passes on one side and not on the other.
    """
    for settings in RECORDED.values():
        assert largest_share_apart(settings, {}, {}, "cpu", rounding=1e-6) < 0.1
    assert largest_share_apart({}, {"optimizer.lr": 0.1}, {"optimizer.lr": 0.2}, "cpu") > 0.3


@on_cuda
@pytest.mark.parametrize("name", [name for name in RECORDED if name != "several labels"])
def test_numbers_are_those_of_a_training_without(name: str) -> None:
    """Steps from the same weights give the same weights, to rounding, whatever is frozen meanwhile."""
    graphs: list[GraphedPasses] = []
    assert largest_share_apart(RECORDED[name], {"cuda_graphs": True}, {"cuda_graphs": False}, "cuda", graphs) < 0.1
    (graph,) = graphs
    assert graph.failure is None
    assert (2 if name in ("freezing", "growing images") else 1) <= graph.recordings <= 8


@on_cuda
def test_dropout_draws_from_the_step(tmp_path: Path) -> None:
    """What is drawn within a recording depends on the step's seed alone: the same step twice draws the same."""
    made = resolve(experiment(device="cuda"))
    training = assemble(made, load_data(made))
    assert training.graph is not None
    training.network.head = torch.nn.Sequential(torch.nn.Dropout(0.5), training.network.head)
    training.network.train()
    graph = GraphedPasses([training.network])
    batch = next(iter(training.batches.epoch(0)))

    def passes(given: Any) -> Any:
        losses, error = training.objective(training.network, given)
        return Passed(
            losses, error, training.rule.backward(losses, lambda: training.objective(training.network, given))
        )

    drawn = [
        float(graph(batch, passes, partial(draw_from, seed, "cuda")).losses["cross_entropy"]) for seed in (1, 2, 1)
    ]
    assert drawn[0] == drawn[2] != drawn[1]
    draw_from(2, "cuda")
    with torch.no_grad():
        expected = float(training.objective(training.network, batch).losses["cross_entropy"])
    assert drawn[1] == pytest.approx(expected)


@on_cuda
def test_a_run_says_that_it_is_recorded(tmp_path: Path) -> None:
    run(resolve(experiment(device="cuda")), tmp_path / "run", reporter=lambda line, steps: None)
    assert read_environment(tmp_path / "run")["cuda_graphs"] is True


@on_cuda
@pytest.mark.parametrize("name", ["plain", "freezing"])
def test_what_is_compiled_is_recorded_too(name: str) -> None:
    """Anew whenever a layer freezes; steps give what they give compiled alone, to rounding."""
    networks = []
    for graphs in (True, False):
        made = resolve(experiment(**RECORDED[name], device="cuda", cuda_graphs=graphs, compile=True))
        training = assemble(made, load_data(made))
        assert training.compiled
        compile_now(training)
        make_all_steps(training)
        networks.append(training.network.state_dict())
        if training.graph is not None:
            assert training.graph.failure is None
            assert training.graph.recordings >= (2 if name == "freezing" else 1)
    for key, value in networks[0].items():
        torch.testing.assert_close(value, networks[1][key], rtol=1e-3, atol=1e-4)


@on_cuda
def test_a_step_that_waits_is_made_without_recording(capsys: pytest.CaptureFixture[str]) -> None:
    """The GPU refuses to wait within a recording; the training goes on as if there had been none."""
    made = resolve(experiment(device="cuda"))
    training = assemble(made, load_data(made))
    batch = next(iter(training.batches.epoch(0)))
    graph = GraphedPasses([training.network])

    def passes(given: Any) -> Any:
        losses, error = training.objective(training.network, given)
        assert losses["cross_entropy"].item() > 0
        return Passed(
            losses, error, training.rule.backward(losses, lambda: training.objective(training.network, given))
        )

    training.network.train()
    with torch.no_grad():
        expected = float(training.objective(training.network, batch).losses["cross_entropy"])
    for _ in range(2):
        found = graph(batch, passes, partial(draw_from, 0, "cuda"))
        assert float(found.losses["cross_entropy"]) == pytest.approx(expected, rel=1e-4)
    assert graph.failure is not None
    assert "going on without CUDA graphs" in capsys.readouterr().err
