"""What parts of a user's own log, and what they raise, as a training meets it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from truelift.errors import DivergedError, InputError
from truelift.training import resolve, run
from truelift.training.settings import parse_experiment

PARTS = """
import contextlib
import numpy as np
import torch

class Rule:
    def __init__(self, what):
        self.what = what
    def backward(self, losses):
        sum(losses.values()).backward()
        return {
            "float": {"x": 1.5},
            "one": {"x": torch.tensor([2])},
            "vector": {"x": torch.ones(3)},
            "text": {"x": "much"},
            "list": [1.0],
            "nan": {"x": float("nan")},
            "loss": {"train_loss": torch.tensor(-7.0)},
            "second": {"train_second_loss": torch.tensor(-7.0)},
            "rate": {"learning_rate": 0.5},
        }[self.what]

class Pops:
    # Takes the losses out of its dictionary, and writes into that.
    def backward(self, losses):
        sum(losses.pop(name) for name in list(losses)).backward()
        losses["mine"] = torch.tensor(1000.0)

class Policy:
    def __init__(self, what):
        self.what = what
    def update(self):
        pass
    def logged(self):
        return {
            "integer": {"x": np.int64(3)},
            "numpy": {"x": np.float32(1.5)},
            "tensor": {"x": torch.tensor([2.0])},
            "nan": {"x": float("nan")},
            "none": {"x": None},
            "list": [1.0],
            "step": {"step": 0},
            "kind": {"kind": "evaluation"},
            "number": {1: 0.5},
            "rule": {"x": 1.0},
            "rate": {"learning_rate": 7.0},
            "second": {"train_second_loss": 7.0},
            "frozen": {"frozen_layers": 99},
        }.get(self.what, {})

class Applied(Policy):
    @contextlib.contextmanager
    def applied(self):
        if self.what == "enter":
            raise ValueError("mine")
        yield
        raise ValueError("mine")

class Frozen(Policy):
    @property
    def frozen(self):
        if self.what == "three":
            return 3
        return {"none": None, "nan": float("nan")}.get(self.what) if self.what != "raises" else {}["a"]

class Flags:
    # With a counter and a flag of its own, under names that methods may have.
    def __init__(self):
        self.step, self.ended = 0, False
    def update(self):
        self.step += 1
        self.ended = self.step > 1
    def logged(self):
        return {"made": self.step}

class Hidden(Policy):
    def __init__(self, what):
        self.what = what
        setattr(self, what, {})

class Late:
    # Makes its state in its first step.
    def step(self):
        if not hasattr(self, "mean"):
            self.mean = torch.zeros(1)
    def state_dict(self):
        return {"mean": self.mean}
    def load_state_dict(self, state):
        self.mean = state["mean"]

class LateRule:
    def backward(self, losses):
        (loss,) = losses.values()
        loss.backward()
        self.mean = loss.detach().clone()
    def state_dict(self):
        return {"mean": self.mean}
    def load_state_dict(self, state):
        self.mean = state["mean"]

class State(Policy):
    def state_dict(self):
        return 3

class Later(Policy):
    made = 0
    def state_dict(self):
        return {"list": [1, np.float64(self.made) if self.made else 0], "made": self.made}
    def load_state_dict(self, state):
        self.made = state["made"]
    def update(self):
        self.made += 1

class Early(Policy):
    def state_dict(self):
        return {"many": torch.zeros(3), "one": {"numpy": np.float64(1.0), "lock": lambda: 1}.get(self.what)}

class BrokenAtFirst(torch.nn.Module):
    broken = True
    def forward(self, logits, labels):
        loss = torch.nn.functional.cross_entropy(logits, labels)
        factor, self.broken = float("nan") if self.broken else 1.0, False
        return factor * loss

def two(logits, labels):
    loss = torch.nn.functional.cross_entropy(logits, labels)
    return {"first": loss, "second": 0.1 * loss}

def auxiliary(logits, labels):
    loss = torch.nn.functional.cross_entropy(logits, labels)
    return {"first": loss, "auxiliary": 0.1 * loss}

def accuracy(labels):
    return 100.0
"""


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts.py").write_text(PARTS)

    def train(**settings: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        small = {"model.name": "resnet8", "model.width": 2, "data.train_images": 32, "batch_size": 16, "epochs": 1}
        experiment = resolve(parse_experiment({**small, "precision": "fp32", **settings}, "test"), tmp_path)
        result = run(experiment, tmp_path / "run", reporter=lambda line, steps: None)
        lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines if '"train"' in line], result

    return train


def rule(what: str) -> dict[str, Any]:
    return {"gradient.name": "parts.py:Rule", "gradient.args.what": what}


def policy(name: str, what: str) -> dict[str, Any]:
    return {"policy.names": [f"parts.py:{name}"], "policy.args.what": what}


FREEZING = {"freezing.name": "freezeout", "schedule.name": "constant"}


@pytest.mark.parametrize(
    ("settings", "x"),
    [
        (rule("float"), 1.5),
        (rule("one"), 2),
        (policy("Policy", "integer"), 3),
        (policy("Policy", "numpy"), 1.5),
        (policy("Policy", "tensor"), 2),
    ],
)
def test_numbers_of_every_kind_are_logged(trained: Any, settings: dict[str, Any], x: float) -> None:
    lines, _ = trained(**settings)
    assert {line["x"] for line in lines} == {x}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (rule("vector"), "gradient rule .* must log real numbers, one a name, got x: a tensor of shape .3,"),
        (rule("text"), "must log real numbers, one a name, got x: str"),
        (rule("list"), "must log numbers by name, as a dictionary, got list"),
        (rule("loss"), "must log under names of its own, got train_loss, which is the training's"),
        ({**rule("second"), "objective.name": "parts.py:two"}, "names of its own, got train_second_loss"),
        (policy("Policy", "nan"), "policy .* must log finite real numbers, got x: nan"),
        (policy("Policy", "none"), "must log finite real numbers, got x: NoneType"),
        (policy("Policy", "list"), "must log numbers by name, as a dictionary, got list"),
        (policy("Policy", "number"), "must log numbers by name, as a dictionary"),
        (policy("Policy", "step"), "names of its own, got step, which is the training's"),
        (policy("Policy", "kind"), "names of its own, got kind, which is the training's"),
        (
            {**rule("float"), **policy("Policy", "rule")},
            r'x is logged by gradient rule "/.*Rule" and by policy "/.*Policy": a part',
        ),
        (
            {"objective.name": "parts.py:two", **policy("Policy", "second")},
            r'train_second_loss is logged by the training itself and by policy "/.*Policy": a part of your own must',
        ),
        (rule("rate"), r'learning_rate is logged by gradient rule "/.*Rule" and by the training itself: a part'),
        (policy("Policy", "rate"), r'learning_rate is logged by the training itself and by policy "/.*Policy": a part'),
        ({**FREEZING, **policy("Policy", "frozen")}, r'frozen_layers .* the training itself and by policy "/.*Policy"'),
        ({**FREEZING, **policy("Frozen", "three")}, r'frozen_layers .* the training itself and by policy "/.*Frozen"'),
        (
            {"objective.name": "parts.py:auxiliary", "tasks.auxiliary_rotation": 90.0},
            'must give its parts other names than "auxiliary", which is the second task\'s',
        ),
        (policy("Applied", "enter"), r"policy .*Applied\" raised ValueError: mine \(parts.py"),
        (policy("Applied", "exit"), r"policy .*Applied\" raised ValueError: mine \(parts.py"),
        (policy("Frozen", "none"), "must log finite real numbers, got frozen: NoneType"),
        (policy("Frozen", "nan"), "must log finite real numbers, got frozen: nan"),
        (policy("Frozen", "raises"), "raised KeyError: 'a'"),
        (policy("State", "is none"), "raised TypeError"),
        (policy("Hidden", "logged"), r"policy .*Hidden\" must have logged as a method, got dict"),
        (policy("Hidden", "state_dict"), r"policy .*Hidden\" must have state_dict as a method, got dict"),
        (policy("Hidden", "update"), r"policy .*Hidden\" must have update as a method, got dict"),
        ({"metrics.names": ["parts.py:accuracy"]}, 'must not give "accuracy": a run has its own'),
    ],
)
def test_what_a_part_must_not_do_is_told_in_one_line(trained: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        trained(**settings)


@pytest.mark.parametrize(("what", "told"), [("numpy", "one: numpy.float64"), ("lock", "one: builtins.function")])
def test_a_state_that_no_checkpoint_gives_back_is_refused_before_the_first_step(
    trained: Any, tmp_path: Path, what: str, told: str
) -> None:
    with pytest.raises(InputError, match=f"Early must keep its state in tensors and Python's own .*, got {told}"):
        trained(**policy("Early", what))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("loss", ["softmax", "parts.py:two"])
def test_a_rule_may_change_its_dictionary_of_losses(trained: Any, tmp_path: Path, loss: str) -> None:
    (plain,), _ = trained(**{"objective.name": loss})
    shutil.rmtree(tmp_path / "run")
    (line,), _ = trained(**{"objective.name": loss, "gradient.name": "parts.py:Pops"})
    times = {"images_per_second"}
    assert {name: line[name] for name in line.keys() - times} == {name: plain[name] for name in plain.keys() - times}


def test_a_policy_may_count_under_the_name_of_a_method(trained: Any) -> None:
    lines, _ = trained(**{"policy.names": ["parts.py:Flags"], "epochs": 2})
    assert lines[-1]["made"] == 2


@pytest.mark.parametrize("part", [{"policy.names": ["parts.py:Late"]}, {"gradient.name": "parts.py:LateRule"}])
@pytest.mark.parametrize("on_divergence", ["stop", "skip-step"])
def test_a_part_may_make_its_state_in_its_first_step(
    trained: Any, tmp_path: Path, part: dict[str, Any], on_divergence: str
) -> None:
    trained(**part, on_divergence=on_divergence)
    kept = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert any(isinstance(state, dict) and "mean" in state for state in kept.values())


def test_a_first_step_that_is_left_out_has_no_state_to_go_back_to(trained: Any) -> None:
    settings = {"gradient.name": "parts.py:LateRule", "objective.name": "parts.py:BrokenAtFirst", "epochs": 2}
    _, result = trained(**settings, on_divergence="skip-step")
    assert result["skipped_steps"] == 1


def test_a_state_that_cannot_be_had_is_refused_after_the_first_step(trained: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="raised TypeError"):
        trained(**policy("State", "is none"))
    assert not (tmp_path / "run" / "metrics.jsonl").read_text()


def test_a_state_that_becomes_one_leaves_the_checkpoint_before(trained: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Later must keep its state .*, got list: numpy.float64"):
        trained(**policy("Later", ""))
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_rules_number_that_is_none_has_diverged(trained: Any) -> None:
    with pytest.raises(DivergedError, match="the x is nan"):
        trained(**rule("nan"))
