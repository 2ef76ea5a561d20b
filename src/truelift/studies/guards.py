"""The keys `scale`, `guards` and `pooling` of a study file."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from truelift.errors import InputError, is_number, require, unknown_name
from truelift.metrics import PERCENT_OF_BASELINE, Limit, Metric, Scale, percent
from truelift.verdicts import POOLINGS, SCALES, Pooling
from truelift.verdicts.pooled import FEWEST_VARIANTS

_KEYS = ("limit", "higher_is_better", "scale")


def read_scale(value: Any) -> Scale | None:
    """The key `scale`: points, fraction or none; None where it is not there.

    Raises:
        InputError: It is another word.
    """
    if value is None or value in SCALES:
        return value  # type: ignore[no-any-return]  # a member of the literal
    raise unknown_name("scale", str(value), SCALES)


def read_pooling(value: Any, variants: int) -> Pooling:
    """The key `pooling`: none, or guarded for three variants beside the baseline and more.

    Args:
        value: The file's.
        variants: How many there are beside the baseline.

    Raises:
        InputError: It is another word, or there are too few variants.
    """
    if value not in POOLINGS:
        raise unknown_name("pooling", str(value), POOLINGS)
    few = value == "guarded" and variants < FEWEST_VARIANTS
    require("variants beside the baseline", variants, not few, f'at least {FEWEST_VARIANTS} where pooling = "guarded"')
    return value  # type: ignore[no-any-return]  # a member of the literal


def read_guards(table: Mapping[str, Any], *, metric: str, scale: Scale | None, programs: bool) -> tuple[Limit, ...]:
    """The table `guards`: to a metric's name how much worse it may get at most.

    A number is in the metric's unit; "3 %" is percent of the baseline's. A table with `limit` may say what the name
    does not: `higher_is_better` and `scale`.

    Args:
        table: The file's.
        metric: The study's own, which is no guard.
        scale: The study's.
        programs: Whether a variant is a program of the user's.

    Raises:
        InputError: A guard is no sound one.
    """
    return tuple(_limit(name, given, metric=metric, scale=scale, programs=programs) for name, given in table.items())


def _limit(name: str, given: Any, *, metric: str, scale: Scale | None, programs: bool) -> Limit:
    require("guards", name, name != metric, "other metrics than the study's own")
    entries = given if isinstance(given, dict) else {"limit": given}
    for key in entries:
        if key not in _KEYS:
            raise unknown_name(f"key in guards.{name}", key, _KEYS)
    better = entries.get("higher_is_better")
    require(
        f"guards.{name}: higher_is_better", repr(better), better is None or isinstance(better, bool), "true or false"
    )
    found = Metric.named(name, better)
    own = read_scale(entries.get("scale"))
    if own is None and found.in_points:
        own = scale if programs else found.of_trainings().scale
    found = found if own is None else Metric.named(name, better, scale=own)
    most, relative = _number(name, entries.get("limit"))
    if relative and not found.relative:
        found = replace(found, unit=PERCENT_OF_BASELINE, relative=True)
    return Limit(found, most)


def _number(name: str, given: Any) -> tuple[float, bool]:
    """The limit and whether it is in percent of the baseline."""
    if (share := percent(given)) is not None:
        return share, True
    if not is_number(given) or not math.isfinite(given) or given < 0:
        rule = 'a number of at least 0, or percent of the baseline such as "3 %"'
        raise InputError(f"guards.{name} must be {rule}, got {given!r}.")
    return float(given), False
