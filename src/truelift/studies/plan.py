"""A study's plan: the question, the variants, the seeds, and the run of each variant under each seed.

A setting of a run is taken from the first of these that has it: the variant, the command line (which may not set what a
variant varies), the scale, the file's shared settings, the experiment's defaults. A scale stands below the command line
because it is part of the file, and below the variants because a scale that evened out what they vary would compare a
thing with itself.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from truelift.errors import named
from truelift.metrics import Limit, Metric
from truelift.options import without_effect, without_effect_told
from truelift.records.own_result import OF_PROGRAM
from truelift.studies.command import Program
from truelift.studies.looks import record as looks_record
from truelift.training import Experiment, fingerprint, resolve
from truelift.training.identity import config, identity_of
from truelift.training.settings import parse_experiment
from truelift.verdicts import Looks, Pooling, PublishedFigure


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

    def against_their_names(self) -> list[str]:
        """A sentence for each metric, guards among them, that is judged the other way round than its name tells."""
        told = [metric.against_its_name for metric in (self.metric, *(guard.metric for guard in self.guards))]
        return [line for line in told if line is not None]

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
            "variants": {
                v.name: {"settings": dict(v.settings), "command": v.command}
                | ({"results": v.program.results} if v.program is not None and v.program.results else {})
                for v in self.variants
            },
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
