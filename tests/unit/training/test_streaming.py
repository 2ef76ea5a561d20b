from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from truelift.data import AugmentationOptions, DataOptions, PairedBatches, StreamedBatches
from truelift.errors import InputError
from truelift.models import ModelOptions
from truelift.training import Experiment, resolve
from truelift.training.afterwards.detection import DetectionOptions
from truelift.training.build import assemble, load_data
from truelift.training.policies.freezing import FreezingOptions
from truelift.training.progress import PlainReporter
from truelift.training.run import run
from truelift.training.tasks import TaskOptions


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """On 60 photographs of three colours."""
    rng = np.random.default_rng(0)
    for number in range(60):
        folder = tmp_path / "photographs" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 155, (30 + number, 50, 3), dtype=np.uint8)
        pixels[..., number % 3] += 100
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return Experiment(
        data=DataOptions(name="colours", path=str(tmp_path / "photographs"), stream=True, resize=16, workers=0),
        model=ModelOptions(name="resnet8", width=4),
        epochs=2,
        batch_size=8,
        precision="fp32",
        device="cpu",
    )


def test_a_run_learns_and_can_be_examined(experiment: Experiment, tmp_path: Path) -> None:
    easy = AugmentationOptions(resized_crop_area=0.5, colour_jitter=0.1)
    examined = DetectionOptions(fgsm_epsilon=2.0, images=12)
    growing = replace(experiment.data, progressive=(8, 16))
    whole = resolve(replace(experiment, epochs=6, data=growing, augmentation=easy, detection=examined))
    result = run(whole, tmp_path / "run", reporter=PlainReporter())
    assert (result["train_images"], result["test_images"], result["skipped_images"]) == (43, 12, 0)
    assert result["metrics"]["test_accuracy"] > 60  # chance is 33; all are right
    assert "fgsm_auroc" in result["metrics"]


def test_an_auxiliary_task_is_streamed_too(experiment: Experiment) -> None:
    tasks = TaskOptions(main=("a", "b"), auxiliary=("b", "c"))
    resolved = resolve(replace(experiment, tasks=tasks))
    training = assemble(resolved, load_data(resolved))
    assert isinstance(training.batches, PairedBatches)
    assert isinstance(training.batches.main, StreamedBatches)
    assert isinstance(training.batches.auxiliary, StreamedBatches)
    losses, _ = training.objective(training.network, next(iter(training.batches.epoch(0))))
    assert len(losses) == 2
    assert "auxiliary" in losses
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_images_may_not_begin_smaller_than_the_network_takes(experiment: Experiment) -> None:
    resolved = resolve(replace(experiment, data=replace(experiment.data, progressive=(2, 16))))
    with pytest.raises(InputError, match=r"at least 4 pixels.*2x2"):
        assemble(resolved, load_data(resolved))


def test_activations_are_not_kept_of_what_changes(experiment: Experiment) -> None:
    with pytest.raises(InputError, match=r"freezing.cache must be none where images change anew each epoch"):
        resolve(replace(experiment, freezing=FreezingOptions(name="freezeout", cache="host")))
