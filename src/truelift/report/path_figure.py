"""The picture of a study that runs seeds until it is decided: a panel a variant."""

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from truelift.report.figures import TEXT, VERDICT_COLOURS, difference_label, styled, svg_element, tip
from truelift.report.summary import Summary
from truelift.verdicts import Comparison

CAPTION = (
    "Pairs of seeds to the right. The line is the mean difference at each look, the bars its intervals, the dashed "
    "lines the boundaries: a look decides where the mean lies beyond one. Early boundaries reach out of the picture."
)


def path_figures(summary: Summary) -> tuple[tuple[str, Markup], ...]:
    """A picture for each variant that has had a look, with the variant's name."""
    return tuple(
        (name, _figure(summary, name, c, index))
        for index, (name, c) in enumerate(summary.comparisons.items(), start=1)
        if c.path
    )


def _figure(summary: Summary, name: str, c: Comparison, index: int) -> Markup:
    looks = c.path
    seeds = [look.seeds for look in looks]
    with styled():
        figure = Figure(figsize=(4.2, 3.0), layout="constrained")
        axes = figure.add_subplot()
        colour = VERDICT_COLOURS[c.verdict]
        tips: dict[str, str] = {}
        effect = summary.asked.smallest_effect
        if effect > 0:
            axes.axhspan(-effect, effect, color=TEXT, alpha=0.07, lw=0)
        axes.axhline(0, color=TEXT, lw=0.8)
        for side in (0, 1):
            axes.plot(seeds, [look.boundary[side] for look in looks], color=TEXT, ls="--", lw=1, alpha=0.7, marker="_")
        for look in looks:
            at = (look.seeds, look.seeds)
            (bar,) = axes.plot(at, look.interval, color=colour, lw=3, alpha=0.45, solid_capstyle="butt")
            low, high = look.interval
            within = f"interval {low:+.3g} to {high:+.3g}, boundary {look.boundary[1]:+.3g}"
            tip(tips, bar, f"{name}, {look.seeds} pairs: {look.difference:+.3g}, {within}")
        axes.plot(seeds, [look.difference for look in looks], color=colour, marker="D", ms=5, lw=1.6)
        # The first looks' intervals are some ten times as wide as the last one's, and would flatten all the rest.
        ends = np.array([(*look.interval, *look.boundary) for look in looks])
        means = np.array([look.difference for look in looks])
        reach = max(2 * np.abs(ends[-1]).max(), 1.3 * np.abs(means).max(), 1.3 * effect)
        if np.isfinite(reach) and reach > 0:
            axes.set_ylim(-reach, reach)
        axes.set_xlim(2.5, summary.asked.looks.most_seeds + 0.5 if summary.asked.looks else seeds[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("pairs of seeds")
        axes.set_ylabel(difference_label(summary.metric))
        axes.grid(axis="y")
        stop = c.stop
        ended = "goes on" if stop is None or stop.ended is None else stop.ended
        last = looks[-1]
        label = (
            f"{name}: mean difference, intervals and boundaries at {len(looks)} looks; at {last.seeds} pairs "
            f"{last.difference:+.3g}, boundary {last.boundary[1]:+.3g}; {c.verdict}, {ended}"
        )
        return svg_element(figure, f"path-{index}", label, tips)
