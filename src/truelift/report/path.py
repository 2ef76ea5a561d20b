"""The path of a study that runs seeds until it is decided: estimate, interval and boundary at every look."""

from truelift.report.growing import growth_lines
from truelift.report.rows import difference_digits
from truelift.report.summary import Summary
from truelift.verdicts import Look
from truelift.verdicts.numbers import number, p_value

HEADING = "Seeds until decided"
HEADER = ("variant", "pairs", "difference", "interval", "decides beyond", "p at this look", "p at any stop")
LEGEND = (
    "Each look at the level that the correction for several variants asks of its variant in the end. Where a "
    "difference lies beyond its boundary, the interval leaves out 0, and p at any stop, over all looks so far, is at "
    "most that level."
)


def lines(summary: Summary) -> list[str]:
    """Where each variant stopped or stands, and which runs were not needed."""
    return [] if summary.grown is None else growth_lines(summary.grown, summary.asked)


def cells(summary: Summary) -> list[tuple[str, ...]]:
    """A row a look, under HEADER."""
    digits = difference_digits(summary.rows)

    def shown(value: float) -> str:
        return number(value, digits=digits, sign=True)

    return [
        (
            name,
            str(look.seeds),
            shown(look.difference),
            " to ".join(map(shown, look.interval)) if _wide(look) else "–",
            " or ".join(map(shown, look.boundary)) if _wide(look) else "–",
            p_value(look.p_at_look),
            p_value(look.p_value),
        )
        for name, c in summary.comparisons.items()
        for look in c.path
    ]


def _wide(look: Look) -> bool:
    """Whether there is a spread; without one, signs alone are counted."""
    return look.boundary[0] < look.boundary[1]
