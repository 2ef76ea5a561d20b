"""The picture of saving against the study's metric, with the Pareto front."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from truelift.report.figures import (
    LONGEST_LABEL,
    LONGEST_TICK,
    TEXT,
    VERDICT_COLOURS,
    styled,
    svg_element,
    tip,
)
from truelift.report.labels import label_offsets
from truelift.report.plain import one_line, shortened
from truelift.report.tradeoff import Choice, TradeOff
from truelift.verdicts import paired_t_interval

_MARKERS = "os^Dv<>P"
_FONT_SIZE = 9.0

Parts = dict[str, tuple[str, str]]
"""Family and name in it of each variant."""


def name_parts(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Each variant's family and its name in it: "cubic-scaled-0.8" is "0.8" of the family "cubic-scaled".

    What stands behind the last hyphen is a name in a family where it is a number, or where others share what stands
    before it. The other variants' names stay whole, each a family of its own.
    """
    split = {name: name.rpartition("-")[::2] for name in names}
    sizes = Counter(family for family, _ in split.values())
    return {
        name: (family, member)
        if family and (sizes[family] > 1 or re.fullmatch(r"\d+(\.\d+)?", member))
        else (name, name)
        for name, (family, member) in split.items()
    }


def tradeoff_figure(found: TradeOff, verdicts: Mapping[str, str]) -> Markup:
    """Measured saving (filled) and counted saving (hollow) against the metric, with its interval over seeds.

    Each family has its marker; colours are those of the verdicts.

    Args:
        found: With at least one choice.
        verdicts: By variant; of the baseline none.
    """
    choices = found.choices
    parts = name_parts([choice.variant for choice in choices])
    families = dict.fromkeys(family for family, _ in parts.values())
    markers = {family: _MARKERS[i % len(_MARKERS)] for i, family in enumerate(families)}
    colours = {
        choice.variant: VERDICT_COLOURS[verdicts[choice.variant]] if choice.variant in verdicts else TEXT
        for choice in choices
    }
    tips: dict[str, str] = {}
    label = one_line(found.metric.label) + (", %" if found.metric.in_points else "")
    with styled():
        figure = Figure(figsize=(7.4, 5.2), layout="constrained")
        axes = figure.add_subplot()
        # To save at least so much costs what the next point to the right costs.
        axes.step(*zip(*_front(choices), strict=True), where="pre", color=TEXT, alpha=0.45, lw=1.2, zorder=1)
        for members in _lines(choices, parts, found.lengths):
            points = sorted((choice.measured.mean, choice.metric.mean) for choice in members)
            axes.plot(*zip(*points, strict=True), color=TEXT, alpha=0.6, lw=0.8, ls=":")
        for choice in choices:
            point = _draw(axes, choice, colours[choice.variant], markers[parts[choice.variant][0]])
            tip(tips, point, _told(choice, label, verdicts.get(choice.variant, "")))
        axes.set_xlabel("training time saved, %")
        axes.set_ylabel(shortened(label, LONGEST_LABEL))
        axes.margins(0.07)
        axes.grid()
        entries = _legend(markers)
        columns = len(entries) if sum(map(_legend_width, entries)) < 7 else 4
        figure.legend(handles=entries, loc="outside upper left", ncols=columns, fontsize=9, handletextpad=0.5)
        _write_names(figure, axes, choices, parts, colours)
        return svg_element(figure, "tradeoff", f"{label} against training time saved, with the Pareto front", tips)


def _told(choice: Choice, label: str, verdict: str) -> str:
    found = f"{choice.variant}: {choice.measured.mean:.3g} % of the time saved, {label} {choice.metric.mean:.4g}"
    return f"{found}, {verdict}" if verdict else found


def _lines(choices: Sequence[Choice], parts: Parts, lengths: Collection[str]) -> Iterator[list[Choice]]:
    """What belongs together: the families, but for what is the baseline in other lengths."""
    for family in dict.fromkeys(family for family, _ in parts.values()):
        members = [choice for choice in choices if parts[choice.variant][0] == family]
        if any(choice.variant not in lengths for choice in members):
            yield members
    if of_baseline := [choice for choice in choices if choice.variant in lengths]:
        yield of_baseline


def _legend(markers: Mapping[str, str]) -> list[Line2D]:
    families = [
        Line2D([], [], color=TEXT, marker=marker, ls="", ms=6, label=shortened(family, LONGEST_TICK))
        for family, marker in markers.items()
    ]
    counted = Line2D([], [], color=TEXT, marker="o", mfc="none", alpha=0.6, lw=0.8, ms=4, label="counted saving")
    return [*families, counted, Line2D([], [], color=TEXT, alpha=0.45, lw=1.2, label="Pareto front")]


def _legend_width(entry: Line2D) -> float:
    """About how many inches one takes in a row: the letters, and what is beside them."""
    return 0.072 * len(str(entry.get_label())) + 0.55


def _front(choices: Sequence[Choice]) -> list[tuple[float, float]]:
    """From the left to the right."""
    return sorted((choice.measured.mean, choice.metric.mean) for choice in choices if choice.on_front)


def _draw(axes: Axes, choice: Choice, colour: str, marker: str) -> Line2D:
    """Everything of one variant; its filled point is returned."""
    x, counted, y = choice.measured.mean, choice.counted.mean, choice.metric.mean
    axes.plot((counted, x), (y, y), color=colour, alpha=0.6, lw=0.8)
    axes.plot(counted, y, marker, color=colour, mfc="none", alpha=0.6, ms=4, mew=0.9)
    if len(choice.metric.done) > 1:
        axes.plot((x, x), paired_t_interval(choice.metric.done), color=colour, alpha=0.45, lw=1)
    (point,) = axes.plot(x, y, marker, color=colour, ms=6, mew=0, zorder=3)
    return point


def _write_names(
    figure: Figure, axes: Axes, choices: Sequence[Choice], parts: Parts, colours: Mapping[str, str]
) -> None:
    """Each point's name in its family, where it covers least."""
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)  # only now it is known where the axes lie
    scale = 72 / figure.dpi

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = axes.transData.transform((x, y)) * scale
        return float(across), float(up)

    anchors, covered = [], []
    for choice in choices:
        x, y = place(choice.measured.mean, choice.metric.mean)
        counted, _ = place(choice.counted.mean, choice.metric.mean)
        anchors.append((x, y))
        covered += [(x - 4, y - 4, x + 4, y + 4), (min(x, counted) - 2, y - 2, max(x, counted) + 2, y + 2)]
        if len(choice.metric.done) > 1:
            low, high = (place(0, end)[1] for end in paired_t_interval(choice.metric.done))
            covered.append((x - 0.5, low, x + 0.5, high))
    for (x, y), (after, step) in pairwise(place(*point) for point in _front(choices)):
        covered += [(x - 0.5, min(y, step), x + 0.5, max(y, step)), (x, step - 0.5, after, step + 0.5)]
    left, bottom, right, top = (float(edge) * scale for edge in axes.get_window_extent().extents)
    names = [(parts[choice.variant][0], shortened(parts[choice.variant][1], LONGEST_TICK)) for choice in choices]
    sizes = [(0.6 * _FONT_SIZE * len(member), 0.9 * _FONT_SIZE) for _, member in names]
    offsets = label_offsets(anchors, sizes, covered, (left, bottom, right, top))
    for choice, (_, member), offset in zip(choices, names, offsets, strict=True):
        axes.annotate(
            member,
            (choice.measured.mean, choice.metric.mean),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_FONT_SIZE,
            color=colours[choice.variant],
            zorder=4,
        ).set_in_layout(False)
