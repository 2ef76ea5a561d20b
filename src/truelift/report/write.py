"""Write all forms of a study's report beside its records."""

from collections.abc import Iterable
from pathlib import Path

from truelift.records import Study, write_text
from truelift.report import equal_time, published, sections, tradeoff
from truelift.report.page import html_page
from truelift.report.summary import Summary, summarise
from truelift.report.table import (
    HEADER,
    HEADER_LEGEND,
    cells,
    csv_table,
    latex_table,
    markdown_escape,
    markdown_table,
)


def write_report(folder: Path) -> list[Path]:
    """Read the records in `folder` and write report.html, report.md, report.csv and report.tex into it.

    Returns:
        Their paths, in this order.

    Raises:
        InputError: The folder holds no study.
    """
    return write_forms(summarise(Study.read(folder)))


def write_forms(summary: Summary) -> list[Path]:
    """Write the four forms of `summary` into its study's folder; returns their paths as `write_report` does."""
    folder = summary.study.folder
    forms = {
        "html": html_page(summary),
        "md": markdown(summary),
        "csv": csv_table(summary),
        "tex": latex_table(summary),
    }
    paths = []
    for ending, text in forms.items():
        paths.append(folder / f"report.{ending}")
        write_text(paths[-1], text)
    return paths


def markdown(summary: Summary) -> str:
    """The page's words and tables as Markdown."""
    plan = summary.study.plan
    parts = [
        f"# {markdown_escape(summary.question)}",
        _list(summary.headlines.values()),
        markdown_table(HEADER, cells(summary.rows)),
        HEADER_LEGEND,
    ]
    if beside := published.cells(summary):
        parts += ["## Published figures", markdown_table(published.HEADER, beside), published.legend(summary)]
    if summary.problems:
        parts += ["## Runs that are missing", _list(summary.problems), sections.ONLY_PAIRS]
    if savings := tradeoff.cells(summary):
        parts += ["## Saving", markdown_table(tradeoff.header(summary), savings), tradeoff.legend(summary)]
    if compared := equal_time.rows(summary):
        parts += ["### At equal time", markdown_table(HEADER, cells(compared)), equal_time.LEGEND]
    parts += ["## Two noises", *map(markdown_escape, sections.noises(summary))]
    if summary.others:
        parts += ["## Other metrics", markdown_table(*sections.others(summary)), sections.OTHERS_LEGEND]
        for name, rows in summary.others.items():
            parts += [f"### {sections.title(name)}", markdown_table(HEADER, cells(rows))]
    shared = [(name, sections.setting(value)) for name, value in plan["shared"].items()]
    parts += ["## Settings that differ", markdown_table(("variant", "settings"), sections.settings(summary))]
    parts += ["## Settings that all share", markdown_table(("setting", "value"), shared)] if shared else []
    parts += ["## Cost", *map(markdown_escape, sections.cost(summary))]
    parts += ["## Environment", *map(markdown_escape, sections.environment(summary))]
    parts += ["## How to repeat it", f"```\n{plan['repeat']}\n```", "## How to read this", *sections.reading(summary)]
    return "\n\n".join(parts) + "\n"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_escape(line)}" for line in lines)
