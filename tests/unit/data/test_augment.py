"""The batched functions against plain loops over images, fed with the same draws."""

import pytest
import torch
from torch import Tensor

from truelift.data.augment import augment, cutout, normalise, random_crop, random_flip
from truelift.data.named import defaults, resolve_augmentation
from truelift.data.options import AugmentationOptions
from truelift.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 64, channels: int = 3, height: int = 8, width: int = 7) -> Tensor:
    pixels = torch.randint(1, 256, (n, height, width, channels), dtype=torch.uint8, generator=generator(9))
    return pixels.permute(0, 3, 1, 2)


def is_channels_last(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("padding", [1, 4, 6])
def test_crop_against_a_loop(channels: int, padding: int) -> None:
    images = batch(channels=channels)
    n, _, height, width = images.shape
    drawn = generator()
    top = torch.randint(2 * padding + 1, (n,), generator=drawn)
    left = torch.randint(2 * padding + 1, (n,), generator=drawn)
    expected = torch.zeros_like(images)
    for i in range(n):
        for y in range(height):
            for x in range(width):
                from_y, from_x = y + int(top[i]) - padding, x + int(left[i]) - padding
                if 0 <= from_y < height and 0 <= from_x < width:
                    expected[i, :, y, x] = images[i, :, from_y, from_x]
    cropped = random_crop(images, padding, generator())
    assert torch.equal(cropped, expected)
    assert is_channels_last(cropped)
    assert len(set(top.tolist())) > 1
    assert len(set(left.tolist())) > 1


def test_crop_takes_every_place() -> None:
    image = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    image[0, 0, 1, 1] = 7  # its place after the crop tells the offset
    crops = random_crop(image.expand(400, -1, -1, -1), 1, generator())
    places = crops.flatten(1).argmax(1)
    assert (crops.flatten(1).amax(1) == 7).all()
    assert torch.bincount(places, minlength=9).min() > 20  # 44 expected, each over 3.5 deviations from 20


def test_crop_of_images_that_are_not_channels_last() -> None:
    images = batch()
    assert torch.equal(random_crop(images.contiguous(), 2, generator()), random_crop(images, 2, generator()))


@pytest.mark.parametrize("padding", [-1, 7, 8])
def test_crop_refuses_padding_beyond_the_side(padding: int) -> None:
    with pytest.raises(InputError, match=rf"augmentation.crop_padding must be in 0..6 .* got {padding}"):
        random_crop(batch(), padding, generator())


def test_flip_against_a_loop() -> None:
    images = batch()
    mirrored = torch.randint(2, (len(images),), generator=generator())
    expected = torch.stack([x.flip(2) if m else x for x, m in zip(images, mirrored, strict=True)])
    flipped = random_flip(images, generator())
    assert torch.equal(flipped, expected)
    assert is_channels_last(flipped)
    assert 20 < mirrored.sum() < 44  # of 64


@pytest.mark.parametrize("side", [1, 3, 4, 20])
def test_cutout_against_a_loop(side: int) -> None:
    images = batch()
    n, _, height, width = images.shape
    fill = torch.tensor([10, 0, 200], dtype=torch.uint8)
    drawn = generator()
    row = torch.randint(height, (n,), generator=drawn).tolist()
    column = torch.randint(width, (n,), generator=drawn).tolist()
    expected = images.clone()
    for i in range(n):
        top, left = row[i] - side // 2, column[i] - side // 2
        for y in range(max(top, 0), min(top + side, height)):
            for x in range(max(left, 0), min(left + side, width)):
                expected[i, :, y, x] = fill
    assert torch.equal(cutout(images, side, fill, generator()), expected)


def test_augment_is_crop_then_flip_then_cutout() -> None:
    images, fill, one = batch(), torch.zeros(3, dtype=torch.uint8), generator()
    options = AugmentationOptions(crop_padding=2, flip=True, cutout=3)
    expected = cutout(random_flip(random_crop(images, 2, one), one), 3, fill, one)
    result = augment(images, options, fill, generator())
    assert torch.equal(result, expected)
    assert is_channels_last(result)


def test_augment_of_nothing_draws_nothing() -> None:
    one, images = generator(), batch()
    result = augment(images, AugmentationOptions(crop_padding=0, flip=False), torch.zeros(3, dtype=torch.uint8), one)
    assert torch.equal(result, images)
    assert torch.equal(one.get_state(), generator().get_state())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-7)])
def test_normalise_against_float64(dtype: torch.dtype, tolerance: float) -> None:
    images, mean, std = batch(), (0.1, 0.5, 0.45), (0.2, 0.01, 0.3)
    reference = (images.double() / 255 - torch.tensor(mean).double().view(1, 3, 1, 1)) / (
        torch.tensor(std).double().view(1, 3, 1, 1)
    )
    result = normalise(images, mean, std, dtype)
    assert result.dtype is dtype
    assert is_channels_last(result)
    torch.testing.assert_close(result.double(), reference, rtol=tolerance, atol=2e-5)


def test_inputs_are_left_alone() -> None:
    images = batch()
    before = images.clone()
    options = AugmentationOptions(crop_padding=2, flip=True, cutout=3)
    normalise(augment(images, options, torch.zeros(3, dtype=torch.uint8), generator()), (0.5,) * 3, (0.5,) * 3)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("name", "padding", "flip"),
    [
        ("digits", 1, False),
        ("mnist", 2, False),
        ("cifar10", 4, True),
        ("cifar100", 4, True),
        ("tiny-imagenet", 8, True),
        ("flowers", 4, True),
    ],
)
def test_defaults(name: str, padding: int, flip: bool) -> None:
    assert defaults(name) == AugmentationOptions(crop_padding=padding, flip=flip)
    assert resolve_augmentation(AugmentationOptions(), name) == defaults(name)


def test_what_is_given_is_kept() -> None:
    options = AugmentationOptions(crop_padding=0, flip=False, cutout=5)
    assert resolve_augmentation(options, "cifar10") == options


@pytest.mark.parametrize("options", [AugmentationOptions(crop_padding=-1), AugmentationOptions(cutout=-1)])
def test_negative_options_are_refused(options: AugmentationOptions) -> None:
    with pytest.raises(InputError, match=r"augmentation.(crop_padding|cutout) must be at least 0, got -1"):
        resolve_augmentation(options, "cifar10")
