"""From the runs of an experiment tracker to variants and seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from truelift.errors import InputError
from truelift.records.elsewhere import names as usual
from truelift.records.elsewhere.cells import seed_of, text
from truelift.records.elsewhere.run_table import Fact, OneRun, RunTable, Series, Wanted


@dataclass(frozen=True)
class TrackedRun:
    """One run, as a tracker tells it."""

    name: str
    """Of the run, or its folder's path with slashes."""
    series: Mapping[str, Series]
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """Its configuration, parameters and tags, by dotted name."""
    failed: str | None = None
    """Why it did not end well, if the tracker says so."""


def name_of(home: Path, folder: Path) -> str:
    """A run's name: its folder's path below the one that is read; its own name where it does not lie below."""
    return home.relative_to(folder).as_posix() if folder in home.parents else home.absolute().name


def series_of(points: Iterable[tuple[float, float]]) -> Series:
    """A series of (step, value) in any order; of several values at one step the last counts."""
    by_step = dict(points)
    steps = sorted(by_step)
    return Series(np.array(steps, dtype=np.float64), np.array([by_step[step] for step in steps], dtype=np.float64))


def table_of(source: str, kind: str, runs: Sequence[TrackedRun], wanted: Wanted, counts: str = "step") -> RunTable:
    """Each run's variant and seed: from its configuration, else from its name.

    Args:
        source: What was read.
        kind: What the runs are, for messages: "MLflow runs".
        runs: All of them.
        wanted: What the user said.
        counts: What the steps of the series count.

    Raises:
        InputError: There are no runs, a name that the user gave is not there, or a seed is none.
    """
    if not runs:
        raise InputError(f"{source} holds no {kind}.")
    columns = {
        name: [run.facts.get(name) for run in runs]
        for name in dict.fromkeys(name for run in runs for name in run.facts)
    }
    wanted = replace(
        wanted,
        variant=tuple(usual.resolved(name, columns) for name in wanted.variant),
        seed=None if wanted.seed is None else usual.resolved(wanted.seed, columns),
    )
    parts = usual.names_parts([run.name for run in runs], wanted.baseline)
    seeds, seed_from = _seeds(source, runs, columns, [seed for _, seed in parts], wanted)
    names, variant_from = _variants(runs, columns, [variant for variant, _ in parts], wanted)
    places = [f'{source}: run "{run.name}"' for run in runs]
    variants = names.checked(variant_from, places, wanted=bool(wanted.variant)).variants
    made = tuple(
        OneRun(variant, seed, run.series, f'run "{run.name}"', run.facts, run.failed)
        for run, variant, seed in zip(runs, variants, seeds, strict=True)
    )
    several = any(len(found.steps) > 1 for run in made for found in run.series.values())
    return RunTable(
        f"{source} ({kind})",
        made,
        variant_from,
        seed_from,
        seeds_are_folds=usual.is_fold(seed_from),  # which ends with the setting's name
        steps_from=counts if several else None,
        notes=names.notes,
    )


def _seeds(
    source: str,
    runs: Sequence[TrackedRun],
    columns: Mapping[str, Sequence[Fact]],
    of_names: Sequence[int | None],
    wanted: Wanted,
) -> tuple[Sequence[int | str | None], str]:
    name = wanted.seed
    if name is not None:
        usual.given("setting with the seed", name, columns)
    else:
        # A setting that is the same in all of many runs pairs nothing: a data split's, or a default that is not used.
        found = [n for n in usual.find(usual.SEEDS, columns) if all(text(v) for v in columns[n])]
        name = next((n for n in found if len({text(v) for v in columns[n]}) > 1), None)
    if name is not None:
        values = zip(columns[name], runs, strict=True)
        return [seed_of(value, name, f'{source}, run "{run.name}"') for value, run in values], f"the setting {name}"
    if all(seed is not None for seed in of_names):
        return of_names, "the runs' names"
    return [None] * len(runs), "nowhere"


def _variants(
    runs: Sequence[TrackedRun], columns: Mapping[str, Sequence[Fact]], of_names: Sequence[str], wanted: Wanted
) -> tuple[usual.Names, str]:
    by_name = usual.Names(tuple(of_names), ())
    try:
        found = usual.find_variants(columns, wanted.variant, wanted.baseline)
    except InputError:
        if wanted.variant:
            raise
        if wanted.baseline in {run.name for run in runs} - set(of_names):
            return replace(by_name, variants=tuple(run.name for run in runs)), "the runs' names"
        if wanted.baseline not in of_names and len(set(of_names)) == len(of_names):
            raise
        found = None  # none of the settings holds the baseline: the names do, or tell the nearest
    if found is None or (not wanted.variant and wanted.baseline is None and len(set(found.variants)) < 2):
        return by_name, "the runs' names"
    return found, f"the {'setting' if len(found.columns) == 1 else 'settings'} {', '.join(found.columns)}"
