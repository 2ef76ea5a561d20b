"""Published figures beside the study's own, and whether they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from truelift.report.rows import Row, mean_and_sd, mean_digits
from truelift.verdicts import Agreed, PublishedFigure, agreement
from truelift.verdicts import wording as words
from truelift.verdicts.agreement import NOT_COMPARED
from truelift.verdicts.numbers import number

HEADER = ("variant", "source", "published", "ours", "difference", "agrees within", "agreement")
_LEGEND = (
    "Mean ± standard deviation, the number of runs in brackets; difference: ours less the published. One published "
    "run, or a mean without a standard deviation, agrees where it lies in the 95 % prediction interval for as many "
    "further runs of ours; a published mean with a standard deviation agrees where Welch's t-test does not tell the "
    "two apart at 5 %. So of twenty figures that are reproduced one is expected to differ; and a wide interval "
    "agrees with much: more seeds narrow it."
)


@dataclass(frozen=True)
class Beside:
    """One published figure and our own of the same variant."""

    row: Row
    figure: PublishedFigure
    found: Agreed


def beside(
    rows: Sequence[Row], published: Mapping[str, Sequence[PublishedFigure]], *, comparable: bool
) -> tuple[Beside, ...]:
    """Each published figure beside ours; without agreement where ours are not of the published protocol."""
    return tuple(
        Beside(row, figure, agreement(row.done, figure) if comparable else NOT_COMPARED)
        for row in rows
        for figure in published.get(row.variant, ())
    )


def cells(found: Sequence[Beside], rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The figures under HEADER, with as many digits as the study's metric has in its rows."""
    digits = mean_digits(rows)
    return [_cells(one, digits) for one in found]


def _cells(one: Beside, digits: int) -> tuple[str, ...]:
    row, figure, found = one.row, one.figure, one.found
    several = f" ({figure.runs})" if figure.runs > 1 else ""
    return (
        row.variant,
        figure.source,
        f"{figure.value:g}" + (f" ± {figure.sd:g}" if figure.sd is not None else "") + several,
        f"{mean_and_sd(row, digits)} ({len(row.done)})" if row.done else "–",
        number(found.difference, digits=digits, sign=True),
        " to ".join(number(end, digits=digits) for end in found.interval or ()) or "–",
        words.agreement(found.agreement),
    )


def legend(changed: Sequence[str]) -> str:
    """How to read the table, or why it says nothing of agreement.

    Args:
        changed: Settings in which the runs depart from the published protocol.
    """
    if not changed:
        return _LEGEND
    return (
        "The published figures belong to the full protocol (--scale paper), and these runs change "
        f"{', '.join(changed)}: they stand here for orientation, and nothing is said of agreement."
    )
