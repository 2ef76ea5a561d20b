"""The report as one self-contained page: no network. The templates make every element and escape."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from truelift.report import guarded, path, path_figure, published, runs, sections, tradeoff
from truelift.report.all_studies import Overview
from truelift.report.curves import Curve
from truelift.report.downloads import downloads
from truelift.report.feature_figure import FeaturesFigure, features_figure
from truelift.report.figures import (
    CLASS_PALETTE,
    DARK_CLASS_PALETTE,
    DARK_PALETTE,
    DARK_VERDICT_COLOURS,
    PALETTE,
    VERDICT_COLOURS,
    curves_figure,
    differences_figure,
)
from truelift.report.legend import header_legend
from truelift.report.notes import HEADING
from truelift.report.path_figure import path_figures
from truelift.report.plain import one_line
from truelift.report.rows import Row
from truelift.report.security import policy, script
from truelift.report.summary import Summary
from truelift.report.tradeoff_figure import tradeoff_figure


@dataclass(frozen=True)
class _Figures:
    """The page's pictures: SVG elements."""

    differences: Markup
    trade_off: Markup | None
    path: tuple[tuple[str, Markup], ...]
    """With the variants' names."""
    curves: tuple[Markup, ...]
    features: FeaturesFigure | None


def html_page(summary: Summary, version: str = "") -> str:
    """The whole page.

    Args:
        summary: What it shows.
        version: Of a page that is served: it asks where it came from for another, and is then loaded again.
    """
    scripts = [script(name) for name in ("sort.js", *(["live.js"] if version else []))]
    return (
        templates()
        .get_template("report.html")
        .render(
            summary=summary,
            version=version,
            scripts=scripts,
            policy=policy(scripts, served=bool(version)),
            downloads=downloads(summary),
            runs=runs,
            repeat=_repeat(summary),
            study_file=_study_file(summary),
            verdict_header=_verdict_second(sections.HEADER),
            verdict_cells=_verdict_cells,
            asked=summary.asked,
            saving=summary.trade_off,
            figures=_figures(summary),
            guarded=guarded,
            header_legend=header_legend,
            path=path,
            path_caption=path_figure.CAPTION,
            published=published,
            records=HEADING,
            sections=sections,
            tradeoff=tradeoff,
        )
    )


def index_page(studies: Sequence[Overview], mark: str) -> str:
    """The index of many studies.

    Args:
        studies: A line each.
        mark: An element that tells whose page it is.
    """
    scripts = [script("sort.js")]
    return (
        templates()
        .get_template("index.html")
        .render(studies=studies, mark=Markup(mark), scripts=scripts, policy=policy(scripts))
    )


def make_ready() -> None:
    """Have templates compiled and the figures' font found: a fifth of the time that the first page takes."""
    templates().get_template("report.html")
    steps = np.arange(2)
    curves_figure(["any"], {"any": Curve(steps, np.ones((1, 2)))}, "any", name="any")


@cache
def templates() -> Environment:
    """The pages' templates: a text is escaped wherever one shows it, unless `svg_element` made it."""
    made = Environment(
        loader=PackageLoader("truelift.report"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    made.globals |= {
        "symbols": sections.SYMBOLS,
        "light": _variables(PALETTE, CLASS_PALETTE, VERDICT_COLOURS),
        "dark": _variables(DARK_PALETTE, DARK_CLASS_PALETTE, DARK_VERDICT_COLOURS),
    }
    made.filters["minus"] = _minus
    made.filters["prose"] = _prose
    made.filters["whole_options"] = _whole_options
    made.filters["tone"] = _tone
    return made


def _tone(verdict: str) -> str:
    """The class of what has a verdict's colour; empty for the baseline and anything else."""
    return verdict.replace(" ", "-") if verdict in sections.SYMBOLS else ""


def _verdict_second(cells: Sequence[str]) -> tuple[str, ...]:
    """A row with the verdict, which is the last elsewhere, beside the name: there a phone shows it."""
    return (cells[0], cells[-1], *cells[1:-1])


def _verdict_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [_verdict_second(row) for row in sections.cells(rows)]


def _repeat(summary: Summary) -> str:
    """The command, from the page's own folder where it is known where that lies."""
    asked = summary.asked
    # One line: a line break in a name would be another command for whoever pastes it.
    there = [f"cd {shlex.quote(one_line(asked.started_in))}"] if asked.started_in not in ("", ".") else []
    return "\n".join([*there, asked.repeat])


def _study_file(summary: Summary) -> str:
    """Where the command's study file lies; empty for a recipe, which the command names and which lies with truelift."""
    source = summary.asked.source
    return source if Path(source).name in summary.asked.repeat else ""


def _figures(summary: Summary) -> _Figures:
    names, saving = summary.asked.order, summary.trade_off
    verdicts = {name: found.verdict for name, found in summary.headlines.items()}
    return _Figures(
        differences=differences_figure(summary),
        path=path_figures(summary),
        trade_off=tradeoff_figure(saving, verdicts) if saving.choices else None,
        curves=tuple(
            curves_figure(names, picture.curves, picture.drawn.label, name=f"curves-{i}", linear=picture.drawn.linear)
            for i, picture in enumerate(summary.pictures)
        ),
        features=features_figure(summary.panels) if summary.panels else None,
    )


def _variables(series: Sequence[str], classes: Sequence[str], verdicts: Mapping[str, str]) -> str:
    kinds = (("series", series), ("class", classes))
    numbered = [f"--{kind}-{i}: {colour};" for kind, palette in kinds for i, colour in enumerate(palette)]
    return " ".join([*(f"--{_tone(verdict)}: {colour};" for verdict, colour in verdicts.items()), *numbered])


def _minus(text: str) -> str:
    """With a true minus sign before numbers: it is as wide as the plus."""
    return re.sub(r"(?<![\w.-])-(?=\d)", "\u2212", text)


def _prose(text: str) -> str:
    """Likewise, and no line ends within "95 %", "p = 0.02" and "± 3"."""
    return re.sub(r"(?<=\d) (?=%)|(?<=\bp) (?=[=<])|(?<=\bp [=<]) |(?<=±) ", "\u00a0", _minus(text))


def _whole_options(text: str) -> Markup:
    """With no end of a line after a hyphen of "--batch-size"."""
    parts = re.split(r"(?<!\S)(--?[\w.-]{1,30})(?!\S)", text)
    option = Markup('<span class="whole">{}</span>').format
    return Markup().join(option(part) if i % 2 else part for i, part in enumerate(parts))
