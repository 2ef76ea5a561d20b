"""What a figure by name is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure


@dataclass(frozen=True)
class PaperFigure:
    """A figure of a paper that is no study."""

    name: str
    title: str
    """What it is, in one line."""
    draw: Callable[[Mapping[str, Any]], tuple[Figure, str]]
    """From settings of the experiment's data, by dotted name, to the figure and a sentence on what it shows."""
    reads_data: bool = False
    """Whether it takes any settings."""
