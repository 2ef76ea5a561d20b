"""What can be known before the first step is refused then."""

from pathlib import Path

import pytest
from torch import Tensor, nn

from truelift.errors import InputError
from truelift.records import read_result
from truelift.training import Experiment, resolve
from truelift.training import run as run_training
from truelift.training.progress import PlainReporter
from truelift.training.settings import parse_experiment

METRICS = """
def top(labels, predicted, k):
    return float((labels == predicted)[:k].mean())

def ratio(labels, predicted, power=1.0):
    return (labels == predicted).mean() ** power

def text(labels):
    return {"a": 1.0, "b": "many"}

def accuracy(labels, predicted):
    return 7.0

def spread(labels):
    return {"a": 1.0, "loss": 11.0}

def rare(labels, predicted):  # not finite where a third of the predictions is wrong
    return float("nan") if (labels != predicted).mean() < 0.5 else 1.0
"""


class Flat(nn.Module):
    """Batch norm behind the last pooling: one image alone has no variance there."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(self.convolution(images).mean((2, 3))))
        return logits


def run(wanted: Experiment, folder: Path) -> None:
    run_training(wanted, folder, reporter=PlainReporter())


def experiment(**settings: object) -> Experiment:
    small = {"model.name": "resnet8", "data.train_images": 40, "batch_size": 20, "epochs": 1}
    return resolve(parse_experiment(small | settings, "test"))


@pytest.mark.parametrize(
    ("name", "args", "told"),
    [
        ("top", {}, "needs args.k"),
        ("top", {"k": 1.5}, "TypeError"),
        ("ratio", {"power": "two"}, "TypeError"),
        ("ratio", {"powr": 2}, 'Did you mean "power"'),
        ("text", {}, "must give numbers, got b: str"),
    ],
)
def test_a_metric_is_tried_before_training(tmp_path: Path, name: str, args: dict[str, object], told: str) -> None:
    (tmp_path / "mine.py").write_text(METRICS)
    settings = {"metrics.names": [f"{tmp_path}/mine.py:{name}"]} | {f"metrics.args.{k}": v for k, v in args.items()}
    with pytest.raises(InputError, match=told):
        run(experiment(**settings), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["mine.py:accuracy"], 'mine.py:accuracy" must not give "accuracy": a run has its own'),
        (["mine.py:spread"], 'mine.py:spread" must not give "loss": a run has its own'),
        (["mine.py:rare", "other.py:rare"], 'other.py:rare" must not give "rare": .*mine.py:rare" gives one'),
    ],
)
def test_no_metric_replaces_another(tmp_path: Path, names: list[str], told: str) -> None:
    for file in ("mine.py", "other.py"):
        (tmp_path / file).write_text(METRICS)
    with pytest.raises(InputError, match=told):
        run(experiment(**{"metrics.names": [f"{tmp_path}/{name}" for name in names]}), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_metric_of_made_up_predictions_need_not_be_finite(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METRICS)
    run(experiment(**{"metrics.names": [f"{tmp_path}/mine.py:rare"]}), tmp_path / "run")
    assert read_result(tmp_path / "run")["metrics"]["test_rare"] == 1.0  # 40 images and one epoch: most are wrong


def test_batches_of_one_image(tmp_path: Path) -> None:
    own = {"model.name": f"{__file__}:Flat"}
    with pytest.raises(InputError, match="batch_size must be 2 or more"):
        run(experiment(**own, batch_size=1), tmp_path / "refused")
    assert not (tmp_path / "refused" / "metrics.jsonl").exists()
    run(experiment(**own, batch_size=2), tmp_path / "two")
    run(experiment(batch_size=1, **{"data.train_images": 12}), tmp_path / "one")  # where no layer needs several
