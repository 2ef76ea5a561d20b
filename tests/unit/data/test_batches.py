from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from truelift.data.augment import augment, normalise
from truelift.data.augmentations import AugmentationOptions
from truelift.data.batches import Batches
from truelift.data.dataset import ImageSet
from truelift.data.order import Share
from truelift.errors import InputError
from truelift.seeds import derive

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
OPTIONS = AugmentationOptions(crop_padding=2, flip=True, cutout=3)


def image_set(n: int) -> ImageSet:
    pixels = torch.randint(0, 256, (n, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return ImageSet(pixels.permute(0, 3, 1, 2), torch.arange(n))


def training(n: int = 50, order_seed: int = 1, augment_seed: int = 2) -> Batches:
    return Batches(
        image_set(n), 8, mean=MEAN, std=STD, order_seed=order_seed, augmentation=OPTIONS, augment_seed=augment_seed
    )


@pytest.mark.parametrize("parts", [2, 4])
def test_shares_together_are_the_whole_batch(parts: int) -> None:
    def batches(**share: Share) -> Batches:
        settings = {"order_seed": 1, "augmentation": OPTIONS, "augment_seed": 2}
        return Batches(image_set(50), 8, mean=MEAN, std=STD, **settings, **share)  # type: ignore[arg-type]

    shares = [list(batches(share=Share(part, parts)).epoch(3, start=1)) for part in range(parts)]
    joined = [
        (torch.cat([x for x, *_ in together]), torch.cat([y for _, y, *_ in together]))
        for together in zip(*shares, strict=True)
    ]
    assert_same(joined, list(batches().epoch(3, start=1)))


def labels(batches: Batches, epoch: int) -> list[int]:
    return [label for _, y, *_ in batches.epoch(epoch) for label in y.tolist()]


def assert_same(one: Sequence[Sequence[Any]], other: Sequence[Sequence[Any]]) -> None:
    assert len(one) == len(other) > 0
    for (x, y, *_), (u, v, *_) in zip(one, other, strict=True):
        assert torch.equal(x, u)
        assert torch.equal(y, v)


def test_evaluation_yields_each_image_once_in_order() -> None:
    data = image_set(20)
    batches = Batches(data, 8, mean=MEAN, std=STD)
    result = list(batches.epoch(0))
    assert [len(y) for _, y, *_ in result] == [8, 8, 4]
    assert batches.batches_per_epoch == 3
    assert torch.equal(torch.cat([y for _, y, *_ in result]), torch.arange(20))
    assert torch.equal(torch.cat([x for x, *_ in result]), normalise(data.images, MEAN, STD))


def test_training_drops_the_partial_batch() -> None:
    batches = training(50)
    assert [len(y) for _, y, *_ in batches.epoch(0)] == [8] * 6 == [8] * batches.batches_per_epoch
    assert len(set(labels(batches, 0))) == 48


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    assert sorted(labels(training(5), 0)) == [0, 1, 2, 3, 4]
    assert training(5).batches_per_epoch == 1


def test_orders_differ_by_epoch_and_seed_and_only_by_them() -> None:
    orders = [labels(training(order_seed=seed), epoch) for seed in (1, 2) for epoch in (0, 1)]
    assert len(set(map(tuple, orders))) == 4
    assert labels(training(order_seed=1, augment_seed=99), 0) == orders[0]


def test_resuming_in_the_middle_is_exact() -> None:
    undisturbed = [*training().epoch(0), *training().epoch(1)]
    interrupted = training()
    first = [*interrupted.epoch(0)]
    part = interrupted.epoch(1)
    second = [next(part) for _ in range(2)]
    resumed = list(training().epoch(1, start=2))
    assert_same([*first, *second, *resumed], undisturbed)
    assert list(training().epoch(1, start=training().batches_per_epoch)) == []


def test_augmentation_is_that_of_the_place() -> None:
    data, batches = image_set(50), training()
    for number, (x, y, _) in enumerate(batches.epoch(3)):
        drawn = torch.Generator().manual_seed(derive(2, 3, number))
        fill = torch.tensor([128, 102, 76], dtype=torch.uint8)  # 255 * MEAN = 127.5 (to even: 128), 102, 76.5 (to 76)
        expected = normalise(augment(data.subset(y).images, OPTIONS, fill, drawn), MEAN, STD)
        assert torch.equal(x, expected)


def test_augmentation_differs_between_batches_and_epochs() -> None:
    # One image over and over: only the augmentation can tell the batches apart.
    one = ImageSet(image_set(1).images.expand(16, -1, -1, -1), torch.zeros(16, dtype=torch.int64))
    batches = Batches(one, 8, mean=MEAN, std=STD, order_seed=0, augmentation=OPTIONS, augment_seed=0)
    seen = [x for epoch in range(2) for x, *_ in batches.epoch(epoch)]
    assert not any(torch.equal(x, y) for x, y in pairwise(seen))


def test_format() -> None:
    x, y, _ = next(training().epoch(0))
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.shape == (8, 3, 8, 8)


@pytest.mark.parametrize("start", [-1, 7])
def test_start_out_of_range_is_refused_at_once(start: int) -> None:
    with pytest.raises(InputError, match=rf"start must be in 0..6, got {start}"):
        training().epoch(0, start=start)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        Batches(image_set(3), 0, mean=MEAN, std=STD)
    with pytest.raises(InputError, match="at least one image, got 0"):
        Batches(image_set(0), 1, mean=MEAN, std=STD)
    with pytest.raises(InputError, match="must be given together"):
        Batches(image_set(3), 1, mean=MEAN, std=STD, augmentation=OPTIONS)


def test_an_augmentation_that_does_not_fit_the_images_is_refused_at_once() -> None:
    grey = ImageSet(image_set(3).images[:, :1], torch.arange(3))
    options = AugmentationOptions(crop_padding=0, flip=False, lighting=0.1)
    with pytest.raises(InputError, match=r"augmentation.lighting above 0 needs images of 3 channels, got 1"):
        Batches(grey, 1, mean=MEAN[:1], std=STD[:1], augmentation=options, augment_seed=0)


def with_views(views: int) -> Batches:
    options = AugmentationOptions(crop_padding=2, flip=True, cutout=3, views=views)
    return Batches(image_set(40), 8, mean=MEAN, std=STD, order_seed=1, augmentation=options, augment_seed=2)


def by_label(batches: Batches, epoch: int) -> Tensor:
    """The images of an epoch in stored order."""
    images, labels = (torch.cat(parts) for parts in list(zip(*batches.epoch(epoch), strict=True))[:2])
    return images[labels.argsort()]


def test_views_return_in_turn_in_another_order() -> None:
    batches = with_views(2)
    shown = [by_label(batches, epoch) for epoch in range(4)]
    assert torch.equal(shown[0], shown[2])
    assert torch.equal(shown[1], shown[3])
    assert not torch.equal(shown[0], shown[1])
    assert labels(batches, 0) != labels(batches, 2)
    assert [batches.view(epoch) for epoch in range(4)] == [0, 1, 0, 1]
    assert not torch.equal(shown[0], normalise(image_set(40).images, MEAN, STD))


def test_stored_images_are_those_of_the_epoch_in_stored_order() -> None:
    for batches in (with_views(2), Batches(image_set(40), 8, mean=MEAN, std=STD, order_seed=1)):
        for epoch in (0, 1):
            assert torch.equal(torch.cat(list(batches.stored(epoch))), by_label(batches, epoch))


def test_indices_are_those_of_the_epochs_batches() -> None:
    batches = training(50)
    shown = list(batches.epoch(3, start=2))
    found = list(batches.indices(3, start=2))
    assert len(shown) == len(found) == 4
    for (_, wanted, _), (indices, y) in zip(shown, found, strict=True):
        assert torch.equal(wanted, y)
        assert torch.equal(image_set(50).labels[indices], y)


def mirrored(batches: Batches, epoch: int, start: int = 0) -> dict[int, bool]:
    """Which images an epoch shows mirrored, by label."""
    found = {}
    for x, y, _ in batches.epoch(epoch, start):
        stored = normalise(image_set(50).images[y], MEAN, STD)
        for image, label, once in zip(x, y.tolist(), stored, strict=True):
            found[label] = torch.equal(image, once.flip(2))
            assert found[label] or torch.equal(image, once)
    return found


@pytest.mark.parametrize("views", [None, 2])
def test_alternating_flips_are_those_of_the_image_and_the_epoch(views: int | None) -> None:
    options = AugmentationOptions(crop_padding=0, flip=True, alternating_flip=True, views=views)

    def made() -> Batches:
        return Batches(image_set(50), 8, mean=MEAN, std=STD, order_seed=1, augmentation=options, augment_seed=2)

    shown = [mirrored(made(), epoch) for epoch in range(4)]
    assert 10 < sum(shown[0].values()) < 40
    for one, other in pairwise(shown):  # each epoch leaves two of the fifty out
        assert all(one[label] != other[label] for label in one.keys() & other.keys())
    assert all(shown[0][label] == shown[2][label] for label in shown[0].keys() & shown[2].keys())
    later = mirrored(made(), 3, start=2)
    assert later.items() <= shown[3].items()


def test_images_that_grow() -> None:
    def made(sides: tuple[int, ...]) -> Batches:
        data = image_set(50)
        return Batches(data, 8, mean=MEAN, std=STD, order_seed=1, augmentation=OPTIONS, augment_seed=2, sides=sides)

    small, own = made((4, 6, 8)), made(())
    assert [next(small.epoch(epoch)).images.shape[2:] for epoch in range(4)] == [(4, 4), (6, 6), (8, 8), (8, 8)]
    halved, whole = next(small.epoch(0)), next(own.epoch(0))
    assert torch.equal(halved.labels, whole.labels)
    # Halved: a triangle of 4 pixels a side over each, of weights 1, 3, 3, 1 (of 8) inside the image.
    weights = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    inner = torch.einsum("nchw,h,w->nc", whole.images[:, :, 1:5, 3:7], weights, weights)
    torch.testing.assert_close(halved.images[:, :, 1, 2], inner, rtol=1e-4, atol=1e-5)
    assert halved.images.is_contiguous(memory_format=torch.channels_last)
    assert_same(list(small.epoch(3)), list(own.epoch(3)))
    resumed = list(made((4, 6, 8)).epoch(1, start=2))
    assert_same(resumed, list(small.epoch(1))[2:])


def test_images_do_not_grow_beyond_their_size() -> None:
    with pytest.raises(InputError, match=r"data.progressive must be at most the images' 8, got 9"):
        Batches(image_set(9), 4, mean=MEAN, std=STD, sides=(4, 9))
    oblong = ImageSet(image_set(9).images[:, :, :6], torch.arange(9))
    with pytest.raises(InputError, match=r"data.progressive must be left out where images are not square, got 8x6"):
        Batches(oblong, 4, mean=MEAN, std=STD, sides=(4, 6))
    assert Batches(oblong, 4, mean=MEAN, std=STD, sides=(6,)).images == 9
