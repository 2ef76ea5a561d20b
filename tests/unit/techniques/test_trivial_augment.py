"""TrivialAugment's operations against Pillow's, and which are drawn."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from truelift.techniques import trivial_augment as ta


def picture() -> Tensor:
    """A smooth picture with some noise, uint8 (3, 20, 24)."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:20, :24]
    values = np.stack([rows * 9 + columns, 40 + columns * 6, 200 - rows * 7], 2) + rng.integers(0, 20, (20, 24, 3))
    return torch.from_numpy(values.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)


def ours(operation: ta.Operation, m: float, x: Tensor | None = None) -> Tensor:
    images = (picture() if x is None else x)[None].float()
    return operation(images, torch.tensor([m])).round().clamp(0, 255)[0]


def pillow(change: Callable[[Image.Image], Image.Image]) -> Tensor:
    image = Image.fromarray(picture().permute(1, 2, 0).contiguous().numpy())
    return torch.from_numpy(np.array(change(image))).permute(2, 0, 1).float()


@pytest.mark.parametrize("m", [-1.0, -0.4, 0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ("operation", "enhance"),
    [
        (ta.brightness, ImageEnhance.Brightness),
        (ta.colour, ImageEnhance.Color),
        (ta.contrast, ImageEnhance.Contrast),
        (ta.sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancements_are_pillows(
    operation: ta.Operation, enhance: Callable[..., ImageEnhance._Enhance], m: float
) -> None:
    expected = pillow(lambda image: enhance(image).enhance(1 + 0.99 * m))
    assert (ours(operation, m) - expected).abs().max() <= 2  # Pillow rounds in between


def test_the_others_are_pillows() -> None:
    for m, bits in ((0.0, 8), (0.5, 5), (-1.0, 2)):
        assert torch.equal(ours(ta.posterize, m), pillow(partial(ImageOps.posterize, bits=bits)))
    for m, threshold in ((0.0, 255), (0.6, 102), (-1.0, 0)):
        assert torch.equal(ours(ta.solarize, m), pillow(partial(ImageOps.solarize, threshold=threshold)))
    assert (ours(ta.autocontrast, 0.5) - pillow(ImageOps.autocontrast)).abs().max() <= 1
    equal, theirs = ours(ta.equalize, 0.5), pillow(ImageOps.equalize)
    difference = (equal - theirs).abs()  # theirs takes a whole number of pixels a step: 480/255 is 1
    assert equal.max() == 255
    assert ((equal[:, 1:] >= equal[:, :-1]) == (picture()[:, 1:] >= picture()[:, :-1])).float().mean() > 0.98
    assert torch.corrcoef(torch.stack([equal.flatten(), theirs.flatten()]))[0, 1] > 0.9
    assert difference.max() < 255


def test_an_even_histogram_is_left_even_and_one_value_stays() -> None:
    x = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    assert torch.equal(ours(ta.equalize, 0, x), x.float())
    flat = torch.full((1, 4, 4), 7, dtype=torch.uint8)
    assert torch.equal(ours(ta.equalize, 0, flat), flat.float())
    assert torch.equal(ours(ta.autocontrast, 0, flat), flat.float())


def test_moves_are_those_of_whole_pixels() -> None:
    x = picture()
    moved = ours(ta.translate_x, 5 / 12)  # half of 24 columns is the most: 5 to the right
    assert torch.equal(moved[:, :, 5:], x[:, :, :-5].float())
    assert (moved[:, :, :5] == 0).all()
    moved = ours(ta.translate_y, -3 / 10)
    assert torch.equal(moved[:, :-3], x[:, 3:].float())
    square = x[:, :, :20]
    assert (ours(ta.rotate, 2 / 3, square) - torch.rot90(square, 1, (1, 2)).float()).abs().max() <= 1
    assert (ours(ta.rotate, -2 / 3, square) - torch.rot90(square, -1, (1, 2)).float()).abs().max() <= 1
    middle = ours(ta.shear_x, 1 / 0.99, x)[:, 10]  # half a row below the centre: moved by half a pixel
    assert (middle[:, 1:-1] - (x[:, 10, 1:-1].float() + x[:, 10, 2:].float()) / 2).abs().max() <= 1


def test_every_operation_is_as_likely_and_no_strength_is_no_change() -> None:
    for operation in ta.OPERATIONS:
        if operation not in (ta.autocontrast, ta.equalize, ta.solarize):
            assert (ours(operation, 0.0) - picture().float()).abs().max() <= 1, operation
    images = picture()[None].expand(3000, 3, 20, 24).contiguous()
    changed, labels = ta.TrivialAugment()(images, torch.zeros(3000), torch.Generator().manual_seed(0))
    assert changed.dtype == torch.uint8
    same = (changed == images).flatten(1).all(1).float().mean()
    assert 1 / 14 < same < 0.2  # the identity, and operations of strength 0
    again, _ = ta.TrivialAugment()(images, labels, torch.Generator().manual_seed(0))
    assert torch.equal(changed, again)


def test_grey_images_too() -> None:
    grey = picture()[:1].repeat(40, 1, 1, 1)
    changed, _ = ta.TrivialAugment()(grey, torch.zeros(40), torch.Generator().manual_seed(0))
    assert changed.shape == grey.shape
