"""A run's identity: what changes its result, and nothing else.

It is made of the settings that differ from their defaults and the version of these defaults. So an option that is added
later, with a default that changes nothing, leaves the identity of every run as it was. Options marked `OPERATIONAL`
(where the data lie, how many processes decode, on which device a run runs) are no part of it; of those marked `PLACE`
it is the last part of the path.
"""

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import tomli_w

from truelift.errors import InputError
from truelift.models import earlier_meaning
from truelift.options import operational, places
from truelift.records import read_config_file, write_unless_there
from truelift.training.experiment import Experiment
from truelift.training.settings import flatten, parse_experiment, to_dict

DEFAULTS_VERSION = 1
"""To be raised whenever a default that stands changes, or what one means (a test holds today's)."""

_VERSION = "defaults_version"
OPERATIONAL_OPTIONS = operational(Experiment)
"""The dotted names of the options that are no part of an identity."""
_PLACES = places(Experiment)
_ONCE_OPERATIONAL = frozenset({"data.image_column", "data.label_column", "data.image_folder"})

_DEFAULTS = flatten(to_dict(Experiment()))


def identity(experiment: Experiment) -> dict[str, Any]:
    """What changes a resolved experiment's result, by dotted name; of a user's own file its name and its digest."""
    return identity_of(config(experiment))


def identity_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of the experiment that `config` gave this of."""
    return _identity_of(content, OPERATIONAL_OPTIONS, _PLACES)


def _identity_of(content: Mapping[str, Any], left_out: Collection[str], by_last_part: Set[str]) -> dict[str, Any]:
    settings = flatten({name: value for name, value in content.items() if name != _VERSION})
    told = {name: value for name, value in settings.items() if name not in left_out}
    told = {name: value for name, value in told.items() if name not in _DEFAULTS or _DEFAULTS[name] != value}
    # Absolute: in earlier versions one may be ".".
    told |= {name: Path(told[name]).absolute().name for name in by_last_part & told.keys()}
    digests = told.pop("own", {})
    parts = {path: f"{_without_folder(path)}#{digest}" for path, digest in digests.items()}
    return {name: _named(value, parts) for name, value in told.items()} | {_VERSION: DEFAULTS_VERSION}


def without_seed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is the same for all seeds of a variant, of an identity."""
    return {name: value for name, value in settings.items() if name != "seed"}


def fingerprint(settings: Any) -> str:
    """Eight hexadecimal digits that change with any setting."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def fingerprints(experiment: Experiment) -> frozenset[str]:
    """Those that a checkpoint of a resolved experiment may have: today's, and that of earlier versions.

    These counted columns as no part of an identity, and places whole.
    """
    before = _identity_of(config(experiment), OPERATIONAL_OPTIONS | _ONCE_OPERATIONAL, frozenset())
    return frozenset(map(fingerprint, (identity(experiment), before)))


def write_config(folder: Path, experiment: Experiment) -> None:
    """Write config.toml, from which `read_config` gives the same experiment."""
    write_unless_there(folder / "config.toml", tomli_w.dumps(config(experiment)))


def config(experiment: Experiment) -> dict[str, Any]:
    """What config.toml holds: every setting, and the version of the defaults."""
    return {_VERSION: DEFAULTS_VERSION, **to_dict(experiment)}


def read_config(folder: Path) -> Experiment:
    """The experiment that a run's folder is for.

    Raises:
        InputError: There is no config.toml, or it is none of an experiment's.
    """
    return _read(folder)[0]


def find_folder(wanted: Path, experiment: Experiment) -> Path:
    """The folder of a run: the one that is wanted, or one beside it that holds the same run under another name.

    Version 0.1 named a run's folder by all settings, those of the machine too.

    Args:
        wanted: Its name ends with a hyphen and the fingerprint.
        experiment: The run's, resolved.
    """
    if wanted.exists() or not wanted.parent.is_dir():
        return wanted
    return next((folder for folder, found in beside(wanted, experiment) if not found), wanted)


def beside(wanted: Path, experiment: Experiment) -> Iterator[tuple[Path, list[tuple[str, Any, Any]]]]:
    """The folders beside a run's, of the same variant and seed, each with its `differences`; damaged ones are left out.

    Args:
        wanted: The run's; its name ends with a hyphen and the fingerprint.
        experiment: The run's, resolved.
    """
    start = wanted.name.rpartition("-")[0]
    for folder in sorted(wanted.parent.glob(f"{start}-????????")):
        if (folder / "config.toml").is_file():
            try:
                yield folder, differences(folder, experiment)
            except InputError:  # a damaged record is no run of ours
                continue


def differences(folder: Path, experiment: Experiment) -> list[tuple[str, Any, Any]]:
    """Where a run's folder holds another experiment: each option's name, its value there and here."""
    there, version = _read(folder)
    if version is None and experiment.precision == "auto":
        # Version 0.1 wrote down what the machine chose; what was chosen by hand cannot be told from it.
        there = dataclasses.replace(there, precision="auto")
    before, now = identity(there), identity(experiment)
    before[_VERSION] = now[_VERSION] if version is None else version
    names = sorted(before.keys() | now.keys())
    return [(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]


def edited_parts(found: Sequence[tuple[str, Any, Any]], experiment: Experiment) -> list[str]:
    """The own parts in whose source alone a run differs from this experiment; none where it differs in anything else.

    Args:
        found: The run's `differences`.
        experiment: The other one, resolved.
    """
    names = {_without_folder(path) for path in experiment.own}

    def without_digest(value: Any) -> Any:
        if isinstance(value, list):
            return [without_digest(item) for item in value]
        name = str(value).rpartition("#")[0]
        return name if name in names else value

    if any(without_digest(before) != without_digest(now) for _, before, now in found):
        return []
    listed = [(before, now) if isinstance(now, list) else ([before], [now]) for _, before, now in found]
    return sorted({without_digest(part) for before, now in listed for part in now if part not in before})


def _read(folder: Path) -> tuple[Experiment, int | None]:
    settings = read_config_file(folder)
    version = settings.pop(_VERSION, None)
    return parse_experiment(as_recorded(flatten(settings)), str(folder / "config.toml")), version


def as_recorded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run's config.toml, with names that meant something else when it was written as they are now.

    Args:
        settings: By dotted name.
    """
    name = settings.get("model.name")
    return {**settings, "model.name": earlier_meaning(name)} if isinstance(name, str) else dict(settings)


def _without_folder(path: str) -> str:
    file, colon, name = path.partition(":")
    return f"{Path(file).name}{colon}{name}"


def _named(value: Any, parts: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_named(item, parts) for item in value]
    return parts.get(value, value) if isinstance(value, str) else value
