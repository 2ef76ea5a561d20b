"""The report on a terminal: question, table and verdicts."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from truelift.report import guarded, path, published, sections
from truelift.report.notes import MOST_AT_ONCE
from truelift.report.plain import one_line
from truelift.report.rows import Row
from truelift.report.summary import Summary

_VERDICTS = {
    "helps": "green",
    "hurts": "red",
    "no effect": "cyan",
    "undecided": "yellow",
    "failed": "magenta",
    "baseline": "dim",
}
_MOST_UNDECIDED = 12
_STATES = {"held": "green", "broken": "red", "open": "yellow"}
_AGREEMENTS = {"agrees": "green", "differs": "red"}


def print_summary(summary: Summary, console: Console) -> None:
    """The question, the table and the verdicts."""
    unit = f" ({summary.metric.unit})" if summary.metric.unit else ""
    _print(console, summary.asked.question, style="bold")
    at_most = "at most " if summary.asked.looks is not None else ""
    seeds = len(summary.asked.seeds)
    pairs = f"{at_most}{seeds} {summary.asked.replicates[:-1] if seeds == 1 else summary.asked.replicates}"
    counted = pairs if summary.asked.paired else "not paired by seed"
    console.print(_verdict_table(f"{summary.metric.name}{unit}, {counted}", summary.rows))
    if guards := guarded.cells(summary.rows):
        console.print()
        console.print(_guard_table(guards))
    console.print()
    for line in (*_verdicts(summary), *path.lines(summary), *summary.problems, *summary.cautions):
        _print(console, line)
    if compared := summary.trade_off.at_equal_time:
        console.print()
        console.print(_verdict_table("Against the baseline in fewer epochs, at equal time", compared))
    if summary.published:
        _print_published(summary, console)
    for line in summary.notes[:MOST_AT_ONCE]:
        _print(console, f"note: {line}", style="yellow")
    if (more := len(summary.notes) - MOST_AT_ONCE) > 0:
        _print(console, f"note: {more} more are in the report.", style="yellow")


def _verdicts(summary: Summary) -> list[str]:
    """Each variant's, but for the undecided ones where these are too many to be read."""
    found = summary.headlines.values()
    undecided = sum(one.verdict == "undecided" for one in found)
    if undecided <= _MOST_UNDECIDED:
        return [one.line for one in found]
    decided = [one.line for one in found if one.verdict != "undecided"]
    return [*decided, f"undecided · {undecided} variants: the report says of each why."]


def _print(console: Console, text: str, style: str | None = None) -> None:
    console.print(one_line(text), style=style, markup=False, highlight=False)


def _verdict_table(title: str, rows: Sequence[Row]) -> Table:
    # 80 columns hold the rest and a name of 23 letters; rich would squeeze one column to nothing.
    shown = [i for i, name in enumerate(sections.HEADER) if name != "P(better)"]
    table = _table(title)
    for i in shown:
        name = sections.HEADER[i]
        numbers = name not in ("variant", "verdict")
        table.add_column(name, justify="right" if numbers else "left", no_wrap=i > 0, overflow="fold")
    for row in sections.cells(rows):
        *values, verdict = (row[i] for i in shown)
        table.add_row(*map(_cell, values), _cell(verdict, _VERDICTS[verdict]))
    return table


def _guard_table(guards: Sequence[Sequence[str]]) -> Table:
    table = _table(guarded.HEADING)
    for i, name in enumerate(guarded.HEADER):
        table.add_column(name, justify="right" if i > 2 else "left", no_wrap=i > 1, overflow="fold")
    for variant, guard, state, *numbers in guards:
        table.add_row(_cell(variant), _cell(guard), _cell(state, _STATES[state]), *map(_cell, numbers))
    return table


def _print_published(summary: Summary, console: Console) -> None:
    # Likewise: the names and sources are folded, and the report has the rest.
    shown = [i for i, name in enumerate(published.HEADER) if name not in ("difference", "agrees within")]
    table = _table("Published figures")
    for i in shown:
        numbers = published.HEADER[i] in ("published", "ours")
        table.add_column(published.HEADER[i], justify="right" if numbers else "left", no_wrap=numbers, overflow="fold")
    for row in published.cells(summary.published, summary.rows):
        *values, agreement = (row[i] for i in shown)
        table.add_row(*map(_cell, values), _cell(agreement, _AGREEMENTS.get(agreement, "")))
    console.print()
    console.print(table)
    console.print()
    if summary.asked.changed:
        _print(console, published.legend(summary.asked.changed))


def _cell(text: str, style: str = "") -> Text:
    return Text(one_line(text), style=style)


def _table(title: str) -> Table:
    # No edge: its two columns are those for which a long name would be folded on a terminal of 80.
    return Table(
        title=_cell(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
