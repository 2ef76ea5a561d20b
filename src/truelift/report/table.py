"""The verdict table: for a terminal, as Markdown, CSV and LaTeX."""

import csv
import io
import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from truelift.report.summary import Row, Summary

HEADER = ("variant", "mean ± sd", "difference", "95 % interval", "P(better)", "p", "verdict")
HEADER_LEGEND = (
    "Mean and standard deviation over seeds; difference to the baseline, mean over paired seeds, with a paired-t "
    "interval; P(better): share of the pairs in which the variant is better; p: paired t, Holm-corrected."
)


def number(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """A number for reading; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    if value == 0 or 10**-digits <= abs(value) < 1e6:
        return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return f"{value:+.2e}" if sign else f"{value:.2e}"


def cells(row: Row) -> tuple[str, ...]:
    """A row's cells, under HEADER."""
    c = row.comparison
    result = f"{number(row.mean)} ± {number(row.sd)}"
    if c is None:
        return (row.variant, result, "", "", "", "", "baseline")
    interval = f"{number(c.interval[0], sign=True)} to {number(c.interval[1], sign=True)}" if c.interval else "–"
    return (
        row.variant,
        result,
        number(c.difference, sign=True),
        interval,
        number(c.probability_better),
        number(c.p_adjusted, digits=3),
        c.verdict,
    )


def print_summary(summary: Summary, console: Console) -> None:
    """The question, the table and the verdicts, on a terminal."""
    unit = f" ({summary.metric.unit})" if summary.metric.unit else ""
    table = Table(
        title=f"{summary.metric.name}{unit}, {len(summary.seeds)} seeds",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    styles = {"helps": "green", "hurts": "red", "undecided": "yellow", "baseline": "dim"}
    # Eighty columns hold all but P(better), which the other forms have.
    shown = [i for i, name in enumerate(HEADER) if name != "P(better)"]
    for i in shown:
        if HEADER[i] == "variant":
            table.add_column("variant", min_width=12, overflow="fold")
        else:
            table.add_column(HEADER[i], justify="left" if HEADER[i] == "verdict" else "right", no_wrap=True)
    for row in summary.rows:
        texts = cells(row)
        table.add_row(*(texts[i] for i in shown[:-1]), f"[{styles[texts[-1]]}]{texts[-1]}[/]")
    console.print(summary.question, style="bold", markup=False)
    console.print(table)
    for line in (*summary.headlines.values(), *summary.problems):
        console.print(line, markup=False, highlight=False)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""

    def line(items: Sequence[str]) -> str:
        return "| " + " | ".join(item.replace("|", r"\|").replace("\n", " ") for item in items) + " |"

    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])


def csv_table(summary: Summary) -> str:
    """Every metric and variant, a line each, unrounded; an empty field where there is no number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "metric",
            "variant",
            "seeds",
            "mean",
            "sd",
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
            *(f"seed_{seed}" for seed in summary.seeds),
        ]
    )
    for metric, rows in {summary.metric.name: summary.rows, **summary.others}.items():
        for row in rows:
            c = row.comparison
            compared: list[object] = [None] * 11 + ["baseline"]
            if c is not None:
                compared = [
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
                ]
            line = [metric, row.variant, len(row.done), row.mean, row.sd, *compared, *row.values]
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
    """Text that LaTeX prints as it stands."""
    return "".join(_LATEX.get(character, character) for character in text)


def latex_table(summary: Summary) -> str:
    """A table for a paper; needs the package booktabs."""
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        rf"  \caption{{{latex_escape(summary.question)} {latex_escape(HEADER_LEGEND)}}}",
        r"  \begin{tabular}{lrrrrrl}",
        r"    \toprule",
        "    " + " & ".join(map(latex_escape, HEADER)) + r" \\",
        r"    \midrule",
        *("    " + " & ".join(map(latex_escape, cells(row))) + r" \\" for row in summary.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
