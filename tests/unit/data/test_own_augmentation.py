"""A user's own change to training batches, held to the protocol before the training begins."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.data.image_files import write_photographs

from truelift.data import AugmentationOptions, Batches, ImageSet, Photographs, StreamedBatches, build_changes
from truelift.data.folder import read_folder
from truelift.errors import InputError
from truelift.seeds import derive

CHANNELS = {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}
FORMS = """
import torch
def noise(images, labels, generator, most=50):
    drawn = torch.randint(0, most, (len(images), 1, 1, 1), generator=generator)
    return images + drawn, labels
class Noise:
    def __init__(self, most, classes):
        assert classes == 4
        self.most = most
    def __call__(self, images, generator):
        return noise(images, None, generator, self.most)[0]
def factory(most):
    return lambda images, generator: noise(images, None, generator, most)[0]
def last(images): return images.contiguous()
"""


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], str]:
    def write(source: str) -> str:
        (tmp_path / "my.py").write_text(source)
        return str(tmp_path / "my.py")

    return write


def batches(name: str = "", **args: object) -> Batches:
    pixels = torch.randint(0, 256, (40, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    images = ImageSet(pixels.permute(0, 3, 1, 2), torch.arange(40) % 4)
    options = AugmentationOptions(crop_padding=2, flip=True, names=(name,) if name else (), args=args)
    return Batches(
        images,
        8,
        **CHANNELS,  # type: ignore[arg-type]
        order_seed=1,
        augmentation=options,
        augment_seed=2,
        changes=build_changes(options, 4),
    )


@pytest.mark.parametrize(("name", "args"), [("noise", {}), ("Noise", {"most": 9}), ("factory", {"most": 5})])
def test_every_form_draws_from_the_place_and_its_name(
    own: Callable[[str], str], name: str, args: dict[str, int]
) -> None:
    plain, changed = batches(), batches(f"{own(FORMS)}:{name}", **args)
    for number, (one, other) in enumerate(zip(plain.epoch(3), changed.epoch(3), strict=True)):
        drawn = torch.Generator().manual_seed(derive(2, 3, number, name))
        added = torch.randint(0, args.get("most", 50), (8, 1, 1, 1), generator=drawn)
        assert torch.equal(other.images, one.images + added)  # and so the standard draws are as they were
        assert torch.equal(other.labels, one.labels)
        assert torch.equal(changed.at(3 * 5 + number).images, other.images)


def test_images_stay_channels_last(own: Callable[[str], str]) -> None:
    batch = next(batches(f"{own(FORMS)}:last").epoch(0))
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("source", "args", "message"),
    [
        ("def f(images): return images[:, :1]", {}, r"must give images of torch.float32 \(8, 3, 8, 8\), got"),
        ("def f(images): return images.byte()", {}, r"got torch.uint8 \(8, 3, 8, 8\)"),
        ("def f(images): return 3", {}, "must give images of .*got int"),
        ("def f(images, labels): return images, labels + 1", {}, r"must give labels in 0..3\."),
        ("def f(images, labels): return images, labels.int()", {}, r"must give labels of torch.int64 \(8,\)"),
        ("def f(images, labels): return images, labels.new_ones((8, 4)).float()", {}, "shares of the classes, .*sum 1"),
        ("def f(images): return 1 / 0", {}, r'my.py:f" raised ZeroDivisionError: division by zero \(my.py, line 1\)'),
        ("def f(images): exit(3)", {}, r'my.py:f" raised SystemExit: 3 \('),
        ("def f(images, most): return images", {"mots": 1}, r'takes no args.mots. Did you mean "most"\?'),
        ("def f(classes): return 3", {}, "must give a function of images .*got 3"),
        ("def f(classes): return lambda picture: picture", {}, "must give a function of images"),
        ("def f(images): return images\nf.stage = 'after'", {}, "must have the stage pixels or inputs, got after"),
    ],
)
def test_bad_ones_are_refused_when_the_batches_are_made(
    own: Callable[[str], str], source: str, args: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        batches(f"{own(source)}:f", **args)


def test_photographs_too(tmp_path: Path, own: Callable[[str], str]) -> None:
    path = own("def f(images, labels): return images, labels + 7")
    listing = read_folder(write_photographs(tmp_path / "photographs", {"a": 6, "b": 6})).train
    labels = torch.from_numpy(listing.labels)
    images = Photographs(listing, np.arange(12), labels, side=16, crop=0.875, skip=False, workers=0)
    options = AugmentationOptions(crop_padding=0, flip=True, resized_crop_area=0.08, names=(f"{path}:f",))
    with pytest.raises(InputError, match=r"must give labels in 0..1\."):
        StreamedBatches(
            images,
            4,
            **CHANNELS,  # type: ignore[arg-type]
            order_seed=1,
            augmentation=options,
            augment_seed=2,
            changes=build_changes(options, 2),
        )
