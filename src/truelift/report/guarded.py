"""How each variant stands under each guard, whether or not that decides."""

import math
from collections.abc import Sequence

from truelift.report.rows import Row
from truelift.verdicts import Guarded
from truelift.verdicts.wording import of_guard

HEADING = "Guards"
HEADER = ("variant", "guard", "state", "worse by", "at most", "limit")
LEGEND = (
    "By how much a guard's metric is worse than the baseline's, in the mean (below 0: better) and at most, by a "
    "one-sided interval. Held: shown to be within the limit; broken: shown to be beyond it; open: neither."
)


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """A row for each variant and guard, under HEADER; none without guards."""
    return [
        (row.variant, guard.metric, guard.state, *_numbers(guard))
        for row in rows
        if row.comparison is not None
        for guard in row.comparison.guards
    ]


def in_the_mean(guard: Guarded) -> str:
    """By how much it is worse."""
    return "–" if math.isnan(guard.worse) else of_guard(guard.worse, guard, "+")


def _numbers(guard: Guarded) -> tuple[str, str, str]:
    at_most = "–" if guard.at_most is None else of_guard(guard.at_most, guard, "+")
    return in_the_mean(guard), at_most, of_guard(guard.limit, guard)
