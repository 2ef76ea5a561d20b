"""Which metric is judged, and which way is better, where its name is somebody else's."""

import re
from dataclasses import replace
from typing import Literal, get_args

from truelift.errors import InputError, known
from truelift.metrics import KINDS, Metric
from truelift.records.elsewhere import RunTable
from truelift.records.elsewhere.names import METRICS, STEPS, find, plain, resolved

Better = Literal["higher", "lower"]

_SHORT = {"acc": "accuracy", "acc1": "accuracy", "top1": "accuracy", "err": "error"}
"""Short forms of endings that the catalogue knows."""

_VALIDATION = ("validation", "valid", "val", "dev", "eval")
_TEST = re.compile(r"(^|_)test(?=_|$)")
_CHOSEN = re.compile(r"(?:^|_)(best|max|maximum|highest|peak)(?=_|$)")


def choose(table: RunTable, wanted: str | None, better: Better | None) -> Metric:
    """The metric that is judged.

    Args:
        table: The runs.
        wanted: Its name, where the user gave it; else the first usual one, or the only one that there is.
        better: Which way is better; None where its name's ending says it.

    Raises:
        InputError: It is not there, cannot be told, or its direction cannot.
    """
    names = table.metrics
    if wanted is None:
        counters = find(STEPS, names)
        usual = find(METRICS, names)
        left = [name for name in names if name not in counters]
        if not usual and len(left) != 1:
            told = ", ".join(names[:12]) + (" …" if len(names) > 12 else "") if names else "no column of numbers"
            raise InputError(f"{table.source}: which metric is to be judged? Name it with --metric ({told}).")
        wanted = usual[0] if usual else left[0]
    else:
        wanted = resolved(wanted, names)
    known("metric", wanted, names)
    return named(wanted, better)


def named(name: str, better: Better | None) -> Metric:
    """The metric of that name: what the catalogue knows of "Test-Acc" is what it knows of test_accuracy.

    Raises:
        InputError: Its direction cannot be told.
    """
    if better is not None:
        known("better", better, get_args(Better))
    usual = _usual(name)
    if better is None and not is_known(name):
        raise InputError(f"--better must be higher or lower for a metric named {name}: its name does not say it.")
    return replace(Metric.named(usual, None if better is None else better == "higher"), name=name)


def is_known(name: str) -> bool:
    """Whether the catalogue knows metrics of such a name."""
    usual = _usual(name)
    return any(usual == kind.ending or usual.endswith(f"_{kind.ending}") for kind in KINDS)


def _usual(name: str) -> str:
    """As the catalogue writes it."""
    parts = plain(name).split("_")
    return "_".join([*parts[:-1], _SHORT.get(parts[-1], parts[-1])])


def against_its_name(metric: Metric) -> str | None:
    """A sentence where a metric is judged the other way round than its name tells, a short one too; else None."""
    usual = _usual(metric.name)
    found = replace(metric, name=usual).against_its_name
    return None if found is None else f"{metric.name}{found.removeprefix(usual)}"


def is_of_validation(name: str) -> bool:
    """Whether a metric's name says that it is of a validation set."""
    return any(part in _VALIDATION for part in plain(name).split("_"))


def is_of_test(name: str) -> bool:
    """Whether a metric's name says that it is of a test set."""
    return _TEST.search(plain(name)) is not None


def is_best_of_test(name: str) -> bool:
    """Whether a metric's name says that it is the best that was seen on the test set."""
    return is_of_test(name) and _CHOSEN.search(plain(name)) is not None


def of_validation(name: str, names: tuple[str, ...]) -> str:
    """The metric of the validation set that belongs to one: itself, or the same of another set.

    Raises:
        InputError: There is none.
    """
    if is_of_validation(name):
        return name
    plainly = {plain(other): other for other in reversed(names)}
    for part in _VALIDATION:
        for candidate in (_TEST.sub(rf"\g<1>{part}", plain(name)), f"{part}_{plain(name)}"):
            if candidate != plain(name) and candidate in plainly:
                return plainly[candidate]
    of_validation = [other for other in names if is_of_validation(other)]
    told = f"name one, as in --at best={of_validation[0]}" if of_validation else "there is none"
    raise InputError(f"--at best-validation needs the metric of the validation set that belongs to {name}: {told}.")
