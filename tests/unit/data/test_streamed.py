import multiprocessing
import pickle
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.data.image_files import without_simplejpeg, write_photographs
from torch import Tensor

from truelift.data.augment import augment, normalise
from truelift.data.augmentations import AugmentationOptions
from truelift.data.dataset import Splits
from truelift.data.folder import read_folder
from truelift.data.make import growing_sides
from truelift.data.named import resolve_augmentation
from truelift.data.order import Share
from truelift.data.photographs import Photographs
from truelift.data.preprocessing import PreprocessingOptions, fit_preprocessing
from truelift.data.streamed import StreamedBatches
from truelift.data.tasks import pick_task, rotate
from truelift.errors import InputError
from truelift.seeds import derive

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
CROP = AugmentationOptions(crop_padding=0, resized_crop_area=0.08, flip=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """23 photographs of two classes."""
    found: Path = write_photographs(tmp_path / "photographs", {"a": 11, "b": 12})
    return found


def photographs(folder: Path, *, workers: int = 0, skip: bool = False) -> Photographs:
    listing = read_folder(folder).train
    labels = torch.from_numpy(listing.labels)
    indices = np.arange(len(labels))
    return Photographs(listing, indices, labels, side=24, crop=0.875, skip=skip, workers=workers)


def training(images: Photographs, options: AugmentationOptions = CROP, **changes: object) -> StreamedBatches:
    settings = {"mean": MEAN, "std": STD, "order_seed": 1, "augmentation": options, "augment_seed": 2, **changes}
    return StreamedBatches(images, 4, **settings)  # type: ignore[arg-type]


def assert_same(one: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]]) -> None:
    assert len(one) == len(other) > 0
    for (x, y, *_), (u, v, *_) in zip(one, other, strict=True):
        assert torch.equal(x, u)
        assert torch.equal(y, v)


def test_training_batches(folder: Path) -> None:
    batches = training(photographs(folder))
    seen = list(batches.epoch(0))
    assert len(seen) == batches.batches_per_epoch == 5
    for x, y, _ in seen:
        assert (x.shape, x.dtype, y.dtype) == ((4, 3, 24, 24), torch.float32, torch.int64)
        assert x.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(seen[0][0], next(batches.epoch(1))[0])


def test_shares_together_are_the_whole_batch(folder: Path) -> None:
    images = photographs(folder)
    shares = [list(training(images, share=Share(part, 2)).epoch(2)) for part in range(2)]
    joined = [(torch.cat((x, u)), torch.cat((y, v))) for (x, y, *_), (u, v, *_) in zip(*shares, strict=True)]
    assert_same(joined, list(training(images).epoch(2)))


def test_evaluation_is_the_centre_of_each_in_order(folder: Path) -> None:
    images = photographs(folder)
    seen = list(StreamedBatches(images, 4, mean=MEAN, std=STD).epoch(0))
    assert torch.equal(torch.cat([y for _, y, *_ in seen]), images.labels)
    with Image.open(images.place(13)) as image:
        side = round(min(image.size) * 0.875)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        cut = image.crop((left, top, left + side, top + side)).resize((24, 24), Image.Resampling.BILINEAR)
    expected = normalise(torch.from_numpy(np.array(cut)).permute(2, 0, 1)[None], MEAN, STD)
    assert (torch.cat([x for x, *_ in seen])[13] - expected[0]).abs().max() <= 1.01 / 255 / min(STD)


def test_batches_are_the_same_whatever_the_workers_and_the_start(folder: Path) -> None:
    alone = training(photographs(folder))
    whole = [list(alone.epoch(epoch)) for epoch in range(2)]
    helped = training(photographs(folder, workers=2))
    for epoch in range(2):
        assert_same(list(helped.epoch(epoch)), whole[epoch])
    interrupted = helped.epoch(0)
    next(interrupted)
    assert_same(list(helped.epoch(1, start=2)), whole[1][2:])  # the same workers, in the middle of other work
    assert_same([helped.at(step) for step in (3, 4, 5, 6, 1)], [*whole[0][3:], *whole[1][:2], whole[0][1]])
    assert_same(list(helped.epoch(0)), whole[0])
    assert_same([helped.at(2)], [whole[0][2]])
    assert list(helped.epoch(0, start=5)) == []


def test_workers_are_the_trainings_own_children_whatever_python_starts_by_default(folder: Path) -> None:
    usual = multiprocessing.get_start_method()
    multiprocessing.set_start_method("forkserver", force=True)  # Python 3.14's default
    try:
        helped = list(training(photographs(folder, workers=2)).epoch(1))
    finally:
        multiprocessing.set_start_method(usual, force=True)
    assert_same(helped, list(training(photographs(folder)).epoch(1)))


def test_photographs_reach_a_worker_that_is_spawned(folder: Path) -> None:
    images = photographs(folder)
    reached = pickle.loads(pickle.dumps(images))
    assert_same(list(training(reached).epoch(0)), list(training(images).epoch(0)))


def test_a_crop_is_the_photographs_own_and_not_the_batchs(folder: Path) -> None:
    images = photographs(folder)
    by_label = {}
    for batch_size in (4, 7):
        numbered = replace(images, labels=torch.arange(len(images)))  # labels that tell which it is
        batches = StreamedBatches(
            numbered, batch_size, mean=MEAN, std=STD, order_seed=1, augmentation=CROP, augment_seed=2
        )
        by_label[batch_size] = {int(n): x[i] for x, y, _ in batches.epoch(3) for i, n in enumerate(y)}
    shared = by_label[4].keys() & by_label[7].keys()
    assert len(shared) > 15
    assert all(torch.equal(by_label[4][n], by_label[7][n]) for n in shared)


def test_half_the_photographs_are_mirrored(folder: Path) -> None:
    images = photographs(folder)
    plain = training(images, replace(CROP, flip=False))
    mirrored = 0
    for (x, *_), (u, *_) in zip(training(images).epoch(0), plain.epoch(0), strict=True):
        for one, other in zip(x, u, strict=True):
            assert torch.equal(one, other) or torch.equal(one, other.flip(2))
            mirrored += not torch.equal(one, other)
    assert 5 <= mirrored <= 15


def test_the_rest_of_the_augmentation_is_that_of_the_place(folder: Path) -> None:
    images = photographs(folder)
    options = replace(CROP, colour_jitter=0.4, lighting=0.1, cutout=5)
    rest = replace(options, crop_padding=0, resized_crop_area=None, flip=False)
    fill = torch.tensor([128, 102, 76], dtype=torch.uint8)
    identity: dict[str, Any] = {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}
    for number, ((x, *_), (u, *_)) in enumerate(
        zip(training(images, options).epoch(1), training(images, **identity).epoch(1), strict=True)
    ):
        generator = torch.Generator().manual_seed(derive(2, 1, number))
        expected = normalise(augment(u.round().to(torch.uint8), rest, fill, generator), MEAN, STD)
        assert torch.equal(x, expected)


def test_images_grow_with_the_epochs(folder: Path) -> None:
    batches = training(photographs(folder), sides=growing_sides((8, 12), 3))
    assert [next(batches.epoch(epoch))[0].shape[-1] for epoch in range(4)] == [8, 8, 12, 12]
    assert growing_sides((128, 176, 224), 7) == (128, 128, 128, 176, 176, 224, 224)
    assert growing_sides((1, 2, 3), 2) == (1, 2)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_photograph_is_named(folder: Path, workers: int) -> None:
    broken = folder / "b" / "005.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    message = rf"^{re.escape(str(broken))}: cannot decode the image \(.*\); --data.on_error skip"
    with pytest.raises(InputError, match=message):
        list(training(photographs(folder, workers=workers)).epoch(0))
    with pytest.raises(InputError, match=message):
        list(StreamedBatches(photographs(folder, workers=workers), 4, mean=MEAN, std=STD).epoch(0))
    broken.unlink()
    broken.touch()
    with pytest.raises(InputError, match=r"005.jpg: cannot decode the image \(cannot identify image file"):
        list(training(photographs(folder, workers=workers)).epoch(0))


def test_a_damaged_photograph_gives_its_place_to_the_next(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = torch.arange(23)
    whole = replace(photographs(folder), labels=numbers)
    first = [y.tolist() for _, y, *_ in training(whole).epoch(0)]
    for name in ("b/000.jpg", "b/001.jpg", "b/011.jpg"):  # numbers 11, 12 and the last, 22
        (folder / name).write_bytes(b"broken")
    for workers in (0, 2):
        damaged = replace(photographs(folder, skip=True, workers=workers), labels=numbers)
        batches = training(damaged)
        expected = [[{11: 13, 12: 13, 22: 0}.get(n, n) for n in batch] for batch in first]
        assert [y.tolist() for _, y, *_ in batches.epoch(0)] == expected
        assert [y.tolist() for _, y, *_ in batches.epoch(0)] == expected
        list(batches.epoch(1))
        assert damaged.damaged == {11, 12, 22}
        warnings = capsys.readouterr().err.splitlines()
        assert len(warnings) == 3
        assert all(re.match(r"truelift: warning: skipped .*b/0\d\d.jpg: cannot identify image", w) for w in warnings)


def test_evaluation_leaves_damaged_ones_out(folder: Path) -> None:
    for i in range(4, 8):  # a whole batch
        (folder / "a" / f"{i:03}.jpg").write_bytes(b"")
    images = replace(photographs(folder, skip=True), labels=torch.arange(23))
    seen = [y.tolist() for _, y, *_ in StreamedBatches(images, 4, mean=MEAN, std=STD).epoch(0)]
    assert seen == [[0, 1, 2, 3], [8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19], [20, 21, 22]]
    assert images.damaged == {4, 5, 6, 7}


def test_what_only_pillow_bears_has_the_same_box(folder: Path) -> None:
    images = photographs(folder)
    for number in range(0, 23, 2):
        file = Path(images.place(number))
        encoded = file.read_bytes()
        middle = len(encoded) * 2 // 3
        file.write_bytes(encoded[:middle] + bytes(20) + encoded[middle + 20 :])
    seen = [list(training(images).epoch(epoch)) for epoch in range(3)]
    with without_simplejpeg():
        for epoch, batches in enumerate(seen):
            assert_same(list(training(images).epoch(epoch)), batches)


def test_nothing_but_damaged_photographs(folder: Path) -> None:
    for file in folder.rglob("*.jpg"):
        file.write_bytes(b"broken")
    images = photographs(folder, skip=True)
    with pytest.raises(InputError, match=r"100 images one after the other cannot be decoded, the first is .*jpg"):
        list(training(images).epoch(0))
    with pytest.raises(InputError, match=r"none of 23 images can be decoded, the first is .*a/000.jpg"):
        list(StreamedBatches(images, 4, mean=MEAN, std=STD).epoch(0))
    with pytest.raises(InputError, match="the training images must be images that can be decoded"):
        images.histogram()


def test_histogram_is_that_of_the_centres(folder: Path) -> None:
    images = photographs(folder)
    batches = StreamedBatches(images, 23, mean=(0.0,) * 3, std=(1 / 255,) * 3)
    pixels = next(batches.epoch(0))[0]
    for channel, counts in enumerate(images.histogram()):
        assert torch.equal(counts, pixels[:, channel].flatten().long().bincount(minlength=256))


def test_an_error_in_the_middle_leaves_the_batches_usable(folder: Path) -> None:
    whole = list(training(photographs(folder)).epoch(1))
    batches = training(photographs(folder, workers=2))
    with pytest.raises(InputError, match=r"start must be in 0..5, got 6"):
        batches.epoch(0, start=6)
    file = folder / "b" / "005.jpg"
    content = file.read_bytes()
    file.write_bytes(b"")
    with pytest.raises(InputError, match="cannot decode"):
        list(batches.epoch(0))
    file.write_bytes(content)
    assert_same(list(batches.epoch(1)), whole)


def test_the_global_generator_is_left_alone(folder: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    list(training(photographs(folder, workers=1)).epoch(0))
    assert torch.equal(torch.rand(1), expected)


def test_an_augmentation_that_does_not_fit_is_refused_at_once(folder: Path) -> None:
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        StreamedBatches(photographs(folder), 0, mean=MEAN, std=STD)


def test_streams_are_always_cropped_at_random() -> None:
    resolved = resolve_augmentation(AugmentationOptions(), "imagenet", stream=True)
    assert (resolved.crop_padding, resolved.resized_crop_area, resolved.flip) == (0, 0.08, True)
    assert resolve_augmentation(replace(resolved, resized_crop_area=0.3), "x", stream=True).resized_crop_area == 0.3
    with pytest.raises(InputError, match=r"augmentation.crop_padding must be left out with data.stream, got 4"):
        resolve_augmentation(AugmentationOptions(crop_padding=4), "imagenet", stream=True)
    with pytest.raises(InputError, match=r"augmentation.views must be left out with data.stream, got 2"):
        resolve_augmentation(AugmentationOptions(views=2), "imagenet", stream=True)


def test_what_needs_all_images_at_once_is_refused(folder: Path) -> None:
    images = photographs(folder)
    splits = Splits(images, None, images, ("a", "b"), 0)
    for name in ("mean-image", "zca"):
        with pytest.raises(InputError, match=f"preprocessing.name must be channels or none with .*, got {name}"):
            fit_preprocessing(PreprocessingOptions(name=name), splits)
    with pytest.raises(InputError, match=r"data.stream must be false for tasks.auxiliary_rotation"):
        rotate(images, 30)


def test_tasks_from_the_classes_of_a_stream(folder: Path) -> None:
    images = photographs(folder)
    splits = Splits(images, None, images, ("a", "b"), 0)
    task = pick_task(splits, ["b", "a"], seed=0)
    assert (task.train.labels.tolist(), task.classes) == ([1] * 11 + [0] * 12, ("b", "a"))
    against = pick_task(splits, ["a"], seed=0)
    assert torch.bincount(against.train.labels).tolist() == [11, 11]
    assert next(StreamedBatches(against.train, 4, mean=MEAN, std=STD).epoch(0))[0].shape == (4, 3, 24, 24)  # type: ignore[arg-type]


def test_alternating_flips_are_those_of_the_photograph_and_the_epoch(folder: Path) -> None:
    images = replace(photographs(folder), labels=torch.arange(23))
    plain, alternating = replace(CROP, flip=False), replace(CROP, alternating_flip=True)
    shown: list[dict[int, bool]] = []
    for epoch in range(3):
        boxes, crops = (by_number(training(images, options), epoch) for options in (plain, alternating))
        shown.append({number: torch.equal(crop, boxes[number].flip(2)) for number, crop in crops.items()})
        assert all(shown[-1][number] or torch.equal(crop, boxes[number]) for number, crop in crops.items())
    often = shown[0].keys() & shown[1].keys() & shown[2].keys()
    assert len(often) > 10
    assert all(shown[0][number] == shown[2][number] != shown[1][number] for number in often)
    assert 3 < sum(shown[0].values()) < 18


def by_number(batches: StreamedBatches, epoch: int) -> dict[int, Tensor]:
    """The images of an epoch by their labels."""
    images, labels = (torch.cat(parts) for parts in list(zip(*batches.epoch(epoch), strict=True))[:2])
    return dict(zip(labels.tolist(), images, strict=True))
