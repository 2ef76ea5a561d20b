"""A study's plan: the question, the variants, the seeds, and the run of each variant under each seed.

A setting of a run is taken from the first of these that has it: the variant, the command line (which may not set what a
variant varies), the scale, the file's shared settings, the experiment's defaults. A scale stands below the command line
because it is part of the file, and below the variants because a scale that evened out what they vary would compare a
thing with itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from truelift.errors import InputError, is_whole, named, of_kind, unknown_name
from truelift.metrics import Limit, Metric
from truelift.options import without_effect, without_effect_told
from truelift.seeds import MOST_SEEDS
from truelift.studies.command import PROGRAM_KEYS, Program, read_program
from truelift.studies.executors.options import executor_options
from truelift.studies.extends import shared_settings
from truelift.studies.folds import Together, read_folds, refuse_with_folds
from truelift.studies.guards import read_guards, read_pooling, read_scale
from truelift.studies.looks import GivenLooks, chosen_looks, read_looks
from truelift.studies.looks import record as looks_record
from truelift.studies.published import read_published
from truelift.studies.relative import absolute, is_relative, typed
from truelift.toml import read_toml
from truelift.training import Experiment, fingerprint, resolve
from truelift.training.identity import OPERATIONAL_OPTIONS, config, identity_of
from truelift.training.settings import flatten, parse_experiment
from truelift.verdicts import Looks, Pooling, PublishedFigure
from truelift.verdicts.compare import NO_POOLING

KEYS = (
    "question",
    "baseline",
    "seeds",
    "replicates",
    "folds",
    "until_decided",
    "metric",
    "higher_is_better",
    "smallest_effect",
    "scale",
    "guards",
    "pooling",
    "vary_split",
    *PROGRAM_KEYS,
    "extends",
    "experiment",
    "variants",
    "shows",
    "takes",
    "scales",
    "published",
    "executor",
)
"""Those of a study file."""

NO_LOOKS = GivenLooks()
# Of a name that is part of a folder's: file systems take 255 bytes.
_LONGEST_NAME = 100

_OF_SCALE = ("takes", "seeds", "until_decided", "variants")
"""Keys of a scale that are no settings."""

OF_PROGRAM = ("command", "args", "seed")
"""What makes a program's run another run."""

PAPER = "paper"
"""The scale that is the file as it stands: in a recipe the paper's own."""


@dataclass(frozen=True)
class Variant:
    """One thing to compare: settings of ours, or a program of the user's."""

    name: str
    settings: Mapping[str, Any]
    """What differs from the shared settings, by dotted name; for a program its `args`."""
    program: Program | None = None
    """A user's program."""

    @property
    def command(self) -> str | None:
        """The program's, with {seed}, {out} and {args} to be filled in."""
        return None if self.program is None else self.program.command


@dataclass(frozen=True)
class Scale:
    """A study in another size, a shorter one most likely."""

    takes: str
    """How long it takes, and on what."""
    seeds: tuple[int, ...]
    looks: Looks | None
    """Of a study that runs seeds until it is decided; None for a fixed number."""
    settings: Mapping[str, Any]
    """In place of the shared ones, by dotted name."""
    variants: tuple[str, ...]
    """Those that it keeps."""


@dataclass(frozen=True)
class PlannedRun:
    """One variant under one seed."""

    variant: str
    seed: int
    experiment: Experiment | None
    """Resolved; None for a program of the user's."""
    config: dict[str, Any]
    """What config.toml is to hold: an experiment's settings, or `command`, `args`, `seed` and how it is run."""

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What changes its result."""
        if self.experiment is None:
            return {name: self.config[name] for name in OF_PROGRAM}
        return identity_of(self.config)

    @cached_property
    def folder(self) -> str:
        """Relative to the study's folder; named by what changes the result, so that another run has another folder."""
        return f"runs/{self.variant}/seed-{self.seed}-{fingerprint(self.identity)}"


@dataclass(frozen=True)
class StudyPlan:
    """What a study file says, checked."""

    name: str
    """The file's, and the scale's behind it."""
    scale: str | None
    """The scale that is applied; None for the file as it stands."""
    scales: Mapping[str, Scale]
    """Those that the file offers."""
    question: str
    baseline: str
    metric: Metric
    smallest_effect: float
    guards: tuple[Limit, ...]
    """Other metrics that may get worse by a limit at most."""
    pooling: Pooling
    seeds: tuple[int, ...]
    """All that may be run."""
    looks: Looks | None
    """Where it is judged while it grows, until it is decided; None for a fixed number of seeds."""
    vary_split: bool
    folds: int | None
    """Of a study whose replicates are the folds of one data set, how many; None for seeds."""
    shared: Mapping[str, Any]
    variants: tuple[Variant, ...]
    published: Mapping[str, tuple[PublishedFigure, ...]]
    """What others report of the file as it stands, by variant."""
    changed: tuple[str, ...]
    """Settings of the file's protocol that the scale or the command line changes, so that it is another."""
    shows: str
    """What a recipe should show: the published figures."""
    takes: str
    """How long it takes at its scale, and on what."""
    source: Path
    """The file; in its folder files of a user's own parts are looked for too."""
    executor: Any
    """Where the file has it run, a name or a table: no part of what it is."""
    referee: Mapping[str, Any] | None = None
    """What study.json says of the ledger that gave the seeds and the levels."""

    def experiment(self, variant: Variant, seed: int) -> Experiment:
        """The resolved experiment of a variant of ours under a seed.

        Raises:
            InputError: A setting is unknown or out of range; the message names the variant.
        """
        found = replace(self._resolved[variant.name], seed=seed)
        return found if self.folds is None else replace(found, data=replace(found.data, fold=seed))

    @cached_property
    def _resolved(self) -> dict[str, Experiment]:
        """Our variants by name, but for the seed, in which alone the runs of one differ."""
        split = {} if self.vary_split or "data.split_seed" in self.shared else {"data.split_seed": 0}
        split |= {} if self.folds is None else {"data.folds": self.folds, "data.fold": 0}
        ours = (variant for variant in self.variants if variant.command is None)
        return {variant.name: self._resolve(variant, {**split, **self.shared, **variant.settings}) for variant in ours}

    @cached_property
    def _configs(self) -> dict[str, dict[str, Any]]:
        """What config.toml holds of each of these: written out once, not for every one of thousands of seeds."""
        return {name: config(experiment) for name, experiment in self._resolved.items()}

    def _resolve(self, variant: Variant, settings: Mapping[str, Any]) -> Experiment:
        parsed = parse_experiment(settings, f'variant "{variant.name}"')
        with named(f'variant "{variant.name}"'):
            return resolve(parsed, self.source.parent)

    def runs(self) -> list[PlannedRun]:
        """All runs, seed by seed, so that a study cut short has complete pairs.

        Raises:
            InputError: A variant's settings are wrong.
        """
        return list(self._runs)

    @cached_property
    def _runs(self) -> tuple[PlannedRun, ...]:
        return tuple(self._run(variant, seed) for seed in self.seeds for variant in self.variants)

    def _run(self, variant: Variant, seed: int) -> PlannedRun:
        if variant.program is None:
            written = {**self._configs[variant.name], "seed": seed}
            if self.folds is not None:
                written["data"] = {**written["data"], "fold": seed}
            return PlannedRun(variant.name, seed, self.experiment(variant, seed), written)
        program = {"command": variant.command, "args": str(variant.settings.get("args", "")), "seed": seed}
        return PlannedRun(variant.name, seed, None, program | variant.program.config())

    def equal_variants(self) -> list[tuple[str, str]]:
        """Pairs of variants that would run the very same thing: by mistake, most likely."""
        tried = {run.variant: run.identity for run in self._runs if run.seed == self.seeds[0]}
        names = list(tried)
        return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if tried[a] == tried[b]]

    def without_effect(self) -> list[str]:
        """A sentence for each setting that changes nothing in any variant that has it, since it belongs to another."""
        idle = {name: without_effect(experiment) for name, experiment in self._resolved.items()}
        first = next(iter(idle.values()), {})
        own = {variant.name: variant.settings for variant in self.variants}
        told = [
            f'variant "{name}": {without_effect_told(option, only)}'
            for name, found in idle.items()
            for option, only in found.items()
            if option in own[name]
        ]
        shared = [
            without_effect_told(option, only)
            for option, only in first.items()
            if all(option in one for one in idle.values()) and not any(option in one for one in own.values())
        ]
        return [*shared, *told]

    def record(self, repeat: str, created: str, folders: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The content of study.json (docs/records.md).

        Args:
            repeat: The command that repeats the study.
            created: When it was written.
            folders: For a run's folder the one that holds it, where that is an earlier version's.
        """
        held = folders or {}
        return {
            "name": self.name,
            "scale": self.scale,
            "question": self.question,
            "metric": self.metric.name,
            "unit": self.metric.unit,
            "higher_is_better": self.metric.higher_is_better,
            "relative": self.metric.relative,
            "metric_scale": self.metric.scale,
            "smallest_effect": self.smallest_effect,
            "guards": {
                guard.metric.name: {
                    "limit": guard.most,
                    "unit": guard.metric.unit,
                    "higher_is_better": guard.metric.higher_is_better,
                    "relative": guard.metric.relative,
                    "scale": guard.metric.scale,
                }
                for guard in self.guards
            },
            "pooling": self.pooling,
            "baseline": self.baseline,
            "seeds": list(self.seeds),
            "until_decided": looks_record(self.looks),
            "variants": {v.name: {"settings": dict(v.settings), "command": v.command} for v in self.variants},
            "shared": dict(self.shared),
            "published": {name: [asdict(figure) for figure in figures] for name, figures in self.published.items()},
            "changed": list(self.changed),
            "runs": [
                {"variant": run.variant, "seed": run.seed, "folder": held.get(run.folder, run.folder)}
                for run in self.runs()
            ],
            "repeat": repeat,
            "created": created,
            **({} if self.vary_split else {"vary_split": False}),
            **({} if self.folds is None else {"folds": self.folds}),
            **({} if self.referee is None else {"referee": dict(self.referee)}),
        }


def read_plan(
    path: Path,
    *,
    scale: str = PAPER,
    seeds: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    looks: GivenLooks = NO_LOOKS,
) -> StudyPlan:
    """Read a study file.

    Args:
        path: A TOML file (docs/studies.md).
        scale: One of the file's scales, or paper for the file as it stands.
        seeds: Run seeds 0..seeds-1, whatever the file and the scale say.
        overrides: Shared settings that take the place of the file's, by dotted name.
        looks: Whether seeds are run until it is decided, whatever the file says.

    Raises:
        InputError: The file or a value in it is wrong; the message names the file.
    """
    if "seed" in (overrides or {}):
        raise InputError("seed is set by the study, for every run: give --seeds.")
    with named(str(path)):
        plan = _plan(path, read_toml(path), scale, seeds, overrides or {}, looks)
        plan.runs()  # so that a wrong setting is told with the file's name
        return plan


def _plan(
    path: Path,
    tables: dict[str, Any],
    scale: str,
    seeds: int | None,
    overrides: Mapping[str, Any],
    given: GivenLooks,
) -> StudyPlan:
    for key in tables:
        if key not in KEYS:
            raise unknown_name("key", key, KEYS)
    executor_options(tables.get("executor"), {})
    if not _typed(tables, "variants", dict, {}):
        raise InputError("a study needs variants: a table [variants.NAME] for each, the baseline among them.")
    variants = tuple(_variant(key, value, tables) for key, value in tables["variants"].items())
    names = [variant.name for variant in variants]
    baseline = tables.get("baseline", names[0])
    if baseline not in names:
        raise unknown_name("baseline", str(baseline), names)
    if len(variants) < 2:
        raise InputError(f"a study needs the baseline and at least one other variant, got {', '.join(names)} alone.")
    unused = next((key for key in PROGRAM_KEYS if key in tables and key != "command"), None)
    if unused is not None and all(variant.program is None for variant in variants):
        raise InputError(f"{unused} is for a program of your own: give its command too.")
    published = read_published(_typed(tables, "published", dict, {}), names)
    whole = Scale(_typed(tables, "takes", str, ""), *_seeds_or_looks(tables, None), {}, tuple(names))
    scales = {key: _scale(key, table, whole, baseline) for key, table in _typed(tables, "scales", dict, {}).items()}
    applied = {PAPER: whole, **scales}.get(scale)
    if applied is None:
        raise unknown_name("scale", scale, (PAPER, *scales))
    variants = tuple(variant for variant in variants if variant.name in applied.variants)
    ours = [variant for variant in variants if variant.program is None]
    programs = len(ours) < len(variants)
    own, other = shared_settings(tables, path.parent, KEYS), {**applied.settings, **overrides}
    shared = {**own, **other}
    if ours:
        for key, one in scales.items():  # whichever is applied
            parse_experiment(one.settings, f'scale "{key}"')
    for variant in variants:
        for setting in variant.settings.keys() & overrides.keys():
            if not is_relative(variant.settings[setting]):
                raise InputError(f'{setting} is what variant "{variant.name}" varies: it cannot be set for all.')
    if any("seed" in settings for settings in (shared, *(variant.settings for variant in variants))):
        raise InputError("seed is set by the study, for every run: give the key seeds.")
    if any(is_relative(value) for variant in ours for value in variant.settings.values()):
        values = typed(shared)
        variants = tuple(_with_numbers(variant, values) for variant in variants)
    smallest_effect = _typed(tables, "smallest_effect", float, 0.0)
    if not 0 <= smallest_effect < float("inf"):
        raise InputError(f"smallest_effect must be at least 0, got {smallest_effect}.")
    stated = read_scale(tables.get("scale"))
    metric = Metric.named(
        _typed(tables, "metric", str, "test_accuracy"), _typed(tables, "higher_is_better", bool, None), scale=stated
    )
    metric = metric if programs else metric.of_trainings()
    if metric.in_points and smallest_effect > 100:
        raise InputError(f"smallest_effect must be at most 100 points, got {smallest_effect}.")
    looks = chosen_looks(applied.looks, given, seeds)
    pooling = read_pooling(tables.get("pooling", "none"), len(variants) - 1)
    folds = read_folds(tables)
    if folds is not None:
        given_seeds = seeds is not None or "seeds" in tables or any(one.seeds != whole.seeds for one in scales.values())
        together = Together(given_seeds, looks is not None, pooling != "none", bool(published), programs)
        refuse_with_folds(folds, together, (shared, *(variant.settings for variant in variants)))
    if looks is not None and pooling != "none":
        raise InputError(f"{NO_POOLING}.")
    chosen = applied.seeds if seeds is None else _seeds(seeds)
    return StudyPlan(
        name=path.stem if applied is whole else f"{path.stem}-{scale}",
        scale=None if applied is whole else scale,
        scales=scales,
        question=_typed(tables, "question", str, f"Which of {', '.join(names)} is best?"),
        baseline=baseline,
        metric=metric,
        smallest_effect=float(smallest_effect),
        guards=read_guards(_typed(tables, "guards", dict, {}), metric=metric.name, scale=stated, programs=programs),
        pooling=pooling,
        seeds=tuple(range(folds)) if folds else chosen if looks is None else tuple(range(looks.most_seeds)),
        folds=folds,
        looks=looks,
        vary_split=_typed(tables, "vary_split", bool, True),
        shared=shared,
        variants=variants,
        shows=_typed(tables, "shows", str, ""),
        takes=applied.takes,
        source=path,
        executor=tables.get("executor"),
        published={name: figures for name, figures in published.items() if name in applied.variants},
        changed=tuple(
            name for name, value in other.items() if name not in OPERATIONAL_OPTIONS and value != own.get(name)
        ),
    )


def _with_numbers(variant: Variant, values: Mapping[str, Any]) -> Variant:
    """The variant with its settings in percent of the shared ones made numbers."""
    if variant.command is not None:
        return variant
    with named(f'variant "{variant.name}"'):
        return replace(variant, settings=absolute(variant.settings, values))


def _typed(tables: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    if key in tables:
        of_kind(key, tables[key], kind)
    return tables.get(key, default)


def _seeds_or_looks(table: dict[str, Any], whole: Scale | None) -> tuple[tuple[int, ...], Looks | None]:
    """The seeds of a file or a scale, which has those of the file where it says nothing; and its looks."""
    if "until_decided" in table:
        if "seeds" in table:
            raise InputError("seeds and until_decided exclude each other: max_seeds says how many at most.")
        looks = read_looks(table["until_decided"])
        return tuple(range(looks.most_seeds)), looks
    if whole is not None and "seeds" not in table:
        return whole.seeds, whole.looks
    return _seeds(table.get("seeds", 5)), None


def _seeds(value: Any) -> tuple[int, ...]:
    if is_whole(value) and 1 <= value <= MOST_SEEDS:
        return tuple(range(value))
    if (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and value
        and all(map(is_whole, value))
        and len(value) <= MOST_SEEDS
        and len(set(value)) == len(value)
    ):
        return tuple(value)
    raise InputError(
        f"seeds must be a number from 1 to {MOST_SEEDS:,}, or a list of as many different integers at most, "
        f"got {value!r}."
    )


def _check_named_table(kind: str, name: str, table: Any) -> None:
    """Refuse a name that cannot be part of a folder's, and what is no table."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f'a {kind}\'s name must be of letters, digits, ".", "_" and "-" alone, got "{name}".')
    if len(name) > _LONGEST_NAME:
        raise InputError(f"a {kind}'s name must have {_LONGEST_NAME} characters at most, got {len(name)}: {name}.")
    if not isinstance(table, dict):
        raise InputError(f"{kind}s.{name} must be a table, got {table!r}.")


def _scale(name: str, table: Any, whole: Scale, baseline: str) -> Scale:
    _check_named_table("scale", name, table)
    if name == PAPER:
        raise InputError(f"a scale's name must not be {PAPER}, which is the file as it stands.")
    settings = flatten({key: value for key, value in table.items() if key not in _OF_SCALE})
    with named(f'scale "{name}"'):
        kept = _typed(table, "variants", list, whole.variants)
        for variant in kept:
            if variant not in whole.variants:
                raise unknown_name("variant", str(variant), whole.variants)
        if baseline not in kept or len(set(kept)) < 2:
            raise InputError(f"variants must be the baseline, {baseline}, and at least one other, got {kept}.")
        return Scale(_typed(table, "takes", str, ""), *_seeds_or_looks(table, whole), settings, tuple(kept))


def _variant(name: str, table: Any, shared: Mapping[str, Any]) -> Variant:
    _check_named_table("variant", name, table)
    command = table.get("command", shared.get("command"))
    if command is None:
        return Variant(name, flatten(table))
    for key in table:
        if key not in (*PROGRAM_KEYS, "args"):
            raise InputError(
                f'variant "{name}" runs a command: only {", ".join(PROGRAM_KEYS)} and args can be set, got {key}.'
            )
    with named(f'variant "{name}"'):
        program = read_program(command, {**{key: shared[key] for key in PROGRAM_KEYS if key in shared}, **table})
    return Variant(name, {"args": table["args"]} if "args" in table else {}, program)
