from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from truelift.training import Experiment, run

Undisturbed = Callable[[Experiment], Path]


@pytest.fixture
def one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU sums are made in one order, and in full float32, so that two trainings can be compared."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The folder of a run that was made in one go; of each experiment it is made once."""
    folders: dict[str, Path] = {}

    def of(experiment: Experiment) -> Path:
        name = repr(experiment)
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("undisturbed")
            run(experiment, folders[name], reporter=lambda line, steps: None)
        return folders[name]

    return of
