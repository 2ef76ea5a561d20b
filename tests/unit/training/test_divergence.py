"""Steps that are not finite: told with the place where it began, or left out."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from truelift.errors import DivergedError
from truelift.records import read_failure, read_result
from truelift.studies import worker
from truelift.studies.folders import is_finished
from truelift.studies.plan import PlannedRun
from truelift.training import Experiment, resolve, run
from truelift.training.build import assemble, load_data
from truelift.training.divergence import MOST_IN_A_ROW, finite, first_not_finite
from truelift.training.identity import config, write_config
from truelift.training.loop import fit
from truelift.training.objectives import StepLosses
from truelift.training.parts import Training
from truelift.training.settings import parse_experiment


def small(**settings: Any) -> Experiment:
    base = {"model.name": "small-cnn", "epochs": 2, "data.train_images": 640, "batch_size": 32, "precision": "fp32"}
    return resolve(parse_experiment({**base, **settings}, "test"))


def silent(line: dict[str, Any], steps: int) -> None:
    pass


def spoil(training: Training, steps: set[int], value: float = float("nan")) -> None:
    """Have the objective's loss be `value` at these steps, counted from 0."""
    plain: Callable[..., StepLosses] = training.objective.forward

    def forward(network: Any, batch: Any) -> StepLosses:
        losses, error = plain(network, batch)
        if training.meters.step in steps:
            losses = {name: loss * value for name, loss in losses.items()}
        return StepLosses(losses, error)

    training.objective.forward = forward  # type: ignore[method-assign]


# Each step multiplies every weight by 1 − 10¹⁵, or so.
DIVERGES = {"optimizer.lr": 1e9, "optimizer.weight_decay": 1e6, "schedule.name": "constant"}


@pytest.mark.parametrize("checkpoint_seconds", [0, 1e9])
def test_the_step_the_rate_and_the_place(tmp_path: Path, checkpoint_seconds: float) -> None:
    """Beside a loop written by hand that looks at every layer's output in every step."""
    experiment = small(**DIVERGES)
    with pytest.raises(
        DivergedError, match=r"^the training diverged: .* at step \d+ with learning rate 1e\+09"
    ) as told:
        run(experiment, tmp_path / "run", reporter=silent, checkpoint_seconds=checkpoint_seconds)
    training = assemble(experiment, load_data(experiment))
    network, optimizer = training.network, training.optimizer
    seen: list[str] = []
    for name, layer in network.named_modules():
        if not list(layer.children()):
            layer.register_forward_hook(
                lambda layer, inputs, output, name=name: None if output.isfinite().all() else seen.append(name)
            )
    network.train()
    step = 0
    for batch in training.batches.epoch(0):
        step += 1
        optimizer.param_groups[0]["lr"] = 1e9
        seen += [name for name, p in network.named_parameters() if not p.isfinite().all()]
        losses, _ = training.objective(network, batch)
        if seen:
            break
        next(iter(losses.values())).backward()
        assert finite([p.grad for p in network.parameters() if p.grad is not None])
        optimizer.step()
        optimizer.zero_grad()
    assert step > 1
    assert told.value.step == step
    assert told.value.learning_rate == 1e9
    assert told.value.place in (f"the output of layer {seen[0]}", f"the weights {seen[0]}")


CHECKING: list[dict[str, Any]] = [
    {"objective.name": "gaussian-mixture"},
    *(
        {"gradient.name": name, "tasks.auxiliary_rotation": 90.0}
        for name in ("weighted", "unweighted", "pcgrad", "gradvac")
    ),
]
"""Losses and rules that refuse, in anybody's loop, what is not finite."""


@pytest.mark.parametrize("settings", CHECKING)
def test_losses_and_rules_that_check_values_diverge_as_others_do(tmp_path: Path, settings: dict[str, Any]) -> None:
    experiment = small(**DIVERGES, **settings)
    with pytest.raises(DivergedError, match=r"at step \d+ with learning rate \de\+09") as told:
        run(experiment, tmp_path, reporter=silent)
    assert told.value.place is not None


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.second(self.first(x)).sqrt().sum()
        return out


def test_the_first_place_of_each_kind() -> None:
    network = Network()
    zero = torch.zeros(2, 3)

    def again() -> StepLosses:
        return StepLosses({"loss": network(zero)}, torch.zeros(()))

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    # √0 is finite, and its derivative is not.
    assert first_not_finite([network], again) == "the gradient at the output of layer second"
    with torch.no_grad():
        network.second.weight.fill_(1)
        network.first.bias.fill_(3e38)
    assert first_not_finite([network], again) == "the output of layer second"
    with torch.no_grad():
        network.first.bias[0] = float("nan")
    assert first_not_finite([network], again) == "the weights first.bias"
    with torch.no_grad():
        network.first.bias.fill_(1)
    assert first_not_finite([network], again) is None


class Overflowing(nn.Module):
    """An objective without layers of its own."""

    def forward(self, outputs: torch.Tensor) -> StepLosses:
        return StepLosses({"loss": outputs.sum() * 1e30 * 1e30}, torch.zeros(()))


def test_a_loss_that_overflows_by_itself_is_no_layer_s() -> None:
    network, objective = nn.Linear(3, 3), Overflowing()
    images = torch.ones(2, 3)
    assert first_not_finite([network, objective], lambda: objective(network(images))) == "the loss itself"
    with torch.no_grad():
        network.bias.fill_(3e38)
        network.weight.fill_(1e38)
    place = first_not_finite([network, objective], lambda: objective(network(images)))
    assert place == "the output of the network"


def test_a_step_left_out_leaves_nothing_behind(tmp_path: Path) -> None:
    """Weights, running statistics and the optimizer's state are those from before; the other steps are made."""
    experiment = small(on_divergence="skip-step", epochs=1, **{"model.name": "resnet8", "model.width": 4})
    splits = load_data(experiment)
    training = assemble(experiment, splits)
    spoil(training, {3, 4, 7})
    states: list[Any] = []
    lines: list[dict[str, Any]] = []
    before = training.optimizer.step

    def step(*arguments: Any) -> Any:
        out = before(*arguments)
        states.append(copy.deepcopy(training.network.state_dict()))
        return out

    vars(training.optimizer)["step"] = step
    fit(training, lines.append, tmp_path / "checkpoint.pt", 1e9)
    assert training.meters.step == training.steps
    assert training.meters.skipped == 3
    assert len(states) == training.steps - 3
    counts = [int(value) for name, value in states[-1].items() if name.endswith("num_batches_tracked")]
    assert counts == [training.steps - 3] * len(counts)
    assert counts
    assert all(finite([value]) for value in training.network.state_dict().values() if value.is_floating_point())
    assert lines[-1]["skipped_steps"] == 3
    assert all(finite([torch.tensor(line["train_loss"])]) for line in lines)


@pytest.mark.parametrize("steps", [{3}, {4, 17}])
def test_lookahead_ends_with_its_slow_weights_where_steps_are_left_out(tmp_path: Path, steps: set[int]) -> None:
    settings = {"policy.names": ["lookahead"], "policy.lookahead_steps": 7}
    experiment = small(on_divergence="skip-step", epochs=1, **settings)
    training = assemble(experiment, load_data(experiment))
    assert training.steps == 18
    spoil(training, steps)
    fit(training, lambda line: None, tmp_path / "checkpoint.pt", 1e9)
    assert training.meters.skipped == len(steps)
    for state in (training.policies[-1].state_dict(), saved_policy(tmp_path / "checkpoint.pt")):
        for name, slow in state["slow"].items():
            assert torch.equal(slow, training.network.get_parameter(name))


def saved_policy(checkpoint: Path) -> dict[str, Any]:
    """The lookahead's state, of which the network's weights in the same file are the slow ones."""
    state = torch.load(checkpoint, weights_only=True)
    policy: dict[str, Any] = next(part for name, part in state.items() if "lookahead" in name)
    assert all(torch.equal(state["network"][name], slow) for name, slow in policy["slow"].items())
    return policy


def test_gradients_alone_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    experiment = small(on_divergence="skip-step", epochs=1)
    training = assemble(experiment, load_data(experiment))
    parameter = next(training.network.parameters())
    parameter.register_hook(lambda g: g * float("inf") if training.meters.step == 5 else g)
    fit(training, lambda line: None, tmp_path / "checkpoint.pt", 1e9)
    assert training.meters.skipped == 1
    assert finite(list(training.network.parameters()))


@pytest.mark.parametrize("settings", CHECKING)
def test_losses_and_rules_that_check_values_leave_steps_out(tmp_path: Path, settings: dict[str, Any]) -> None:
    experiment = small(on_divergence="skip-step", epochs=1, **settings)
    training = assemble(experiment, load_data(experiment))

    def spoilt(network: nn.Module, images: Any, features: torch.Tensor) -> torch.Tensor:
        return features * float("nan") if training.meters.step in {0, 5} else features

    layer = [part for part in training.network.modules() if not list(part.children())][-2]
    layer.register_forward_hook(spoilt)
    fit(training, lambda line: None, tmp_path / "checkpoint.pt", 1e9)
    assert training.meters.skipped == 2
    assert finite(list(training.network.parameters()))


def test_too_many_in_a_row_end_the_training(tmp_path: Path) -> None:
    experiment = small(on_divergence="skip-step", epochs=1)
    training = assemble(experiment, load_data(experiment))
    spoil(training, set(range(5, 5 + MOST_IN_A_ROW + 1)))
    with pytest.raises(DivergedError, match=r"the loss is nan at step 16 .*; the 10 steps before it were left out"):
        fit(training, lambda line: None, tmp_path / "checkpoint.pt", 1e9)


def test_skipping_changes_nothing_where_all_is_finite(tmp_path: Path) -> None:
    results = [run(small(on_divergence=how), tmp_path / how, reporter=silent) for how in ("stop", "skip-step")]
    assert results[1].pop("skipped_steps") == 0
    assert "skipped_steps" not in results[0]
    metrics = [{k: v for k, v in r["metrics"].items() if "second" not in k} for r in results]
    assert metrics[0] == metrics[1]
    assert read_result(tmp_path / "skip-step")["skipped_steps"] == 0


def test_a_checkpoint_of_numbers_that_are_none_is_not_written(tmp_path: Path) -> None:
    experiment = small(epochs=1, **DIVERGES)
    with pytest.raises(DivergedError):
        fit(assemble(experiment, load_data(experiment)), lambda line: None, tmp_path / "checkpoint.pt", 0)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert finite([torch.as_tensor(value) for value in saved["meters"]["line_sums"].values()])


def test_a_worker_records_that_it_diverged(tmp_path: Path) -> None:
    write_config(tmp_path, small(**DIVERGES))
    assert worker.main(tmp_path, 1e9) == 1
    failure = read_failure(tmp_path)
    assert failure["diverged"] is True
    assert failure["reason"].startswith("the training diverged: the loss is ")
    assert json.loads((tmp_path / "failure.json").read_text())["diverged"] is True
    assert worker.write_failure(tmp_path, "another")
    assert read_failure(tmp_path)["diverged"] is False


def test_no_failure_is_written_where_another_process_has_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = (
        "import pathlib, sys, time\nfrom truelift.records import leased\n"
        f"with leased(pathlib.Path({str(tmp_path)!r})):\n    print(flush=True)\n    time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        monkeypatch.setattr(worker, "_LET_GO_SECONDS", 0.1)
        assert not worker.write_failure(tmp_path, "why")
        assert not (tmp_path / "failure.json").exists()
        holder.kill()


def test_a_study_does_not_make_a_diverged_run_again(tmp_path: Path) -> None:
    experiment, other = small(**DIVERGES), small()
    planned = PlannedRun("v", 0, experiment, config(experiment))
    write_config(tmp_path, experiment)
    worker.write_failure(tmp_path, "the training diverged", diverged=True)
    assert is_finished(tmp_path, planned)
    assert not is_finished(tmp_path, PlannedRun("v", 0, other, config(other)))
    worker.write_failure(tmp_path, "killed")
    assert not is_finished(tmp_path, planned)
