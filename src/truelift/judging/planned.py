"""The runs of `truelift.compare`, planned: each variant under each seed, in a folder that its settings name."""

import copy
import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from truelift.errors import InputError, known, require
from truelift.judging.train_source import source_of
from truelift.seeds import MOST_SEEDS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Train = Callable[..., Mapping[str, float]]
"""`train(seed, **settings)` returns numbers by name."""


@dataclass(frozen=True)
class PlannedRun:
    """One variant under one seed."""

    variant: str
    seed: int
    settings: Mapping[str, Any]
    folder: str
    """Relative to the study's; named by what changes the result."""


def checked_names(variants: Mapping[str, Mapping[str, Any]], baseline: str | None) -> list[str]:
    """The baseline first."""
    if not isinstance(variants, Mapping):
        raise InputError(f"variants must be a dict of settings by name, got {variants!r}.")
    names = list(variants)
    if len(names) < 2:
        raise InputError(f"variants must be the baseline and at least one other, got {', '.join(names) or 'none'}.")
    for name in names:
        holds = isinstance(name, str) and _NAME.fullmatch(name) is not None
        require("a variant's name", repr(name), holds, 'of letters, digits, ".", "_" and "-" alone')
    first = names[0] if baseline is None else baseline
    known("baseline", first, names)
    return [first, *(name for name in names if name != first)]


def seeds_from(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds, of a number those from 0.

    Raises:
        InputError: The number is below 1 or too large, or the list has none, equal ones or no whole numbers of 64 bits.
    """
    if isinstance(seeds, int) and seeds > MOST_SEEDS:
        raise InputError(f"seeds must be at most {MOST_SEEDS:,}, got {seeds}.")
    several = isinstance(seeds, Iterable) and not isinstance(seeds, str | bytes)
    found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds) if several else ()
    for seed in found:
        if isinstance(seed, int) and not -(2**63) <= seed < 2**63:
            raise InputError(f"seeds must be numbers of 64 bits, got {seed}.")
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in found)
    holds = whole and len(found) > 0 and len(set(found)) == len(found) and not isinstance(seeds, bool)
    require("seeds", repr(seeds), holds, "a number of at least 1, or a list of different whole numbers")
    return found


def plan_runs(
    train: Train, variants: Mapping[str, Mapping[str, Any]], names: Sequence[str], seeds: Sequence[int]
) -> list[PlannedRun]:
    """All runs, seed by seed, so that what is cut short has complete pairs.

    Raises:
        InputError: `train` does not take a variant's settings, or they are not of JSON.
    """
    source = source_of(train)
    digests = {name: _settings_text(name, variants[name]) for name in names}
    kept = {name: copy.deepcopy(dict(variants[name])) for name in names}
    for name in names:
        try:
            inspect.signature(train).bind(seeds[0], **variants[name])
        except TypeError as error:
            told = f"{error}; the first parameter is the seed"
            raise InputError(f'variant "{name}": train(seed, **settings) does not take them: {told}.') from None
        except ValueError:  # written in C: it is seen when it is called
            continue
    return [
        PlannedRun(name, seed, kept[name], f"runs/{name}/seed-{seed}-{_digest(source, digests[name])}")
        for seed in seeds
        for name in names
    ]


def _settings_text(name: str, settings: Mapping[str, Any]) -> str:
    if not isinstance(settings, Mapping) or not all(isinstance(key, str) for key in settings):
        raise InputError(f'variant "{name}" must be a dict of settings by name, got {settings!r}.')
    if "seed" in settings:
        raise InputError(f'variant "{name}" must not set seed, which every run is given.')
    try:
        return json.dumps(dict(settings), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f'variant "{name}": settings must be what JSON has, since they name its runs: {error}.'
        ) from None


def _digest(source: str, settings: str) -> str:
    return hashlib.sha256(f"{source}\0{settings}".encode()).hexdigest()[:8]


def runs_form(planned: Sequence[PlannedRun]) -> list[dict[str, Any]]:
    """What study.json says of the runs."""
    return [{"variant": run.variant, "seed": run.seed, "folder": run.folder} for run in planned]


def seeds_of(planned: Sequence[PlannedRun]) -> list[int]:
    """Their seeds, each once."""
    return list(dict.fromkeys(run.seed for run in planned))
