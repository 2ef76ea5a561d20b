"""Optimizers without torch's compiler are torch's, to the last bit, and import none of it."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adadelta, Adagrad, AdamW, Optimizer, RMSprop

from truelift.techniques.muon import Muon
from truelift.training import Experiment, resolve
from truelift.training.identity import write_config
from truelift.training.settings import flatten, parse_experiment
from truelift.training.without_compiler import without_compiler

KINDS: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "fused": True}),
    (AdamW, {"lr": 0.1, "fused": True}),
    (RMSprop, {"lr": 0.1, "momentum": 0.9, "foreach": True}),
    (Adagrad, {"lr": 0.1, "fused": True}),
    (Adadelta, {"lr": 0.1, "foreach": True}),
    (Muon, {"lr": 0.1, "orthogonal": False}),
]

EVERY_OPTIMIZER = """
import sys
import torch
from truelift.training.optimizers import OPTIMIZERS, OptimizerOptions, build

for name, decoupled in [*((name, False) for name in OPTIMIZERS), ("sgd", True)]:
    network = torch.nn.Conv2d(1, 2, 3)
    options = OptimizerOptions(name=name, decoupled_weight_decay=decoupled, decay_norms_and_biases=False)
    optimizer = build(options, [network])
    network(torch.ones(1, 1, 3, 3)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""

RUN = """
import sys
from pathlib import Path
from truelift.studies.worker import run_experiment
run_experiment(Path(sys.argv[1]), 1e9)
print([name for name in ("torch._dynamo", "sympy", "pyarrow") if name in sys.modules])
"""


def trained(kind: type[Optimizer], options: dict[str, Any]) -> tuple[nn.Module, Optimizer]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    optimizer: Any = kind(network.parameters(), **options)
    for _ in range(3):
        network(torch.randn(5, 3, 3, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        assert all(p.grad is None for p in network.parameters())
    return network, optimizer


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_numbers_and_state_are_torchs(kind: type[Optimizer], options: dict[str, Any]) -> None:
    (one, of_one), (other, of_other) = trained(kind, options), trained(without_compiler(kind), options)
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert isinstance(of_other, kind)
    assert of_other.state_dict()["param_groups"] == of_one.state_dict()["param_groups"]
    torch.testing.assert_close(of_other.state_dict()["state"], of_one.state_dict()["state"], rtol=0, atol=0)
    assert str(of_other) == str(of_one)
    for again in (pickle.loads(pickle.dumps(of_other)), copy.deepcopy(of_other)):
        assert type(again) is type(of_other)
        torch.testing.assert_close(again.state_dict()["state"], of_one.state_dict()["state"], rtol=0, atol=0)
        again.step()


def told(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()[-1]


# torch 2.6 imports sympy with other parts that a training needs; versions between were not tried.
on_new_torch = pytest.mark.skipif(torch.__version__ < "2.13", reason="older versions import sympy anyway")


@on_new_torch
def test_no_optimizer_imports_the_compiler() -> None:
    assert told(EVERY_OPTIMIZER) == "[]"


@on_new_torch
def test_a_small_run_imports_no_compiler(tmp_path: Path) -> None:
    settings = {"epochs": 1, "batch_size": 32, "model": {"name": "resnet8", "width": 4}, "compile": False}
    experiment: Experiment = parse_experiment(flatten(settings | {"data": {"train_images": 100}}), "this test")
    write_config(tmp_path, resolve(experiment))
    assert told(RUN, str(tmp_path)) == "[]"
    assert (tmp_path / "result.json").exists()
