"""Which parts of an experiment are a user's own, and what their source is."""

import dataclasses
from pathlib import Path
from typing import Any

from truelift.errors import InputError
from truelift.models import is_short_form
from truelift.own import absolute, digest, is_import_path

# The options that may hold an import path, and what they name.
PARTS = {
    "data.name": "data set",
    "augmentation.names": "augmentation",
    "model.name": "model",
    "objective.name": "objective",
    "gradient.name": "gradient rule",
    "optimizer.name": "optimizer",
    "schedule.name": "schedule",
    "freezing.name": "freezing",
    "policy.names": "policy",
    "metrics.names": "metric",
}


def with_sources(experiment: Any, *folders: Path) -> Any:
    """The experiment with the files of a user's own parts by their whole path, and a digest of each part's source.

    Args:
        experiment: An `Experiment`.
        folders: Where to look for files beside the folder the command was started in.

    Raises:
        InputError: A part is not there, or its source is another than that which the experiment was planned with; or
            args are given that belong to no part of the user's own.
    """
    if is_import_path(experiment.tracker):  # which changes no result: its source is not the run's
        experiment = dataclasses.replace(experiment, tracker=absolute(experiment.tracker, "tracker", *folders))
    digests: dict[str, str] = {}
    for option, kind in PARTS.items():
        group_name, _, field = option.partition(".")
        group = getattr(experiment, group_name)
        value = getattr(group, field)
        names = (value,) if isinstance(value, str) else value
        whole = tuple(absolute(name, kind, *folders) if is_import_path(name) else name for name in names)
        for name in whole:
            if is_import_path(name) and not is_short_form(name):
                digests[name] = digest(name, kind)
        if group.args and not any(map(is_import_path, whole)):
            raise InputError(
                f"{group_name}.args must be left out where {option} is none of your own, got {group.args}."
            )
        if whole != names:
            changed = dataclasses.replace(group, **{field: whole[0] if isinstance(value, str) else whole})
            experiment = dataclasses.replace(experiment, **{group_name: changed})
    for name, planned in experiment.own.items():
        if digests.get(name) != planned:
            raise InputError(f"the source of {name} has changed since this run was planned.")
    return dataclasses.replace(experiment, own=digests)
