"""A loss of one's own in several parts, of which one is a constant, as a regulariser is before it sets in."""

from pathlib import Path
from typing import Any

import pytest
import torch

from truelift.errors import InputError
from truelift.records import Run
from truelift.training import resolve, run
from truelift.training.settings import parse_experiment

PARTS = """
import torch
import torch.nn.functional as F
from truelift.training.objectives import Objective, StepLosses, error_percent

def alone(logits, labels):
    return {"main": F.cross_entropy(logits, labels)}

def with_constant(logits, labels):
    return {"main": F.cross_entropy(logits, labels), "later": torch.tensor(2.0, dtype=torch.float64)}

def constant(logits, labels):
    return torch.zeros(())

class Whole(Objective):
    def forward(self, network, batch):
        logits = network(batch.images)
        return StepLosses(with_constant(logits, batch.labels), error_percent(logits, batch.labels))
"""


def trained(folder: Path, loss: str, **settings: Any) -> dict[str, torch.Tensor]:
    """The network's weights after a training with that loss."""
    (folder / "parts.py").write_text(PARTS)
    base = {"model.name": "resnet8", "model.width": 2, "epochs": 1, "data.train_images": 64, "batch_size": 16}
    given = {**base, "precision": "fp32", "objective.name": f"parts.py:{loss}", **settings}
    run(resolve(parse_experiment(given, "test"), folder), folder / loss, reporter=lambda line, steps: None)
    weights: dict[str, torch.Tensor] = torch.load(folder / loss / "checkpoint.pt", weights_only=True)["network"]
    return weights


@pytest.mark.parametrize("rule", ["sum", "sharpness-aware", "weighted", "pcgrad"])
@pytest.mark.parametrize("loss", ["with_constant", "Whole"])
def test_a_constant_part_changes_nothing_and_is_logged(tmp_path: Path, rule: str, loss: str) -> None:
    alone = trained(tmp_path, "alone", **{"gradient.name": "sum" if rule in ("weighted", "pcgrad") else rule})
    found = trained(tmp_path, loss, **{"gradient.name": rule})
    for name, weight in alone.items():
        assert torch.equal(found[name], weight)
    lines = [line for line in Run("", 0, tmp_path / loss).metrics() if line["kind"] == "train"]
    assert all(line["train_later_loss"] == 2 for line in lines)


def test_a_constant_main_loss_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must give a loss that depends on the network"):
        trained(tmp_path, "constant")
