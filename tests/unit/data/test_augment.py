"""The batched functions against plain loops over images or against PIL, fed with the same draws."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from truelift.data.augment import (
    alternating,
    augment,
    colour_jitter,
    cutout,
    flip_where,
    lighting,
    normalise,
    random_crop,
    random_flip,
    resized_crop,
)
from truelift.data.augmentations import AugmentationOptions
from truelift.data.named import defaults, resolve_augmentation
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


def photo(height: int = 24, width: int = 30) -> Tensor:
    """Smooth colours, so that an image's values tell where in it they come from; uint8 (1, 3, H, W)."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([20 + 200 * y, 250 * x, 128 + 100 * torch.sin(5 * x * y)], 2).byte().permute(2, 0, 1)[None]


def pil(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).int()


def furthest(images: Tensor, expected: list[Tensor]) -> int:
    """The largest difference between a batch and its images one by one."""
    return int((images.int() - torch.stack(expected)).abs().max())


@pytest.mark.parametrize("size", [(24, 24), (24, 30), (9, 31)])
@pytest.mark.parametrize("least_area", [0.08, 0.9])
def test_resized_crop_against_pil(size: tuple[int, int], least_area: float) -> None:
    height, width = size
    images = torch.cat([photo(*size), batch(1, 3, *size)]).repeat(30, 1, 1, 1)
    drawn = generator()
    area, shape, row, column = (torch.rand(60, generator=drawn).double().tolist() for _ in range(4))
    expected = []
    for i in range(60):
        s = least_area + (1 - least_area) * area[i]
        bound = min(4 / 3, 1 / s)
        r = bound ** (2 * shape[i] - 1)
        h, w = height * math.sqrt(s / r), width * math.sqrt(s * r)
        left, top = column[i] * (width - w), row[i] * (height - h)
        box = (left, top, min(left + w, width), min(top + h, height))
        expected.append(pixels(pil(images[i]).resize((width, height), Image.Resampling.BILINEAR, box=box)))
    cropped = resized_crop(images, least_area, generator())
    assert cropped.dtype is torch.uint8
    assert is_channels_last(cropped)
    assert furthest(cropped, expected) <= 1  # PIL rounds twice, after rows and after columns


def test_resized_crop_draws_the_areas_and_shapes_it_says() -> None:
    # Each axis is a ramp, so the step between neighbours in the crop is the box's share of that axis.
    ramp = torch.linspace(0, 255, 64).round().byte()
    image = torch.stack([ramp[:, None].expand(64, 64), ramp[None, :].expand(64, 64)])[None]
    crops = resized_crop(image.expand(4000, -1, -1, -1), 0.25, generator()).double()
    between = 255 * 61 / 63  # the second pixel and the last but one: 61 steps of the image's 63
    down = (crops[:, 0, -2] - crops[:, 0, 1]).mean(1) / between
    across = (crops[:, 1, :, -2] - crops[:, 1, :, 1]).mean(1) / between
    area, shape = down * across, across / down
    assert area.min() > 0.24
    assert area.max() < 1.02
    assert area.mean() == pytest.approx(0.625, abs=0.02)  # uniform in [0.25, 1]: standard error 0.0034
    assert shape.min() > 0.73
    assert shape.max() < 1.37
    free = shape[area < 0.7].log()  # where every shape fits, as likely wide as tall
    assert free.mean() == pytest.approx(0, abs=0.02)
    assert free.std() == pytest.approx(math.log(4 / 3) / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_resized_crop_of_the_whole_is_the_image(channels: int) -> None:
    images = batch(channels=channels)
    cropped = resized_crop(images, 1.0, generator())
    assert torch.equal(cropped, images)
    assert is_channels_last(cropped)


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_colour_jitter_against_pil(strength: float) -> None:
    images = torch.cat([photo(8, 7), batch(1)]).repeat(20, 1, 1, 1)
    drawn = generator()
    factors = [(1 - strength + 2 * strength * torch.rand(40, generator=drawn)).tolist() for _ in range(3)]
    expected = []
    for image, *of_image in zip(images, *factors, strict=True):
        changed = pil(image)
        for kind, factor in zip(
            (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), of_image, strict=True
        ):
            changed = kind(changed).enhance(factor)
        expected.append(pixels(changed))
    jittered = colour_jitter(images, strength, generator())
    assert jittered.dtype is torch.uint8
    assert is_channels_last(jittered)
    # PIL cuts to whole numbers after each of three changes, and later factors of up to 2 double what that costs.
    assert furthest(jittered, expected) <= 4
    assert furthest(images, expected) > 60


def test_colour_jitter_by_hand() -> None:
    b, c, s = (0.5 + torch.rand(3, 1, generator=generator())).flatten().tolist()
    image = torch.tensor([[10, 20], [30, 40], [50, 60]], dtype=torch.uint8).view(1, 3, 1, 2)
    x = [[b * value for value in pixel] for pixel in ((10, 30, 50), (20, 40, 60))]  # two pixels, nothing near 0 or 255
    grey = [0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in x]
    m = sum(grey) / 2
    x = [[m + c * (value - m) for value in pixel] for pixel in x]
    grey = [0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in x]
    x = [[g + s * (value - g) for value in pixel] for g, pixel in zip(grey, x, strict=True)]
    expected = torch.tensor(x).round().T.view(1, 3, 1, 2).byte()
    assert torch.equal(colour_jitter(image, 0.5, generator()), expected)


def test_lighting_against_a_loop() -> None:
    images = batch()
    drawn = torch.randn(len(images), 3, generator=generator()).tolist()
    values = (55.46, 4.794, 1.148)
    red, green, blue = (-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203)
    expected = []
    for image, a in zip(images, drawn, strict=True):
        colour = [sum(0.5 * a[i] * values[i] * row[i] for i in range(3)) for row in (red, green, blue)]
        lit = image.double() + torch.tensor(colour).double().view(3, 1, 1)
        expected.append(lit.round().clamp(0, 255).int())
    lit = lighting(images, 0.5, generator())
    assert lit.dtype is torch.uint8
    assert is_channels_last(lit)
    assert furthest(lit, expected) == 0


def test_lighting_has_the_covariance_of_the_principal_components() -> None:
    grey = torch.full((20000, 3, 1, 1), 128, dtype=torch.uint8)
    colours = lighting(grey, 0.5, generator()).double().flatten(1) - 128
    covariance = colours.T.cov()
    values, vectors = torch.linalg.eigh(covariance)
    # The first component is nearly all there is: a common brightness with a standard deviation of 0.5 * 55.46.
    assert values[-1].sqrt() == pytest.approx(27.73, rel=0.02)
    assert vectors[:, -1].abs().tolist() == pytest.approx([0.5675, 0.5808, 0.5836], abs=0.01)
    assert values[-2].sqrt() == pytest.approx(math.hypot(0.5 * 4.794, 1 / math.sqrt(12)), rel=0.03)  # and rounding


@pytest.mark.parametrize("change", [colour_jitter, lighting])
@pytest.mark.parametrize("channels", [1, 4])
def test_colours_are_needed(change: Callable[..., Tensor], channels: int) -> None:
    message = rf"augmentation.{change.__name__} above 0 needs images of 3 channels, got {channels}"
    with pytest.raises(InputError, match=message):
        change(batch(channels=channels), 0.1, generator())


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


def test_augment_with_every_colour() -> None:
    images, fill, one = batch(), torch.zeros(3, dtype=torch.uint8), generator()
    options = AugmentationOptions(
        crop_padding=0, resized_crop_area=0.3, flip=True, colour_jitter=0.4, lighting=0.1, cutout=3
    )
    expected = random_flip(resized_crop(images, 0.3, one), one)
    expected = cutout(lighting(colour_jitter(expected, 0.4, one), 0.1, one), 3, fill, one)
    result = augment(images, options, fill, generator())
    assert torch.equal(result, expected)
    assert is_channels_last(result)


def test_augment_of_nothing_draws_nothing() -> None:
    one, images = generator(), batch()
    result = augment(images, AugmentationOptions(crop_padding=0, flip=False), torch.zeros(3, dtype=torch.uint8), one)
    assert torch.equal(result, images)
    assert torch.equal(one.get_state(), generator().get_state())


def test_normalise_against_float64() -> None:
    images, mean, std = batch(), (0.1, 0.5, 0.45), (0.2, 0.01, 0.3)
    reference = (images.double() / 255 - torch.tensor(mean).double().view(1, 3, 1, 1)) / (
        torch.tensor(std).double().view(1, 3, 1, 1)
    )
    result = normalise(images, mean, std)
    assert result.dtype is torch.float32
    assert is_channels_last(result)
    torch.testing.assert_close(result.double(), reference, rtol=1e-6, atol=2e-5)


def test_large_batches_are_normalised_as_each_image_by_itself() -> None:
    images = torch.randint(0, 256, (7, 3, 300, 280), dtype=torch.uint8, generator=generator())  # two fit at a time
    mean, std = (0.1, 0.5, 0.45), (0.2, 0.01, 0.3)
    whole = normalise(images.contiguous(memory_format=torch.channels_last), mean, std)
    assert is_channels_last(whole)
    assert torch.equal(whole, torch.cat([normalise(image[None], mean, std) for image in images]))


def test_inputs_are_left_alone() -> None:
    images = batch()
    before = images.clone()
    options = AugmentationOptions(
        crop_padding=2, resized_crop_area=0.3, flip=True, colour_jitter=0.4, lighting=0.1, cutout=3
    )
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


def test_a_resized_crop_takes_the_place_of_the_data_sets_crop() -> None:
    resolved = resolve_augmentation(AugmentationOptions(resized_crop_area=0.08), "cifar10")
    assert resolved == AugmentationOptions(crop_padding=0, resized_crop_area=0.08, flip=True)
    assert resolve_augmentation(resolved, "cifar10") == resolved


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (AugmentationOptions(crop_padding=-1), "crop_padding must be at least 0, got -1"),
        (AugmentationOptions(cutout=10**9), "cutout must be at most 65536, got 1000000000"),
        (AugmentationOptions(cutout=-1), "cutout must be at least 0, got -1"),
        (AugmentationOptions(resized_crop_area=0.0), r"resized_crop_area must be in \(0, 1\], got 0.0"),
        (AugmentationOptions(resized_crop_area=1.1), r"resized_crop_area must be in \(0, 1\], got 1.1"),
        (AugmentationOptions(colour_jitter=-0.1), r"colour_jitter must be in \[0, 1\], got -0.1"),
        (AugmentationOptions(colour_jitter=math.nan), r"colour_jitter must be in \[0, 1\], got nan"),
        (AugmentationOptions(lighting=-1), "lighting must be at least 0, got -1"),
        (AugmentationOptions(lighting=math.inf), "lighting must be at most 1000, got inf"),
        (
            AugmentationOptions(crop_padding=4, resized_crop_area=0.08),
            r"crop_padding must be 0, or left out, with augmentation.resized_crop_area .*, got 4",
        ),
    ],
)
def test_bad_options_are_refused(options: AugmentationOptions, message: str) -> None:
    with pytest.raises(InputError, match=f"augmentation.{message}"):
        resolve_augmentation(options, "cifar10")


@pytest.mark.parametrize("padding", [1, 2, 6])
def test_crop_by_reflection_against_numpy(padding: int) -> None:
    images = batch()
    n, _, height, width = images.shape
    drawn = generator()
    top = torch.randint(2 * padding + 1, (n,), generator=drawn)
    left = torch.randint(2 * padding + 1, (n,), generator=drawn)
    cropped = random_crop(images, padding, generator(), "reflect")
    for i in range(n):
        padded = np.pad(images[i].numpy(), ((0, 0), (padding, padding), (padding, padding)), mode="reflect")
        y, x = int(top[i]), int(left[i])
        assert (cropped[i].numpy() == padded[:, y : y + height, x : x + width]).all()
    assert is_channels_last(cropped)


def test_an_alternating_flip_shows_each_image_both_ways_in_two_epochs() -> None:
    epochs = [alternating(1000, 7, epoch) for epoch in range(4)]
    assert 420 < int(epochs[0].sum()) < 580  # 500 expected, five deviations
    assert torch.equal(epochs[1], ~epochs[0])
    assert torch.equal(epochs[2], epochs[0])
    assert torch.equal(epochs[3], epochs[1])
    assert not torch.equal(alternating(1000, 8, 0), epochs[0])


def test_what_is_mirrored_may_be_given() -> None:
    images, mirrored = batch(4), torch.tensor([True, False, False, True])
    options = AugmentationOptions(crop_padding=0, flip=True, alternating_flip=True)
    fill = torch.zeros(3, dtype=torch.uint8)
    drawn = generator()
    found = augment(images, options, fill, drawn, mirrored)
    expected = images.numpy().copy()
    expected[[0, 3]] = expected[[0, 3], :, :, ::-1]
    assert (found.numpy() == expected).all()
    assert torch.equal(found, flip_where(images, mirrored))
    assert torch.equal(drawn.get_state(), generator().get_state())  # nothing is drawn


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (AugmentationOptions(flip=False, alternating_flip=True), "alternating_flip must be false where flip is false"),
        (
            AugmentationOptions(resized_crop_area=0.5, crop_padding_mode="reflect"),
            "crop_padding_mode must be zeros with augmentation.resized_crop_area",
        ),
    ],
)
def test_options_at_odds(options: AugmentationOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_augmentation(options, "cifar10")


def test_an_alternating_flip_is_a_flip_whatever_is_customary() -> None:
    assert resolve_augmentation(AugmentationOptions(alternating_flip=True), "digits").flip
