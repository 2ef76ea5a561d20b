"""The verdict table: for a terminal, as Markdown, CSV and LaTeX."""

import csv
import io
import math
import re
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from truelift.report import equal_time, published, tradeoff
from truelift.report.numbers import number, p_value
from truelift.report.summary import Row, Summary, difference_digits, mean_digits
from truelift.studies.metric import Metric

HEADER = ("variant", "mean ± sd", "difference", "95 % interval", "P(better)", "p", "verdict")
HEADER_LEGEND = (
    "Mean and standard deviation over seeds; difference to the baseline, mean over paired seeds, with a paired-t "
    "interval; P(better): share of the pairs in which the variant is better; p: paired t, Holm-corrected."
)


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The rows of one metric, each under HEADER."""
    of_means, of_differences = mean_digits(rows), difference_digits(rows)
    return [_cells(row, of_means, of_differences) for row in rows]


def _cells(row: Row, of_means: int, of_differences: int) -> tuple[str, ...]:
    c = row.comparison
    result = f"{number(row.mean, digits=of_means)} ± {number(row.sd, digits=of_means)}" if row.done else "–"
    if c is None:
        return (row.variant, result, "", "", "", "", "baseline")
    ends = [number(end, digits=of_differences, sign=True) for end in c.interval or ()]
    return (
        row.variant,
        result,
        number(c.difference, digits=of_differences, sign=True),
        " to ".join(ends) or "–",
        number(c.probability_better),
        p_value(c.p_adjusted),
        c.verdict,
    )


def print_summary(summary: Summary, console: Console) -> None:
    """The question, the table and the verdicts, on a terminal."""
    unit = f" ({summary.metric.unit})" if summary.metric.unit else ""
    console.print(summary.question, style="bold", markup=False)
    console.print(_verdict_table(f"{summary.metric.name}{unit}, {len(summary.seeds)} seeds", summary.rows))
    console.print()
    for line in (*summary.headlines.values(), *summary.problems):
        console.print(line, markup=False, highlight=False)
    if compared := equal_time.rows(summary):
        console.print()
        console.print(_verdict_table("Against the baseline in fewer epochs, at equal time", compared))
    _print_published(summary, console)


def _verdict_table(title: str, rows: Sequence[Row]) -> Table:
    table = _terminal_table(title)
    styles = {"helps": "green", "hurts": "red", "undecided": "yellow", "baseline": "dim"}
    # 80 columns hold the rest and a name of 23 letters; rich would squeeze one column to nothing.
    shown = [i for i, name in enumerate(HEADER) if name != "P(better)"]
    for i in shown:
        left = HEADER[i] in ("variant", "verdict")
        table.add_column(HEADER[i], justify="left" if left else "right", no_wrap=i > 0, overflow="fold")
    for row in cells(rows):
        table.add_row(*(Text(row[i], style=styles[row[i]] if i == len(row) - 1 else "") for i in shown))
    return table


def _print_published(summary: Summary, console: Console) -> None:
    rows = published.cells(summary)
    if not rows:
        return
    table = _terminal_table("Published figures")
    styles = {"agrees": "green", "differs": "red"}
    # Likewise: the names and sources are folded, and the report has the rest.
    shown = [i for i, name in enumerate(published.HEADER) if name not in ("difference", "agrees within")]
    for i in shown:
        numbers = published.HEADER[i] in ("published", "ours")
        table.add_column(published.HEADER[i], justify="right" if numbers else "left", no_wrap=numbers, overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[i], style=styles.get(row[i], "")) for i in shown))
    console.print()
    console.print(table)
    console.print()
    if summary.study.plan["changed"]:
        console.print(published.legend(summary), markup=False, highlight=False)


def _terminal_table(title: str) -> Table:
    # No edge: its two columns are those for which a long name would be folded on a terminal of 80.
    return Table(
        title=Text(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )


def markdown_escape(text: str) -> str:
    """Text on one line that Markdown shows as it stands, so that a `<b>` or a_b_c in it is not taken for markup."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    # An underscore within a word is no markup: escaping it would only spoil the plain text.
    return re.sub(r"([\\`*\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""

    def line(items: Sequence[str]) -> str:
        return "| " + " | ".join(map(markdown_escape, items)) + " |"

    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def csv_table(summary: Summary) -> str:
    """Every metric and variant, a line each, unrounded; an empty field where there is no number.

    Published figures and savings of time stand in the lines of the study's metric, at the end.
    """
    beside = [part.csv_columns(summary) for part in (published, tradeoff, equal_time)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "metric",
            "unit_of_differences",
            "variant",
            "seeds",
            "mean",
            "sd",
            "pairs",
            "difference",
            "interval_low",
            "interval_high",
            "p_value",
            "p_adjusted",
            "p_sign_flip",
            "probability_better",
            "correlation",
            "smallest_detectable",
            "standard_error_over_test_images",
            "more_seeds",
            "verdict",
            "reason",
            *(f"seed_{seed}" for seed in summary.seeds),
            *(name for names, _ in beside for name in names),
        ]
    )
    tables = {summary.metric: summary.rows, **{Metric.named(name): rows for name, rows in summary.others.items()}}
    for metric, rows in tables.items():
        for row in rows:
            c = row.comparison
            compared: list[object] = [None] * 12 + ["baseline", None]
            if c is not None:
                compared = [
                    c.seeds,
                    c.difference,
                    *(c.interval or (None, None)),
                    c.p_value,
                    c.p_adjusted,
                    c.p_sign_flip,
                    c.probability_better,
                    c.correlation,
                    c.smallest_detectable,
                    row.example_error,
                    c.more_seeds,
                    c.verdict,
                    c.reason,
                ]
            line = [metric.name, metric.unit, row.variant, len(row.done), row.mean, row.sd, *compared, *row.values]
            for names, fields in beside:
                line += fields[row.variant] if metric == summary.metric else [None] * len(names)
            writer.writerow("" if isinstance(x, float) and math.isnan(x) else x for x in line)
    return out.getvalue()


_LATEX = {
    "\\": r"\textbackslash{}",
    **{c: "\\" + c for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "<": r"$<$",
    ">": r"$>$",
}


def latex_escape(text: str) -> str:
    """Text on one line that LaTeX prints as it stands; a blank line in a caption would be an error."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _latex_cell(text: str) -> str:
    # A hyphen before a digit is a minus in a column of numbers.
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", latex_escape(text))


def latex_table(summary: Summary) -> str:
    """A table for a paper, and of published figures and savings where there are some; needs the package booktabs."""
    tables = [_latex_table(f"{summary.question} {HEADER_LEGEND}", "lrrrrrl", HEADER, cells(summary.rows))]
    if rows := published.cells(summary):
        tables.append(_latex_table(published.legend(summary), "llrrrrl", published.HEADER, rows))
    if rows := tradeoff.cells(summary):
        tables.append(_latex_table(tradeoff.legend(summary), "lrrrl", tradeoff.header(summary), rows))
    if compared := equal_time.rows(summary):
        tables.append(_latex_table(equal_time.LEGEND, "lrrrrrl", HEADER, cells(compared)))
    return "\n".join([r"% \usepackage{booktabs}", *tables])


def _latex_table(caption: str, columns: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex_escape(caption)}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        "    " + " & ".join(map(latex_escape, header)) + r" \\",
        r"    \midrule",
        *("    " + " & ".join(map(_latex_cell, row)) + r" \\" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
