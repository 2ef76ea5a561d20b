"""The papers' figures that are no studies, by name: each is drawn at once, from formulas or from images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

from truelift.errors import InputError, unknown_name
from truelift.recipes import (
    gradient_similarity_concept,
    gradient_similarity_pairs,
    gradient_similarity_trajectories,
)
from truelift.recipes.drawing import PaperFigure
from truelift.records import whole_file
from truelift.report.figures import STYLE

FIGURES = {
    figure.name: figure
    for figure in (
        gradient_similarity_concept.FIGURE,
        gradient_similarity_pairs.FIGURE,
        gradient_similarity_trajectories.FIGURE,
    )
}

# The text as outlines: a file of its own cannot know which fonts its readers have.
_STYLE: dict[Any, Any] = {**STYLE, "svg.fonttype": "path"}
_PIXELS_AN_INCH = 160


def find(name: str) -> PaperFigure:
    """The figure `name`.

    Raises:
        InputError: There is none; the message names the nearest.
    """
    if name not in FIGURES:
        raise unknown_name("figure", name, sorted(FIGURES))
    return FIGURES[name]


def write(name: str, folder: Path, data: Mapping[str, Any]) -> str:
    """Draw a figure and write it as NAME.svg and NAME.png, each whole.

    Args:
        name: One of `FIGURES`.
        folder: Made where it is missing.
        data: Settings of the experiment's data, by dotted name.

    Returns:
        In one line what the figure shows and where it was written.

    Raises:
        InputError: There is no such figure, it reads no data and is given some, or the data do not fit.
    """
    figure = find(name)
    if data and not figure.reads_data:
        raise InputError(f"{name} reads no data, got --{next(iter(data))}.")
    with mpl.rc_context(_STYLE):
        drawn, shows = figure.draw(data)
        for form, metadata in (("svg", {"Date": None, "Creator": None, "Title": figure.title}), ("png", None)):
            with whole_file(folder / f"{name}.{form}") as file:
                drawn.savefig(file, format=form, dpi=_PIXELS_AN_INCH, metadata=metadata)
    return f"{shows} Written: {folder / name}.svg, {folder / name}.png"
