"""A variant's settings in percent of the shared ones, so that they keep their proportion at every scale."""

import re
from collections.abc import Mapping
from typing import Any

from truelift.errors import InputError
from truelift.training import to_dict
from truelift.training.parsing import flatten, parse_experiment

_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")


def is_relative(value: Any) -> bool:
    """Whether a setting is in percent: "80 %"."""
    return isinstance(value, str) and _PERCENT.fullmatch(value) is not None


def absolute(settings: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """A variant's settings with those in percent as numbers; whole ones are rounded.

    Args:
        settings: The variant's, by dotted name.
        shared: What all variants share; what it leaves out has the experiment's default.

    Raises:
        InputError: What all variants share is no number there.
    """
    relative = {name: value for name, value in settings.items() if is_relative(value)}
    if not relative:
        return dict(settings)
    whole = flatten(to_dict(parse_experiment(shared, "the shared settings")))
    # What is not there is unknown or has no value: it stays a text, which the experiment's own check refuses.
    return {**settings, **{name: _share(name, value, whole[name]) for name, value in relative.items() if name in whole}}


def _share(name: str, value: str, of: Any) -> float:
    percent = _PERCENT.fullmatch(value)
    assert percent is not None
    if isinstance(of, bool) or not isinstance(of, int | float):
        raise InputError(f"{name} must be a number for all variants where one has {value} of it, got {of}.")
    share = float(percent[1]) / 100 * of
    return round(share) if isinstance(of, int) else share
