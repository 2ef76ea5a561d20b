"""Two-dimensional features of the test images, a panel a variant, with the classes' Gaussians over them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import MaxNLocator

from truelift.records import Features
from truelift.report.figures import CLASS_PALETTE, TEXT, styled, svg_element
from truelift.report.panels import Panel
from truelift.report.plain import one_line

# At most so many images a class, and so many in all panels together: they keep the page small.
_MOST_A_CLASS = 300
_MOST_IN_ALL = 20_000
# Drawn in so many turns, each of every class, so that no class lies over all of another.
_TURNS = 6
# With more classes their names would cover the picture.
_MOST_NAMES = 20


@dataclass(frozen=True)
class FeaturesFigure:
    """The panels, the legend that they share and the caption."""

    panels: tuple[tuple[Panel, Markup], ...]
    """Each with its picture."""
    classes: tuple[tuple[str, str, str], ...]
    """Each class's name, the page's variable for its colour, and the colour."""
    caption: str


def features_figure(shown: Sequence[Panel]) -> FeaturesFigure:
    """The pictures of all panels.

    Args:
        shown: At least one.
    """
    classes = list(dict.fromkeys(name for panel in shown for name in panel.features.class_names))
    colours = {name: index % len(CLASS_PALETTE) for index, name in enumerate(classes)}
    most = max(1, min(_MOST_A_CLASS, _MOST_IN_ALL // (len(shown) * max(1, len(classes)))))
    return FeaturesFigure(
        tuple((panel, _picture(panel, colours, most, f"features-{index}")) for index, panel in enumerate(shown)),
        tuple((name, f"--class-{index}", CLASS_PALETTE[index]) for name, index in colours.items()),
        _caption(shown, len(classes), most),
    )


def _caption(shown: Sequence[Panel], classes: int, most: int) -> str:
    largest = max(int(np.bincount(p.features.labels).max(initial=0)) for p in shown)
    which = "Every test image" if largest <= most else f"The first {most} test images of each class"
    scale = "; each panel has its own scale" if len(shown) > 1 else ""
    sentences = [f"{which} at the two features that the classifier sees, coloured by class{scale}."]
    with_gaussians = [len(panel.features.means) > 0 for panel in shown]
    if any(with_gaussians):
        sentences.append("A cross marks a class's mean; its ellipses lie at 1 and 2 standard deviations.")
    if any(with_gaussians) and not all(with_gaussians):
        sentences.append("A panel without them is of a classifier without Gaussians.")
    if classes > len(CLASS_PALETTE):
        sentences.append(f"Colours repeat after {len(CLASS_PALETTE)} classes.")
    return " ".join(sentences)


def _picture(panel: Panel, colours: Mapping[str, int], most: int, name: str) -> Markup:
    """One panel. `colours` are indices into the palette, by class name; `name` is the prefix of its ids."""
    features = panel.features
    points = {label: _points(features, label, most) for label in range(len(features.class_names))}
    deviations = np.sqrt(features.variances)
    with styled():
        figure = Figure(figsize=(4.0, 4.0), layout="constrained")
        axes = figure.add_subplot()
        _limit(axes, [*points.values(), features.means - 2 * deviations, features.means + 2 * deviations])
        for turn in range(_TURNS):
            for label, class_name in enumerate(features.class_names):
                _scatter(axes, points[label][turn::_TURNS], CLASS_PALETTE[colours[class_name]])
        for mean, deviation in zip(features.means, deviations, strict=True):
            for times, dashes in ((1, "-"), (2, (0, (3, 2)))):
                width, height = 2 * times * deviation
                axes.add_patch(Ellipse(tuple(mean), width, height, fill=False, color=TEXT, lw=1, ls=dashes, zorder=3))
            axes.plot(*mean, "+", color=TEXT, ms=7, mew=1.4, zorder=4)
        if len(features.class_names) <= _MOST_NAMES:
            _name(axes, features, points)
        return _compact(svg_element(figure, name, f"Features of the test images by class, {panel.variant}"))


def _points(features: Features, label: int, most: int) -> np.ndarray:
    """The first of one class, (n, 2)."""
    points = features.features[features.labels == label][:most]
    finite: np.ndarray = points[np.isfinite(points).all(1)]
    return finite


def _limit(axes: Axes, shown: Sequence[np.ndarray]) -> None:
    """A square that holds all, at one scale along both."""
    everything = np.concatenate(shown)
    everything = everything[np.isfinite(everything).all(1)]
    if not len(everything):
        return
    low, high = everything.min(0).astype(float), everything.max(0).astype(float)
    half = 0.53 * float((high - low).max()) or 1.0
    middle = (low + high) / 2
    axes.set(xlim=middle[0] + np.array((-half, half)), ylim=middle[1] + np.array((-half, half)), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    axes.grid()


def _scatter(axes: Axes, points: np.ndarray, colour: str) -> None:
    """Dots as one path of lines without length, with round ends: an element a dot would make the page ten times it."""
    if len(points):
        dots = Outline(points.repeat(2, 0), [Outline.MOVETO, Outline.LINETO] * len(points))
        dots.should_simplify = False
        axes.add_patch(PathPatch(dots, fill=False, ec=colour, lw=3, capstyle="round", alpha=0.7))


def _name(axes: Axes, features: Features, points: Mapping[int, np.ndarray]) -> None:
    """Write each class's name at its mean, or among its outer points: colours alone do not tell ten apart."""
    places = dict(enumerate(features.means)) or _outer(points)
    for label, place in places.items():
        name = one_line(features.class_names[label])
        axes.annotate(name, tuple(place), (0, 5), textcoords="offset points", ha="center", fontsize=9, zorder=5)


def _outer(points: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The median of the third farthest out: classes of a linear classifier meet in the middle, and names would too."""
    there = {label: some for label, some in points.items() if len(some)}
    middle = np.median(np.concatenate(list(there.values())), axis=0) if there else None
    places = {}
    for label, some in there.items():
        distances = np.linalg.norm(some - middle, axis=1)
        places[label] = np.median(some[distances >= np.quantile(distances, 0.67)], axis=0)
    return places


def _compact(svg: Markup) -> Markup:
    """The dots in a third of the letters: each as `M x y h0`, to a tenth of a point."""
    return Markup(re.sub(r"M (\S+) (\S+) \nL \1 \2 \n?", lambda m: f"M{float(m[1]):.1f} {float(m[2]):.1f}h0", str(svg)))
