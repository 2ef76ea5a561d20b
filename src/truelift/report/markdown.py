"""The report as Markdown."""

from collections.abc import Iterable, Sequence

from truelift.report import guarded, path, published, sections, tradeoff
from truelift.report.legend import header_legend
from truelift.report.notes import HEADING
from truelift.report.plain import markdown_code, markdown_text
from truelift.report.summary import Summary


def markdown(summary: Summary) -> str:
    """The page's words and tables."""
    asked, saving = summary.asked, summary.trade_off
    parts = [
        f"# {markdown_text(asked.question)}",
        *([markdown_text(summary.answer)] if summary.headlines else []),
        _list(headline.line for headline in summary.headlines.values()),
        table(sections.HEADER, sections.cells(summary.rows)),
        header_legend(summary),
    ]
    if guards := guarded.cells(summary.rows):
        parts += [f"### {guarded.HEADING}", table(guarded.HEADER, guards), guarded.LEGEND]
    if summary.published:
        beside = published.cells(summary.published, summary.rows)
        legend = markdown_text(published.legend(asked.changed))
        parts += ["## Published figures", table(published.HEADER, beside), legend]
    if summary.problems:
        parts += ["## Runs that are missing", _list(summary.problems)]
        parts += [sections.ONLY_PAIRS] if asked.paired else []
    if summary.grown is not None:
        parts += [f"## {path.HEADING}", _list(path.lines(summary))]
        parts += [table(path.HEADER, path.cells(summary)), path.LEGEND]
    if asked.notes:
        parts += ["## How the runs were read", _list(asked.notes)]
    if summary.cautions:
        parts += ["## Runs to look at", _list(summary.cautions)]
    if summary.notes:
        parts += [f"## {HEADING}", _list(summary.notes)]
    if saving.choices:
        savings = table(tradeoff.header(saving), tradeoff.cells(saving))
        parts += ["## Saving", savings, tradeoff.legend(saving)]
    if saving.at_equal_time:
        compared = table(sections.HEADER, sections.cells(saving.at_equal_time))
        parts += ["### At equal time", compared, tradeoff.EQUAL_TIME_LEGEND]
    if noises := sections.noises(summary):
        parts += [f"## {sections.noises_heading(summary)}", *map(markdown_text, noises)]
    if summary.others:
        parts += ["## Other metrics", table(*sections.others(summary)), sections.OTHERS_LEGEND]
        for name, rows in summary.others.items():
            parts += [f"### {markdown_text(sections.title(name))}", table(sections.HEADER, sections.cells(rows))]
    parts += ["## Settings that differ", table(("variant", "settings"), sections.settings(summary))]
    if shared := sections.shared(summary):
        parts += ["## Settings that all share", table(("setting", "value"), shared)]
    for title, lines in (("Cost", sections.cost(summary)), ("Environment", sections.environment(summary))):
        parts += [f"## {title}", *map(markdown_text, lines)] if lines else []
    parts += ["## How to repeat it", markdown_code(asked.repeat)]
    parts += ["## How to read this", *map(markdown_text, sections.reading(summary))]
    return "\n\n".join(parts) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, its cells escaped."""

    def line(items: Iterable[str]) -> str:
        return "| " + " | ".join(items) + " |"

    cells = (line(map(markdown_text, row)) for row in rows)
    return "\n".join([line(map(markdown_text, header)), line(["---"] * len(header)), *cells])


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_text(line)}" for line in lines)
