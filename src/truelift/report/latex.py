"""The report's tables for a paper."""

import re
from collections.abc import Sequence

from truelift.report import guarded, path, published, sections, tradeoff
from truelift.report.caption import caption
from truelift.report.legend import confidences, count, counted_as
from truelift.report.plain import latex_text, one_line
from truelift.report.rows import Row
from truelift.report.summary import Summary
from truelift.verdicts.wording import percent


def latex_table(summary: Summary) -> str:
    """A table for a paper, and of published figures and savings where there are some; needs the package booktabs.

    Each stands by itself; what else there is to know is a comment before them.
    """
    asked, saving = summary.asked, summary.trade_off
    label = f"tab:{re.sub(r'[^A-Za-z0-9]+', '-', asked.name).strip('-') or 'study'}"
    tables = [_verdicts(summary, label)]
    if cells := path.cells(summary):
        tables.append(_table(path.LEGEND, f"{label}-looks", "lrrrrrr", path.HEADER, cells))
    if summary.published:
        beside = published.cells(summary.published, summary.rows)
        tables.append(
            _table(published.legend(asked.changed), f"{label}-published", "llrrrrl", published.HEADER, beside)
        )
    if saving.choices:
        cells = tradeoff.cells(saving)
        tables.append(_table(tradeoff.legend(saving), f"{label}-saving", "lrrrl", tradeoff.header(saving), cells))
    if saving.at_equal_time:
        compared = sections.cells(saving.at_equal_time)
        legend = tradeoff.EQUAL_TIME_LEGEND
        tables.append(_table(legend, f"{label}-equal-time", "lrrrrrl", sections.HEADER, compared))
    notes = (*asked.notes, *summary.problems, *summary.cautions, *summary.notes, *path.lines(summary))
    noted = [f"% note: {one_line(note)}" for note in notes]
    return "\n".join([r"% \usepackage{booktabs}", *noted, *tables])


def _verdicts(summary: Summary, label: str) -> str:
    """With the seeds and the confidence of each row where these differ, and a column for each guard."""
    header, columns = list(sections.HEADER), "lrrrrrl"
    rows = [list(cells) for cells in sections.cells(summary.rows)]
    differing = len(confidences(summary)) > 1
    for row, cells in zip(summary.rows, rows, strict=True):
        if differing and row.comparison is not None and row.comparison.interval:
            cells[3] += f" ({percent(row.comparison.interval_confidence)})"
    for guard in summary.asked.guards:
        name = summary.asked.guard_label(guard.metric)
        header.append(name)
        columns += "r"
        for row, cells in zip(summary.rows, rows, strict=True):
            cells.append(_under(name, row))
    counts = [count(row, summary) for row in summary.rows]
    if {*counts, *(len(row.done) for row in summary.rows)} != {counts[0]}:
        columns = columns.replace("l", "lr", 1)
        for cells, found in zip((header, *rows), (counted_as(summary), *counts), strict=True):
            cells.insert(1, str(found))
    return _table(caption(summary), label, columns, header, rows)


def _under(guard: str, row: Row) -> str:
    found = () if row.comparison is None else row.comparison.guards
    return next((f"{guarded.in_the_mean(one)}, {one.state}" for one in found if one.metric == guard), "")


def _table(caption: str, label: str, columns: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex_text(caption)}}}",
        rf"  \label{{{label}}}",
        r"  \small",
        r"  \setlength{\tabcolsep}{4pt}",
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
