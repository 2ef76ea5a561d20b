"""A variant's settings in percent of the shared ones, so that they keep their proportion at every scale."""

from collections.abc import Mapping
from typing import Any

from truelift.errors import InputError, is_number
from truelift.metrics import percent
from truelift.training import to_dict
from truelift.training.settings import flatten, parse_experiment


def is_relative(value: Any) -> bool:
    """Whether a setting is in percent: "80 %"."""
    return percent(value) is not None


def settings_in_full(shared: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the shared settings, by dotted name; what they leave out has the experiment's default.

    Raises:
        InputError: A setting is unknown or of the wrong type.
    """
    return flatten(to_dict(parse_experiment(shared, "the shared settings")))


def absolute(settings: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """A variant's settings with those in percent as numbers; whole ones are rounded.

    Args:
        settings: The variant's, by dotted name.
        whole: The values that all variants share; see `settings_in_full`.

    Raises:
        InputError: What all variants share is no number there.
    """
    # What is not there is unknown or has no value: it stays a text, which the experiment's own check refuses.
    return {
        name: _share(name, value, whole[name]) if is_relative(value) and name in whole else value
        for name, value in settings.items()
    }


def _share(name: str, value: str, of: Any) -> float:
    if not is_number(of):
        raise InputError(f"{name} must be a number for all variants where one has {value} of it, got {of}.")
    number = percent(value)
    assert number is not None
    share = number / 100 * of
    return round(share) if isinstance(of, int) else share
