"""Pictures as inline SVG: they take the page's text colour, so that they suit light and dark alike."""

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from truelift.metrics import Metric
from truelift.report.curves import Curve, rolling_mean
from truelift.report.plain import one_line, shortened
from truelift.report.rows import Row
from truelift.report.summary import Summary
from truelift.report.tips import difference_tips

# After Okabe and Ito, told apart by colour-blind readers; each at least 3:1 against a white page. These are the names
# under which the figures are drawn: the page sets --series-0 and so on, lighter ones on a dark page.
PALETTE = ("#0072b2", "#c77700", "#00875f", "#b8578f", "#3d424b", "#c4441c")
DARK_PALETTE = ("#4fa8e0", "#e69f00", "#2ec090", "#dd8fbb", "#c9ced6", "#f0793a")
# Of classes, likewise --class-0 and so on: ten as far apart as could be found, for colour-blind readers too, at 3:1 or
# more against the page.
CLASS_PALETTE = (
    *("#0b5ac8", "#9d9805", "#b12985", "#007605", "#189ec3"),
    *("#6f1c00", "#a172fc", "#c87d7f", "#13484a", "#5b0d80"),
)
DARK_CLASS_PALETTE = (
    *("#2088fc", "#c3ee44", "#fe69ba", "#37ba64", "#8bf1ff"),
    *("#c84f11", "#9c58c1", "#fec2b3", "#7a7a7a", "#bca6fd"),
)
# Of verdicts, as the page's text has them: 4.5:1 and more.
VERDICT_COLOURS = {
    "helps": "#0b6b3a",
    "hurts": "#a3221b",
    "undecided": "#74560a",
    "no effect": "#1f5a96",
    "failed": "#7d2d80",
}
DARK_VERDICT_COLOURS = {
    "helps": "#6cd69b",
    "hurts": "#ff938a",
    "undecided": "#e5c15a",
    "no effect": "#86b9f0",
    "failed": "#e0a3e6",
}
_VARIABLES = {colour: f"--series-{i}" for i, colour in enumerate(PALETTE)} | {
    colour: f"--class-{i}" for i, colour in enumerate(CLASS_PALETTE)
}
_VARIABLES |= {colour: f"--{verdict.replace(' ', '-')}" for verdict, colour in VERDICT_COLOURS.items()}
_COLOURS = re.compile("|".join(_VARIABLES))
# Where there are more variants than colours.
_DASHES = ("-", "--", ":", "-.")

# Drawn in this colour, then given the page's own.
TEXT = "#010203"
# Characters of a name beside an axis, of a name in a legend, and of what an axis shows.
LONGEST_TICK, LONGEST_NAME, LONGEST_LABEL = 30, 40, 60
# From so many pairs on an interval has its place among others.
_FEWEST_PAIRS = 3
# Enough for a picture of this size; keeps the page small.
_MOST_POINTS = 300
# Of a curve, where a pointer finds its values.
_MOST_TIPS = 16
# The share of a curve that its rolling average runs over.
_ROLLING = 0.02

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "truelift",
    "text.parse_math": False,  # a metric's name may have dollars in it
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), TEXT),
    "grid.color": TEXT,
    "grid.alpha": 0.12,
    "legend.frameon": False,
}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Figures that are made and written within have STYLE."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # The reader's browser draws the letters, whatever this font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def differences_figure(summary: Summary) -> Markup:
    """Each seed's difference to the baseline, their mean and interval, and the band of effects too small to matter."""
    rows = summary.compared
    tips: dict[str, str] = {}
    spots: list[Spot] = []
    with styled():
        figure = Figure(figsize=(5.0, 1.1 + 0.45 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        smallest = summary.asked.smallest_effect
        if smallest > 0:
            axes.axvspan(-smallest, smallest, color=TEXT, alpha=0.07, lw=0)
        axes.axvline(0, color=TEXT, lw=1)
        for y, row in enumerate(rows):
            c = row.comparison
            assert c is not None
            colour = VERDICT_COLOURS[c.verdict]
            if not c.differences:
                axes.text(
                    0.01,
                    y,
                    "no run without failure" if c.verdict == "failed" else "no complete pair",
                    transform=axes.get_yaxis_transform(),
                    va="center",
                    alpha=0.7,
                )
                continue
            # The dots under the interval, and a little apart, so that equal ones are all seen.
            heights = y + np.linspace(0.15, 0.33, len(c.differences))
            told = difference_tips(summary, row)
            axes.plot(c.differences, heights, "o", ms=4.3, mew=0, color=colour, alpha=0.75)
            spots += [Spot(axes, *at) for at in zip(c.differences, heights.tolist(), told.of_pairs, strict=True)]
            if c.interval is not None:
                (bar,) = axes.plot(c.interval, (y, y), color=colour, lw=3, solid_capstyle="butt")
                tip(tips, bar, told.of_mean)
            (mean,) = axes.plot(c.difference, y, "D", color=colour, ms=7)
            tip(tips, mean, told.of_mean)
        axes.set_yticks(range(len(rows)), [shortened(row.variant, LONGEST_TICK) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(_limits(rows, smallest, axes.get_xlim()))
        _point_beyond(axes, rows)
        shown = difference_label(summary.metric, f" to {summary.rows[0].variant}")
        # Below the whole picture, since it may be wider than the axes.
        figure.supxlabel(shown, fontsize=STYLE["font.size"])
        better = "right is better" if summary.metric.higher_is_better else "left is better"
        axes.set_title(better, loc="right", fontsize=9, alpha=0.7)
        axes.grid(axis="x")
        label = "Paired differences to the baseline, with mean and interval"
        return svg_element(figure, "differences", label, tips, spots)


def _limits(rows: Sequence[Row], smallest: float, all_in: tuple[float, float]) -> tuple[float, float]:
    """From where to where differences are drawn: `all_in`, unless intervals of two pairs would hide all else.

    Such an interval is many times as wide as one of three pairs. Beside others it runs off the picture.
    """
    found = [row.comparison for row in rows if row.comparison is not None]
    intervals = [(c.interval, len(c.differences)) for c in found if c.interval is not None]
    kept = [interval for interval, pairs in intervals if pairs >= _FEWEST_PAIRS]
    if len(kept) in (0, len(intervals)):
        return all_in
    ends = np.concatenate([*kept, *(c.differences for c in found), (-smallest, smallest)])
    margin = 0.05 * (ends.max() - ends.min())
    return float(ends.min() - margin), float(ends.max() + margin)


def _point_beyond(axes: Axes, rows: Sequence[Row]) -> None:
    """Arrowheads where an interval goes on beyond the picture."""
    left, right = axes.get_xlim()
    for y, row in enumerate(rows):
        c = row.comparison
        if c is None or c.interval is None:
            continue
        for edge, marker, beyond in ((left, "<", c.interval[0] < left), (right, ">", c.interval[1] > right)):
            if beyond:
                axes.plot(edge, y, marker, ms=7, mew=0, color=VERDICT_COLOURS[c.verdict], clip_on=False)


class Spot(NamedTuple):
    """A place in a picture that is not drawn, where a pointer shows a text."""

    axes: Axes
    x: float
    y: float
    text: str


def tip(tips: dict[str, str], artist: Artist, text: str) -> None:
    """Have a pointer on `artist` show `text`, in the element that `svg_element` makes with these tips."""
    name = f"tip-{len(tips)}"
    tips[name] = text
    artist.set_gid(name)


def difference_label(metric: Metric, to: str = "") -> str:
    """What an axis of differences shows, with the unit, in LONGEST_LABEL characters at most."""
    unit = shortened(f", {metric.unit}", LONGEST_TICK) if metric.unit else ""
    return shortened(f"difference in {metric.label}{to}", LONGEST_LABEL - len(unit)) + unit


def curves_figure(
    names: Sequence[str], found: Mapping[str, Curve], label: str, *, name: str, linear: bool = False
) -> Markup:
    """Rolling averages: the mean over seeds, with a band from the lowest to the highest seed.

    Args:
        names: All variants, the baseline first, so that a variant has one colour in every figure.
        found: The curves of some of them, at least one.
        label: What the curves show.
        name: Prefix of the figure's ids in the page.
        linear: Never on a logarithmic axis: for what may be 0, or negative.
    """
    columns = 2 if max(map(len, found)) <= 20 else 1  # that fit names of this length
    spots: list[Spot] = []
    with styled():
        figure = Figure(figsize=(4.2, 3.2 + 0.2 * -(-len(found) // columns)), layout="constrained")
        axes = figure.add_subplot()
        for index, variant in enumerate(names):
            if variant in found:
                _draw(axes, found[variant], shortened(variant, LONGEST_NAME), index)
                spots += _spots(axes, found[variant], variant)
        if not linear and _wide([line.get_ydata() for line in axes.get_lines()]):
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 100 * low else (1, 2, 3, 5, 7)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
            label += ", log scale"
        elif all((curve.values % 1 == 0).all() for curve in found.values()):
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))  # what is counted: frozen layers
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axes.set_xlabel("step")
        axes.set_ylabel(shortened(label, LONGEST_LABEL))
        axes.grid()
        # Outside, where it covers no curve.
        figure.legend(loc="outside upper left", ncols=columns)
        return svg_element(figure, name, f"{label} against steps, mean over seeds", spots=spots)


def _wide(series: Sequence[Any]) -> bool:
    """Whether the start of training would press the ends, which are to be compared, into a flat line."""
    values = np.concatenate([np.asarray(values, dtype=float) for values in series])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() > 4 * values.min())


def _draw(axes: Axes, curve: Curve, label: str, index: int) -> None:
    colour, dashes = PALETTE[index % len(PALETTE)], _DASHES[index // len(PALETTE) % len(_DASHES)]
    steps, values = _thinned(curve, _MOST_POINTS)
    axes.plot(steps, values.mean(0), color=colour, ls=dashes, lw=1.8, label=label)
    if len(values) > 1:
        axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.18, lw=0)


def _thinned(curve: Curve, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and rolling averages, at `most` points of the curve, the first and the last among them."""
    steps = curve.steps
    values = rolling_mean(curve.values, max(1, round(_ROLLING * len(steps))))
    keep = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), most)).round().astype(int))
    return steps[keep], values[:, keep]


def _spots(axes: Axes, curve: Curve, variant: str) -> Iterator[Spot]:
    """Over the line, where a pointer finds the values."""
    for step, values in zip(*(part.T for part in _thinned(curve, _MOST_TIPS)), strict=True):
        within = f" ({values.min():.4g} to {values.max():.4g})" if len(values) > 1 else ""
        mean = float(values.mean())
        yield Spot(axes, float(step), mean, f"{variant}, step {step:,.10g}: {mean:.4g}{within}")


def svg_element(
    figure: Figure,
    name: str,
    label: str,
    tips: Mapping[str, str] = MappingProxyType({}),
    spots: Sequence[Spot] = (),
) -> Markup:
    """The figure as an SVG element whose ids are its own and whose text takes the page's colour.

    Args:
        figure: What is drawn. Its texts are escaped by matplotlib, and changed no more here: tags alone are.
        name: Prefix of the ids.
        label: What a screen reader says; any text.
        tips: What a pointer shows on an artist, by its gid (`tip`); any text.
        spots: What it shows elsewhere. Elements of their own: as artists they would take the time of drawing them.
    """
    out = io.StringIO()
    _lay_out_alone(figure)
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"<[^>]+>", lambda tag: _themed(tag[0], name), svg)
    # What is not matplotlib's own is escaped here, in the one place that makes it.
    title = Markup("{}<title>{}</title>").format
    svg = re.sub(rf'<g id="{name}-(tip-\d+)">', lambda tag: title(Markup(tag[0]), one_line(tips[tag[1]])), svg)
    svg = svg.replace("</svg>", "".join(_circles(figure, spots)) + "</svg>")
    return Markup(svg.replace("<svg", Markup('<svg role="img" aria-label="{}"').format(one_line(label)), 1))


def _lay_out_alone(figure: Figure) -> None:
    """Have the first drawing of a figure that has a layout be its layout alone.

    To save a figure with a layout, matplotlib draws it twice, the first time onto nothing: half of the time.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return

    def lay_out(renderer: RendererBase) -> None:
        vars(figure).pop("draw")  # the second is the class's own
        engine.execute(figure)

    vars(figure)["draw"] = lay_out


def _circles(figure: Figure, spots: Sequence[Spot]) -> Iterator[Markup]:
    """Spots as elements, in points from the picture's upper left corner."""
    scale, height = 72 / figure.dpi, 72 * figure.get_figheight()
    circle = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="5" fill-opacity="0"><title>{}</title></circle>')
    for axes, within in groupby(spots, lambda spot: spot.axes):
        there = list(within)
        places = axes.transData.transform([(spot.x, spot.y) for spot in there]) * scale
        for spot, (x, y) in zip(there, places.tolist(), strict=True):
            if math.isfinite(x) and math.isfinite(y):
                yield circle.format(x, height - y, one_line(spot.text))


def _themed(tag: str, name: str) -> str:
    """A tag with the page's colours and font, and with ids of its own."""
    tag = tag.replace(TEXT, "currentColor").replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
    tag = _COLOURS.sub(lambda colour: f"var({_VARIABLES[colour[0]]}, {colour[0]})", tag)
    return re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", tag)
