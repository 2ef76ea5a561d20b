"""What the pairs of classes of the study gradient-similarity-cosines look like: a row a pair, six images a class.

The pairs and the data set are read from the study's file. A task is shown by training images of its classes, evenly
spaced in the order of the data, so always the same ones; only these are decoded. The random other classes that each
class is told from are not shown.

Source:
    Du et al., "Adapting Auxiliary Losses Using Gradient Similarity", arXiv 1812.02224, whose pairs are of ImageNet;
    those of the study are near and far ones of Tiny ImageNet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from truelift import recipes
from truelift.data import DataOptions
from truelift.data.decode import Pixels, as_rgb, decode
from truelift.data.listing import IntArray
from truelift.data.loading import find_source
from truelift.errors import unknown_name
from truelift.recipes.drawing import PaperFigure
from truelift.toml import read_toml
from truelift.training.settings import flatten, parse_experiment

STUDY = "gradient-similarity-cosines"
IMAGES = 6
# Between two images, as a share of an image's width.
_GAP = 0.06


@dataclass(frozen=True)
class Pair:
    """A variant of the study: the classes of its two tasks."""

    name: str
    main: tuple[str, ...]
    auxiliary: tuple[str, ...]


def read_pairs() -> list[Pair]:
    """The study's pairs, in its order."""
    variants = read_toml(recipes.find(STUDY))["variants"]
    return [Pair(name, tuple(v["tasks"]["main"]), tuple(v["tasks"]["auxiliary"])) for name, v in variants.items()]


def spaced(indices: IntArray, count: int) -> IntArray:
    """`count` of the indices, (N,), evenly spaced from the first to the last; all where there are fewer."""
    return indices[np.unique(np.linspace(0, len(indices) - 1, count).round().astype(int))] if len(indices) else indices


def strip(images: Pixels, count: int) -> Pixels:
    """Images (n, H, W, C), n at most `count`, side by side with white between and where some lack: (H, width, C)."""
    _, height, width, channels = images.shape
    gap = max(1, round(_GAP * width))
    row = np.full((height, count * (width + gap) - gap, channels), 255, dtype=np.uint8)
    for i, image in enumerate(images):
        row[:, i * (width + gap) : i * (width + gap) + width] = image
    return row


def load_images(options: DataOptions, tasks: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], Pixels]:
    """`IMAGES` training images of each task, by the task's classes: uint8 (n, H, W, 3).

    Raises:
        InputError: The data cannot be read, or a class is not among theirs.
    """
    source = find_source(options)
    labels = source.train.labels
    numbers = {}
    for name in dict.fromkeys(name for task in tasks for name in task):
        if name not in source.classes:
            raise unknown_name("class", name, source.classes)
        numbers[name] = source.classes.index(name)
    chosen = [spaced(np.flatnonzero(labels == number), IMAGES) for number in numbers.values()]
    indices = np.sort(np.concatenate(chosen))
    pixels, decoded = decode(source.train, indices, resize=options.resize, on_error=options.on_error)
    if pixels.shape[3] == 1:
        pixels = as_rgb(pixels)
    found = {task: np.flatnonzero(np.isin(decoded, [numbers[name] for name in task])) for task in tasks}
    return {task: pixels[spaced(places, IMAGES)] for task, places in found.items()}


def _draw(data: Mapping[str, Any]) -> tuple[Figure, str]:
    pairs = read_pairs()
    settings = flatten(read_toml(recipes.find(STUDY))["experiment"]) | dict(data)
    options = parse_experiment(settings, STUDY).data
    images = load_images(options, [task for pair in pairs for task in (pair.main, pair.auxiliary)])
    figure = Figure(figsize=(9.0, 0.84 * len(pairs) + 0.2), layout="constrained")
    rows = figure.subplots(len(pairs), 2, squeeze=False, gridspec_kw={"wspace": 0.04})
    for (left, right), pair in zip(rows, pairs, strict=True):
        for axes, kind, task in ((left, "main", pair.main), (right, "auxiliary", pair.auxiliary)):
            _draw_task(axes, f"{kind}: {', '.join(task)}", images[task])
        left.set_ylabel(pair.name, rotation=0, ha="right", va="center", labelpad=8)
    where = options.path or options.name
    return figure, f"{IMAGES} training images a class of the {len(pairs)} pairs of {STUDY}, from {where}."


def _draw_task(axes: Axes, title: str, images: Pixels) -> None:
    axes.imshow(strip(images, IMAGES))
    axes.set_title(title, fontsize=9, pad=3, loc="left")
    axes.set(xticks=(), yticks=())
    axes.spines[:].set_visible(False)


FIGURE = PaperFigure(
    "gradient-similarity-pairs",
    "images of each pair of classes of gradient-similarity-cosines",
    _draw,
    reads_data=True,
)
