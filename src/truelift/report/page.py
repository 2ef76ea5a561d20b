"""The report as one self-contained page: no network, no script. The templates make every element and escape."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from truelift.report import path, path_figure, published, sections, tradeoff
from truelift.report.feature_figure import FeaturesFigure, features_figure
from truelift.report.figures import (
    CLASS_PALETTE,
    DARK_CLASS_PALETTE,
    DARK_PALETTE,
    PALETTE,
    curves_figure,
    differences_figure,
)
from truelift.report.notes import HEADING
from truelift.report.path_figure import path_figures
from truelift.report.rows import mean_digits
from truelift.report.summary import Summary
from truelift.report.tradeoff_figure import tradeoff_figure

_SYMBOLS = {"helps": "▲", "hurts": "▼", "no effect": "■", "undecided": "◆"}


@dataclass(frozen=True)
class _Figures:
    """The page's pictures: SVG elements."""

    differences: Markup
    trade_off: Markup | None
    path: tuple[tuple[str, Markup], ...]
    """With the variants' names."""
    curves: tuple[Markup, ...]
    features: FeaturesFigure | None


def html_page(summary: Summary) -> str:
    """The whole page."""
    # A text is escaped wherever a template shows it, unless `svg_element` made it.
    templates = Environment(
        loader=PackageLoader("truelift.report"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    templates.filters["minus"] = _minus
    return templates.get_template("report.html").render(
        summary=summary,
        asked=summary.asked,
        saving=summary.trade_off,
        figures=_figures(summary),
        of_means=mean_digits(summary.rows),
        symbols=_SYMBOLS,
        light=_variables(PALETTE, CLASS_PALETTE),
        dark=_variables(DARK_PALETTE, DARK_CLASS_PALETTE),
        path=path,
        path_caption=path_figure.CAPTION,
        published=published,
        records=HEADING,
        sections=sections,
        tradeoff=tradeoff,
    )


def _figures(summary: Summary) -> _Figures:
    names, saving = summary.asked.order, summary.trade_off
    return _Figures(
        differences=differences_figure(summary),
        path=path_figures(summary),
        trade_off=tradeoff_figure(saving.choices, saving.metric, saving.lengths) if saving.choices else None,
        curves=tuple(
            curves_figure(names, picture.curves, picture.drawn.label, name=f"curves-{i}", linear=picture.drawn.linear)
            for i, picture in enumerate(summary.pictures)
        ),
        features=features_figure(summary.panels) if summary.panels else None,
    )


def _variables(series: Sequence[str], classes: Sequence[str]) -> str:
    kinds = (("series", series), ("class", classes))
    return " ".join(f"--{kind}-{i}: {colour};" for kind, palette in kinds for i, colour in enumerate(palette))


def _minus(text: str) -> str:
    """With a true minus sign before numbers: it is as wide as the plus."""
    return re.sub(r"(?<![\w.-])-(?=\d)", "\u2212", text)
