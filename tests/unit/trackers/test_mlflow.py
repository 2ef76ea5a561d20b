"""What MLflow is told when a run begins, by a client in its place: the library need not be there."""

import importlib
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from truelift.trackers.base import Tracked


class Param(NamedTuple):
    key: str
    value: str


class RunTag(NamedTuple):
    key: str
    value: str


class Server:
    """Refuses what MLflow's refuses; raises at the batch of the number `ends_at`, as if the process were killed."""

    def __init__(self) -> None:
        self.params: dict[str, dict[str, str]] = defaultdict(dict)
        self.tags: dict[str, dict[str, str]] = defaultdict(dict)
        self.batches, self.ends_at = 0, -1

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        return "0"

    def create_run(self, experiment_id: str, run_name: str) -> SimpleNamespace:
        run_id = f"run-{len(self.params)}"
        self.params[run_id] = {}
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def update_run(self, run_id: str, status: str) -> None:
        assert run_id in self.params

    def get_run(self, run_id: str) -> SimpleNamespace:
        return SimpleNamespace(data=SimpleNamespace(params=dict(self.params[run_id])))

    def log_batch(self, run_id: str, params: list[Param], tags: list[RunTag]) -> None:
        self.batches += 1
        if self.batches == self.ends_at:
            raise KeyboardInterrupt
        assert len(params) <= 100
        for param in params:
            assert self.params[run_id].setdefault(param.key, param.value) == param.value, "a parameter stays"
        self.tags[run_id] |= {tag.key: tag.value for tag in tags}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()
    mlflow, entities = ModuleType("mlflow"), ModuleType("mlflow.entities")
    vars(mlflow).update(MlflowClient=lambda: found, entities=entities)
    vars(entities).update(Metric=None, Param=Param, RunTag=RunTag)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.delitem(sys.modules, "truelift.trackers.to_mlflow", raising=False)
    yield found
    sys.modules.pop("truelift.trackers.to_mlflow", None)


@pytest.mark.parametrize("ends_at", [-1, 1, 2])
def test_a_run_has_all_its_settings_wherever_it_was_stopped(server: Server, tmp_path: Path, ends_at: int) -> None:
    settings: dict[str, Any] = {f"model.args.a{number}": number for number in range(150)}
    tracked = Tracked("study", "plain", 3, settings, "f", tmp_path, tmp_path, 0)
    start = importlib.import_module("truelift.trackers.to_mlflow").start
    server.ends_at = ends_at
    if ends_at > 0:
        with pytest.raises(KeyboardInterrupt):
            start(tracked)
    for _ in range(2):
        start(tracked)
    told = {name: str(value) for name, value in tracked.config.items()}
    assert server.params == {"run-0": told}
    assert server.tags == {"run-0": {"group": "plain"}}
