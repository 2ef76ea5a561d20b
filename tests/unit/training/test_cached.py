"""Kept activations in the trainer, on the bundled digits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.training.conftest import Undisturbed
from tests.unit.training.parts import freezing_of

from truelift.errors import InputError
from truelift.training import Experiment, resolve, run
from truelift.training.build import assemble, load_data
from truelift.training.policies.kept_activations import CachedBatches
from truelift.training.settings import parse_experiment


class StopError(Exception):
    """Stands for a crash."""


def small(**settings: Any) -> Experiment:
    base = {"model.name": "resnet8", "model.width": 4, "epochs": 5, "data.train_images": 192, "batch_size": 32}
    frozen = {"freezing.name": "freezeout", "freezing.t0": 0.3, "schedule.name": "constant", "precision": "fp32"}
    still = {"data.test_images": 60, "augmentation.crop_padding": 0, "augmentation.flip": False}
    return resolve(parse_experiment({**base, **frozen, **still, **settings}, "test"))


def silent(line: dict[str, Any], steps: int) -> None:
    pass


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(folder / "checkpoint.pt", weights_only=True)["network"])


VIEWS = {"augmentation.views": 2, "augmentation.crop_padding": 1, "augmentation.flip": True}


@pytest.mark.parametrize("changes", [{}, VIEWS], ids=["no augmentation", "two views"])
@pytest.mark.parametrize("place", ["device", "file"])
def test_trains_to_the_weights_of_a_training_without(
    undisturbed: Undisturbed, place: str, changes: dict[str, Any]
) -> None:
    plain, cached = (weights(undisturbed(small(**changes, **{"freezing.cache": at}))) for at in ("none", place))
    for name, tensor in plain.items():
        torch.testing.assert_close(cached[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_no_image_passes_the_frozen_layers_twice(tmp_path: Path) -> None:
    experiment = small(**{"freezing.cache": "device"})
    training = assemble(experiment, load_data(experiment))
    assert isinstance(training.batches, CachedBatches)
    freezing = freezing_of(training)
    assert freezing is not None
    training.network.train()
    for _ in range(training.steps):
        freezing.step()
    passed = []
    network: Any = training.network
    network.layers()[0].register_forward_hook(lambda m, i, out: passed.append(len(out)))
    for epoch in (0, 1):
        for images, *_ in training.batches.epoch(epoch):
            assert images.shape[1] == 16  # behind the last block
            with training.entrance():
                training.network(images)
    # What the first epoch's beginning computes; beside it the layers are tried on two or four images at a time.
    tried = [images for images in passed if images <= 5]
    assert sum(passed) - sum(tried) == training.batches.batches.images
    assert sum(tried) < training.batches.batches.images / 2


@pytest.mark.parametrize("changes", [{}, VIEWS], ids=["no augmentation", "two views"])
@pytest.mark.parametrize("crash_at", [7, 10, 13])
def test_resumed_run_is_bit_identical(
    undisturbed: Undisturbed, tmp_path: Path, crash_at: int, changes: dict[str, Any]
) -> None:
    experiment = small(**changes, **{"freezing.cache": "device"})
    whole = undisturbed(experiment)

    def crash(line: dict[str, Any], steps: int) -> None:
        if line["kind"] == "train" and line["step"] == crash_at:
            raise StopError

    with pytest.raises(StopError):
        run(experiment, tmp_path / "cut", reporter=crash, checkpoint_seconds=0)
    run(experiment, tmp_path / "cut", reporter=silent)
    cut = weights(tmp_path / "cut")
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, cut[name]), name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freezing.name": "none"}, "freezing.cache must be none where nothing freezes"),
        ({"tasks.auxiliary_rotation": 90}, "freezing.cache must be none where there is an aux"),
        ({"augmentation.flip": True}, "freezing.cache must be none where images change anew each epoch"),
        ({"augmentation.views": 0}, "augmentation.views must be at least 1, got 0"),
        ({"freezing.cache_gigabytes": 0}, "freezing.cache_gigabytes must be above 0, got 0"),
    ],
)
def test_bad_input(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small(**{"freezing.cache": "device", **settings})


LOSSES = """
import torch
def of_images(logits, labels, images):
    return torch.nn.functional.cross_entropy(logits, labels) + 0 * images.mean()
def plain(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels)
"""


def test_a_loss_that_takes_images_is_refused_where_activations_take_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "losses.py").write_text(LOSSES)
    plain = small(**{"freezing.cache": "device", "objective.name": "losses.py:plain"})
    splits = load_data(plain)
    assemble(plain, splits)
    of_images = {"objective.name": "losses.py:of_images"}
    assemble(small(**of_images), splits)
    with pytest.raises(InputError, match=r"freezing\.cache must be none where the loss takes images, .*, got device"):
        assemble(small(**of_images, **{"freezing.cache": "device"}), splits)


def test_nothing_is_kept_for_a_freezing_of_ones_own() -> None:
    own = {"freezing.name": "truelift:FreezeOut", "freezing.t0": 0.8, "freezing.args.t0": 0.3}
    small(**own)
    with pytest.raises(InputError, match=r"freezing\.cache must be none for a freezing of your own, got device"):
        small(**own, **{"freezing.cache": "device"})
