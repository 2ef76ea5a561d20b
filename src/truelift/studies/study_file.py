"""Read a study file: a TOML file (docs/studies.md) becomes a checked plan."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from truelift.errors import InputError, named, shown, unknown_name
from truelift.metrics import Limit, Metric
from truelift.studies.command import PROGRAM_KEYS
from truelift.studies.executors.options import executor_options
from truelift.studies.extends import shared_settings
from truelift.studies.folds import Together, read_folds, refuse_with_folds
from truelift.studies.guards import read_guards, read_pooling, read_scale
from truelift.studies.looks import GivenLooks, chosen_looks
from truelift.studies.plan import Scale, StudyPlan, Variant
from truelift.studies.published import read_published
from truelift.studies.relative import absolute, is_relative, settings_in_full
from truelift.studies.study_file_parts import PAPER, read_scales, read_seeds, read_variants, typed
from truelift.toml import read_toml
from truelift.training.identity import OPERATIONAL_OPTIONS
from truelift.training.settings import parse_experiment
from truelift.verdicts import Pooling
from truelift.verdicts.question import NO_POOLING

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

_FOR_NO_SCALE = "{} is the same at every scale: give it beside the table scales, or in another study file."
_FOR_NO_PROGRAM = (
    "{} is a setting of truelift's own training, and every variant is a program: give it "
    "in the program's command or args."
)


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
    in_file = read_variants(tables)
    names = [variant.name for variant in in_file]
    baseline = tables.get("baseline", names[0])
    if baseline not in names:
        raise unknown_name("baseline", str(baseline), names)
    published = read_published(typed(tables, "published", dict, {}), names)
    scales = read_scales(tables, names, baseline)
    if scale not in scales:
        raise unknown_name("scale", scale, scales)
    applied = scales[scale]
    kept = [variant for variant in in_file if variant.name in applied.variants]
    own, other = shared_settings(tables, path.parent, KEYS), {**applied.settings, **overrides}
    shared = {**own, **other}
    further = {key: one for key, one in scales.items() if key != PAPER}
    if all(variant.program is not None for variant in in_file):
        _refuse_settings(own, further)
    _check_settings(kept, shared, overrides, further)
    variants = _in_numbers(kept, shared)
    programs = any(variant.program is not None for variant in variants)
    judged = _judged(tables, len(variants), programs=programs)
    looks = chosen_looks(applied.looks, given, seeds)
    if looks is not None and judged.pooling != "none":
        raise InputError(f"{NO_POOLING}.")
    folds = read_folds(tables)
    if folds is not None:
        given_seeds = seeds is not None or "seeds" in tables or len({one.seeds for one in scales.values()}) > 1
        together = Together(given_seeds, looks is not None, judged.pooling != "none", bool(published), programs)
        refuse_with_folds(folds, together, (shared, *(variant.settings for variant in variants)))
    chosen = applied.seeds if seeds is None else read_seeds(seeds)
    return StudyPlan(
        name=path.stem if scale == PAPER else f"{path.stem}-{scale}",
        scale=None if scale == PAPER else scale,
        scales=further,
        question=typed(tables, "question", str, f"Which of {', '.join(names)} is best?"),
        baseline=baseline,
        metric=judged.metric,
        smallest_effect=judged.smallest_effect,
        guards=judged.guards,
        pooling=judged.pooling,
        seeds=tuple(range(folds)) if folds else chosen if looks is None else tuple(range(looks.most_seeds)),
        folds=folds,
        looks=looks,
        vary_split=typed(tables, "vary_split", bool, True),
        shared=shared,
        variants=variants,
        shows=typed(tables, "shows", str, ""),
        takes=applied.takes,
        source=path,
        executor=tables.get("executor"),
        published={name: figures for name, figures in published.items() if name in applied.variants},
        changed=tuple(
            name for name, value in other.items() if name not in OPERATIONAL_OPTIONS and value != own.get(name)
        ),
    )


def _check_settings(
    variants: Sequence[Variant],
    shared: Mapping[str, Any],
    overrides: Mapping[str, Any],
    scales: Mapping[str, Scale],
) -> None:
    """Refuse settings that would even out what is compared or change nothing, and scales that cannot be applied."""
    if any(variant.program is None for variant in variants):
        for key, one in scales.items():  # whichever is applied
            parse_experiment(one.settings, f'scale "{key}"')
    elif overrides:
        raise InputError(_FOR_NO_PROGRAM.format(next(iter(overrides))))
    _check_values(shared)
    for variant in variants:
        with named(f'variant "{variant.name}"'):
            _check_values(variant.settings)
        for setting in variant.settings.keys() & overrides.keys():
            if not is_relative(variant.settings[setting]):
                raise InputError(f'{setting} is what variant "{variant.name}" varies: it cannot be set for all.')
    if any("seed" in settings for settings in (shared, *(variant.settings for variant in variants))):
        raise InputError("seed is set by the study, for every run: give the key seeds.")


def _refuse_settings(shared: Mapping[str, Any], scales: Mapping[str, Scale]) -> None:
    """Refuse settings in a study of programs alone: none is given them, and a misspelt one would never show."""
    found = [("", shared), *((f'scale "{key}": ', one.settings) for key, one in scales.items())]
    for place, settings in found:
        for name in settings:
            key = name.partition(".")[0]
            told = _FOR_NO_SCALE.format(key) if place and key in KEYS else _FOR_NO_PROGRAM.format(name)
            raise InputError(f"{place}{told}")


def _check_values(settings: Mapping[str, Any]) -> None:
    """Refuse what a record cannot hold, as TOML's dates: a part of the user's own may be given any value."""
    for name, value in settings.items():
        if not _is_recordable(value):
            told = "text, finite numbers, true, false, and lists and tables of these"
            raise InputError(f"{name} must be of {told}, got {shown(value)}.")


def _is_recordable(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_recordable, value.values()))
    if isinstance(value, list):
        return all(map(_is_recordable, value))
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _in_numbers(variants: Sequence[Variant], shared: Mapping[str, Any]) -> tuple[Variant, ...]:
    """The variants with their settings in percent of the shared ones made numbers."""
    ours = (variant for variant in variants if variant.program is None)
    if not any(is_relative(value) for variant in ours for value in variant.settings.values()):
        return tuple(variants)
    values = settings_in_full(shared)
    found = []
    for variant in variants:
        with named(f'variant "{variant.name}"'):
            settings = variant.settings if variant.program is not None else absolute(variant.settings, values)
        found.append(replace(variant, settings=settings))
    return tuple(found)


class _Judged(NamedTuple):
    """By what a study is judged."""

    metric: Metric
    smallest_effect: float
    guards: tuple[Limit, ...]
    pooling: Pooling


def _judged(tables: Mapping[str, Any], variants: int, *, programs: bool) -> _Judged:
    smallest_effect = typed(tables, "smallest_effect", float, 0.0)
    if not 0 <= smallest_effect < float("inf"):
        raise InputError(f"smallest_effect must be at least 0, got {smallest_effect}.")
    scale = read_scale(tables.get("scale"))
    name = typed(tables, "metric", str, "test_accuracy")
    metric = Metric.named(name, typed(tables, "higher_is_better", bool, None), scale=scale)
    metric = metric if programs else metric.of_trainings()
    if metric.in_points and smallest_effect > 100:
        raise InputError(f"smallest_effect must be at most 100 points, got {smallest_effect}.")
    return _Judged(
        metric,
        float(smallest_effect),
        read_guards(typed(tables, "guards", dict, {}), metric=metric.name, scale=scale, programs=programs),
        read_pooling(tables.get("pooling", "none"), variants - 1),
    )
