"""The report's tables for a paper."""

import re
from collections.abc import Sequence

from truelift.report import path, published, sections, tradeoff
from truelift.report.notes import second_look
from truelift.report.plain import latex_text, one_line
from truelift.report.summary import Summary


def latex_table(summary: Summary) -> str:
    """A table for a paper, and of published figures and savings where there are some; needs the package booktabs."""
    asked, saving = summary.asked, summary.trade_off
    again = second_look(asked)
    caption = f"{asked.question} {sections.header_legend(summary)}{f' {again}' if again else ''}"
    tables = [_table(caption, "lrrrrrl", sections.HEADER, sections.cells(summary.rows))]
    if cells := path.cells(summary):
        tables.append(_table(path.LEGEND, "lrrrrrr", path.HEADER, cells))
    if summary.published:
        beside = published.cells(summary.published, summary.rows)
        tables.append(_table(published.legend(asked.changed), "llrrrrl", published.HEADER, beside))
    if saving.choices:
        cells = tradeoff.cells(saving)
        tables.append(_table(tradeoff.legend(saving), "lrrrl", tradeoff.header(saving), cells))
    if saving.at_equal_time:
        compared = sections.cells(saving.at_equal_time)
        tables.append(_table(tradeoff.EQUAL_TIME_LEGEND, "lrrrrrl", sections.HEADER, compared))
    noted = [f"% note: {one_line(note)}" for note in (*summary.notes, *path.lines(summary))]
    return "\n".join([r"% \usepackage{booktabs}", *noted, *tables])


def _table(caption: str, columns: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex_text(caption)}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        "    " + " & ".join(map(latex_text, header)) + r" \\",
        r"    \midrule",
        *("    " + " & ".join(map(_cell, row)) + r" \\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    # A hyphen before a digit is a minus in a column of numbers.
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", latex_text(text))
