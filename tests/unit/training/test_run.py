"""Real trainings of some seconds on the bundled digits."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tests.unit.training.conftest import Undisturbed

from truelift.data import AugmentationOptions, DataOptions
from truelift.errors import DivergedError, InputError
from truelift.models import ModelOptions
from truelift.records import Run
from truelift.training import Experiment, resolve, run
from truelift.training.build import assemble, load_data
from truelift.training.loop import fit
from truelift.training.settings import parse_experiment


def silent(line: dict[str, Any], steps: int) -> None:
    pass


class StopError(Exception):
    """Stands for a crash."""


def small(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 2, "data.train_images": 320, "batch_size": 32}
    return resolve(parse_experiment({**base, "precision": "fp32", "augmentation.cutout": 2, **settings}, "test"))


def weights(folder: Path) -> dict[str, Any]:
    return dict(torch.load(folder / "checkpoint.pt", weights_only=True))


MIXTURE = {
    "objective.name": "gaussian-mixture",
    "objective.covariance": "diagonal",
    "objective.variances": "tracked",
    "objective.priors": "estimated",
    "objective.margin_schedule": "doubling",
    "objective.schedule_epochs": 0.4,
}


@pytest.mark.parametrize(
    "settings", [{"precision": "fp32"}, {"precision": "bf16"}, MIXTURE], ids=["fp32", "bf16", "mixture"]
)
@pytest.mark.parametrize("crash_at", [3, 9, 13])
def test_resumed_run_is_bit_identical(
    undisturbed: Undisturbed, tmp_path: Path, crash_at: int, settings: dict[str, Any]
) -> None:
    experiment = small(**{"optimizer.name": "adamw", "optimizer.lr": 0.01}, **settings)
    whole = undisturbed(experiment)

    def crash(line: dict[str, Any], steps: int) -> None:
        if line["kind"] == "train" and line["step"] == crash_at:
            raise StopError

    with pytest.raises(StopError):
        run(experiment, tmp_path / "cut", reporter=crash, checkpoint_seconds=0)
    assert weights(tmp_path / "cut")["meters"]["step"] == crash_at - 1
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"kind": "train", "st')  # what a kill can leave
    again = run(experiment, tmp_path / "cut", reporter=silent)

    def timeless(values: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in values.items() if "second" not in k}

    runs = [Run("v", 0, folder) for folder in (whole, tmp_path / "cut")]
    assert timeless(again["metrics"]) == timeless(runs[0].result()["metrics"])
    first, second = weights(whole), weights(tmp_path / "cut")
    for name, tensor in first["network"].items():
        assert torch.equal(tensor, second["network"][name]), name
    assert [timeless(x) for x in runs[0].metrics()] == [timeless(x) for x in runs[1].metrics()]
    predictions = [r.predictions() for r in runs]
    assert predictions[0] is not None
    assert predictions[1] is not None
    np.testing.assert_array_equal(predictions[0].probability, predictions[1].probability)


def test_loop_equals_a_loop_written_by_hand(tmp_path: Path) -> None:
    """Same initial weights, batches and schedule; torch's own optimizer, no seams."""
    experiment = small(precision="fp32", **{"schedule.name": "linear", "optimizer.weight_decay": 0.01})
    splits = load_data(experiment)
    ours, hand = assemble(experiment, splits), assemble(experiment, splits)
    fit(ours, lambda line: None, tmp_path / "checkpoint.pt", 1e9)

    network = hand.network
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    for epoch in range(2):
        for i, (images, labels, _) in enumerate(hand.batches.epoch(epoch)):
            optimizer.param_groups[0]["lr"] = 0.1 * (1 - (epoch * hand.steps_per_epoch + i) / hand.steps)
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_result_is_what_the_checkpoint_predicts(tmp_path: Path) -> None:
    experiment = small(epochs=6)
    result = run(experiment, tmp_path / "run", reporter=silent)
    training = assemble(experiment, load_data(experiment))
    training.load(tmp_path / "run" / "checkpoint.pt")
    training.network.eval()
    right = total = 0
    with torch.no_grad(), training.autocast:
        for images, labels, _ in training.evaluations["test"].epoch(0):
            right += int((training.network(images).argmax(1) == labels).sum())
            total += len(labels)
    assert result["metrics"]["test_accuracy"] == pytest.approx(100 * right / total)
    assert result["metrics"]["test_accuracy"] > 30  # chance is 10
    assert result["test_images"] == total


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    first = run(small(), tmp_path / "run", reporter=silent)

    def never(line: dict[str, Any], steps: int) -> None:
        raise StopError

    assert run(small(), tmp_path / "run", reporter=never) == first


def test_a_folder_of_another_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    run(small(), tmp_path / "run", reporter=silent)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(InputError, match=r"epochs 2, not 3"):
        run(small(epochs=3), tmp_path / "run", reporter=silent)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_bad_data_writes_nothing(tmp_path: Path) -> None:
    experiment = resolve(Experiment(data=DataOptions(path=str(tmp_path / "none.parquet"))))
    with pytest.raises(InputError, match=r"none\.parquet"):
        run(experiment, tmp_path / "run", reporter=silent)
    assert not (tmp_path / "run").exists()


def test_divergence_is_told(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"the loss is (nan|inf) at step"):
        run(
            small(**{"optimizer.lr": 1e9, "optimizer.weight_decay": 1e6, "precision": "fp32"}),
            tmp_path / "run",
            reporter=silent,
        )
    assert not (tmp_path / "run" / "result.json").exists()


def test_records_are_complete(tmp_path: Path) -> None:
    run(small(), tmp_path / "run", reporter=silent)
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert {"truelift", "torch", "python", "platform", "processor", "device", "threads", "commit", "patched"} <= set(
        environment
    )
    lines = Run("v", 0, tmp_path / "run").metrics()
    assert [line["epoch"] for line in lines if line["kind"] == "evaluation"] == [1.0, 2.0]
    assert lines[-1]["test_error"] == pytest.approx(100 - lines[-1]["test_accuracy"])


@pytest.mark.skipif(
    os.environ.get("ATEN_CPU_CAPABILITY") == "default",
    reason="torch's compiler then writes vector code without the header that defines it: no program of ours could pass",
)
def test_compiled_training_learns(tmp_path: Path) -> None:
    pytest.importorskip("torch._inductor")
    experiment = small(compile=True, epochs=2, precision="fp32")
    eager = run(small(precision="fp32"), tmp_path / "eager", reporter=silent)
    compiled = run(experiment, tmp_path / "compiled", reporter=silent)
    assert compiled["metrics"]["train_loss"] == pytest.approx(eager["metrics"]["train_loss"], rel=0.2)


def test_augmentation_can_be_switched_off() -> None:
    experiment = resolve(
        Experiment(augmentation=AugmentationOptions(crop_padding=0), model=ModelOptions(name="resnet8"))
    )
    training = assemble(experiment, load_data(experiment))
    images, again = (next(iter(training.batches.epoch(0))).images for _ in range(2))
    assert torch.equal(images, again)


@pytest.mark.parametrize("name", ["channels", "none", "mean-image", "zca"])
def test_every_preprocessing_learns_and_evaluates_alike(tmp_path: Path, name: str) -> None:
    # A digit's border pixels hardly vary, so whitening makes much of what a crop or a square moves there.
    plain = {"augmentation.crop_padding": 0, "augmentation.cutout": 0}
    experiment = small(epochs=4, **{"preprocessing.name": name, **plain})
    # Evaluated by other figures than trained with, it would be near chance, 10; 72 and more are reached.
    assert run(experiment, tmp_path / "run", reporter=silent)["metrics"]["test_accuracy"] > 40


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tasks.auxiliary_rotation": 90, "gradient.name": "weighted", "tasks.batch_norm": "main"},
        {"tasks.auxiliary_rotation": 90, "tasks.batch_norm": "separate"},
    ],
    ids=["one task", "two tasks", "separate statistics"],
)
def test_recomputation_changes_nothing(tmp_path: Path, settings: dict[str, Any]) -> None:
    for name, recompute in (("plain", False), ("again", True)):
        experiment = small(**settings, **{"model.name": "resnet14", "model.recompute": recompute, "epochs": 1})
        run(experiment, tmp_path / name, reporter=silent)
    plain, again = weights(tmp_path / "plain"), weights(tmp_path / "again")
    for part in ("network", "objective"):
        assert plain[part].keys() == again[part].keys()
        for name, tensor in plain[part].items():
            assert torch.equal(tensor, again[part][name]), name


def make_folders(root: Path, images: int) -> None:
    for label, name in enumerate(("dark", "light")):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(images):
            pixels = np.full((8, 8), 200 * label + number, np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


def test_a_run_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    """Stopped in the middle; the message says what changed and what to type, and the typed command helps."""
    data, folder = tmp_path / "data", tmp_path / "my run"
    make_folders(data, 20)
    settings = {"data.name": "mine", "data.path": str(data), "epochs": 2, "batch_size": 8, "model.name": "small-cnn"}
    experiment = resolve(parse_experiment(settings, "the test"))

    def stop(line: dict[str, Any], steps: int) -> None:
        if line["step"] >= steps // 2:
            raise StopError

    with pytest.raises(StopError):
        run(experiment, folder, reporter=stop, checkpoint_seconds=0)
    before = json.loads((folder / "environment.json").read_text())["data"]
    assert before["images"] == {"train": 40}
    make_folders(data, 21)
    with pytest.raises(InputError) as raised:
        run(experiment, folder, reporter=silent)
    checkpoint = folder / "checkpoint.pt"
    assert str(raised.value) == (
        f"{folder}: the data changed since its checkpoint was written: train images 40, now 42. Put them back as they "
        f"were, or begin anew without the checkpoint: rm '{checkpoint}'"
    )
    assert json.loads((folder / "environment.json").read_text())["data"] == before
    environment = json.loads((folder / "environment.json").read_text())
    kept = checkpoint.read_bytes()
    checkpoint.unlink()
    assert run(experiment, folder, reporter=silent)["train_images"] < 42
    assert json.loads((folder / "environment.json").read_text())["data"]["images"] == {"train": 42}
    # One of an earlier version, that does not say of which data it is, goes on.
    (folder / "result.json").unlink()
    checkpoint.write_bytes(kept)
    del environment["data"]
    (folder / "environment.json").write_text(json.dumps(environment))
    assert run(experiment, folder, reporter=silent)["steps"] > 0


def test_a_damaged_result_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = small()
    first = run(experiment, tmp_path, reporter=silent)
    (tmp_path / "result.json").write_text("{")
    (tmp_path / "code.patch").unlink()
    (tmp_path / "code.patch").mkdir()
    second = run(experiment, tmp_path, reporter=silent)
    assert second["metrics"]["test_accuracy"] == first["metrics"]["test_accuracy"]
    said = capsys.readouterr().err
    assert f"{tmp_path / 'result.json'} cannot be read. It is result.json.unusable now, and is made again." in said
    assert "code.patch is no regular file: it is code.patch.unusable now." in said
    assert Run("a", 0, tmp_path).status == "done"
