"""Smaller tasks from the classes of a data set. N images."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from truelift.data.dataset import Images, ImageSet, Splits
from truelift.data.splits import TEST_SEED
from truelift.errors import InputError, known, require
from truelift.seeds import derive


def pick_task(splits: Splits, names: Sequence[str], *, seed: int) -> Splits:
    """The task that a choice of classes makes.

    No name: all classes, as they are. One: that class (label 1) against as many images of random other classes (label
    0, "others"). More: these classes against each other, numbered in the order given.

    Args:
        splits: The whole data set.
        names: Class names, each once.
        seed: Draws the others for training and validation; those for the test are always the same.

    Raises:
        InputError: A name is unknown or given twice.
    """
    if not names:
        return splits
    for name in names:
        known("class", name, splits.classes)
        if splits.classes.count(name) > 1:
            raise InputError(f'a task must be of classes that are named once, got "{name}", the name of several.')
    if len(set(names)) < len(names):
        raise InputError(f"a task's classes must differ, got {', '.join(names)}.")
    numbers = [splits.classes.index(name) for name in names]
    if len(numbers) > 1:
        train, test = _between(splits.train, numbers), _between(splits.test, numbers)
        validation = splits.validation and _between(splits.validation, numbers)
        classes = tuple(names)
    else:
        train = _against_others(splits.train, numbers[0], derive(seed, "others", "train"))
        validation = splits.validation and _against_others(
            splits.validation, numbers[0], derive(seed, "others", "validation")
        )
        test = _against_others(splits.test, numbers[0], TEST_SEED)
        classes = ("others", names[0])
    return replace(splits, train=train, validation=validation, test=test, classes=classes)


def rotate(images: Images, degrees: float) -> ImageSet:
    """Every image turned counter-clockwise about its centre, bilinear, black where nothing was.

    Raises:
        InputError: The images are streamed.
    """
    require("data.stream", "true", isinstance(images, ImageSet), "false for tasks.auxiliary_rotation")
    assert isinstance(images, ImageSet)
    angle = torch.tensor(degrees).deg2rad()
    cos, sin = float(angle.cos()), float(angle.sin())
    _, _, height, width = images.images.shape
    # affine_grid's coordinates run from −1 to 1 along both sides, so a rotation is skewed where these differ.
    matrix = torch.tensor([[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]])
    turned = torch.empty_like(images.images)
    for start in range(0, len(images), 256):
        part = images.images[start : start + 256].float()
        grid = torch.nn.functional.affine_grid(
            matrix.to(part.device).expand(len(part), 2, 3), list(part.shape), align_corners=False
        )
        pixels = torch.nn.functional.grid_sample(part, grid, align_corners=False)
        turned[start : start + 256] = pixels.round().clamp(0, 255).to(torch.uint8)
    return ImageSet(turned, images.labels)


def _between(images: Images, numbers: list[int]) -> Images:
    """The images of the classes `numbers`, labelled by their place in it."""
    place = torch.full((int(images.labels.max()) + 1,), -1)
    for label, number in enumerate(numbers):
        if number < len(place):
            place[number] = label
    labels = place[images.labels]
    kept = images.subset((labels >= 0).nonzero()[:, 0])
    return replace(kept, labels=place[kept.labels])


def _against_others(images: Images, number: int, seed: int) -> Images:
    """The images of one class, labelled 1, and as many others, labelled 0."""
    mine = (images.labels == number).nonzero()[:, 0]
    others = (images.labels != number).nonzero()[:, 0]
    order: Tensor = torch.randperm(len(others), generator=torch.Generator().manual_seed(seed))
    chosen = torch.cat([mine, others[order[: len(mine)]]]).sort().values
    kept = images.subset(chosen)
    return replace(kept, labels=(kept.labels == number).long())
