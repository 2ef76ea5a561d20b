"""Runs that were made elsewhere as a study: paired by seed where they have seeds, each with the number that counts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from truelift.errors import InputError, known
from truelift.judging import at as steps
from truelift.judging.at import At
from truelift.judging.guards import AskedGuard
from truelift.judging.metric import against_its_name
from truelift.judging.read_run import ReadRun
from truelift.judging.scale import fractions_beside, scaled
from truelift.metrics import Metric
from truelift.records import Study, now
from truelift.records.elsewhere import OneRun, RunTable, Series
from truelift.records.elsewhere.cells import text
from truelift.records.elsewhere.names import BASELINES, is_fold, repeating
from truelift.records.elsewhere.replicates import of_two
from truelift.records.elsewhere.run_table import Fact
from truelift.verdicts import Scale
from truelift.verdicts.wording import missing_runs


@dataclass(frozen=True)
class Studied:
    """A study made of runs that were read."""

    study: Study
    problems: tuple[str, ...]
    """Which runs failed or are missing, and why; one line a variant and reason."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of the runs."""

    metric: Metric
    at: At
    baseline: str | None = None
    smallest_effect: float = 0.0
    scale: Scale | None = None
    """Of the metric; None: as its name tells it."""
    guards: tuple[AskedGuard, ...] = ()
    """Other metrics that may get worse by a limit at most."""
    paired: bool | None = None
    """None: paired where a variant shares a seed with the baseline."""
    question: str | None = None
    repeat: str = ""
    """The command that repeats it."""
    notes: tuple[str, ...] = ()
    """What there is to say already."""


def study_of(table: RunTable, asked: Asked) -> Studied:
    """The runs as a study.

    Raises:
        InputError: The baseline is not there or cannot be told, it stands alone, or a variant has two runs of a seed.
    """
    names = list(dict.fromkeys(run.variant for run in table.runs))
    if len(names) > 3 and len(names) == len(table.runs):
        raise _no_variants(table)
    baseline = _baseline(table.source, names, asked.baseline)
    names = [baseline, *(name for name in names if name != baseline)]
    if len(names) < 2:
        raise InputError(f'{table.source} holds one variant, "{baseline}": there is nothing to compare it with.')
    by_variant = {name: [run for run in table.runs if run.variant == name] for name in names}
    paired, notes = _pairing(table, by_variant, baseline, asked.paired)
    seeds, seed_notes = _numbered(by_variant, paired)
    notes += seed_notes
    folder = Path(table.source if table.source != "the table" else "table")
    if asked.guards and not paired:
        raise InputError(f"{table.source}: guards need runs that are pairs, and these are none.")
    metric, factor = scaled(asked.metric, _results(table, asked.metric.name, asked), asked.scale)
    factors = {asked.metric.name: factor}
    guards = {}
    for guard in asked.guards:
        name = guard.metric.name
        guards[name], factors[name] = guard.record(_results(table, name, asked), asked.scale)
    scales = {name: guard["scale"] for name, guard in guards.items() if guard["scale"]}
    if asked.scale == "fraction":
        others = [name for name in table.metrics if name not in (asked.metric.name, *scales)]
        for name in fractions_beside({name: _results(table, name, asked) for name in others}):
            factors[name], scales[name] = 100.0, "points"
    everyone = sorted({seed for of_variant in seeds.values() for seed in of_variant})
    empty = {name: [seed for seed, run in seeds[name].items() if _is_empty(run, table, metric)] for name in names}
    runs = tuple(
        _read_run(run, seed, asked, table, folder, factors)
        for name in names
        for seed, run in seeds[name].items()
        if seed not in empty[name]
    )
    plan = _plan(table, replace(asked, metric=metric), names, everyone, paired)
    plan["guards"], plan["scales"] = guards, scales
    if paired and _are_folds(table) and len(everyone) > 1:
        plan["folds"] = len(everyone)
        notes.insert(
            0,
            f"Pairs are taken for the {len(everyone)} folds of one data set, as told by {table.seed_from}, and judged "
            "by Nadeau and Bengio's corrected t. Independent pairs, each of its own data, need another name, as seed.",
        )
    plan["variants"] = {name: {"settings": _settings(by_variant, name), "command": None} for name in names}
    absent = {name: [seed for seed in everyone if seed not in seeds[name]] for name in names} if paired else {}
    why = {(run.variant, run.seed): f"failed: {run.reason}" for run in runs if run.reason is not None}
    why |= {(name, seed): f"there is no {metric.name}" for name in names for seed in empty[name]}
    why |= {(name, seed): "there is no such run" for name in names for seed in absent.get(name, ())}
    opposite = [against_its_name(one) for one in (asked.metric, *(guard.metric for guard in asked.guards))]
    plan["notes"] = [
        *asked.notes,
        *table.notes,
        *(line for line in opposite if line is not None),
        *notes,
        *steps.warnings(asked.at, asked.metric, table),
    ]
    return Studied(Study(folder, plan, runs), _problems(why, None if paired else seeds))


def _plan(table: RunTable, asked: Asked, names: Sequence[str], seeds: Sequence[int], paired: bool) -> dict[str, Any]:
    """The content of a study.json, but for what each variant sets."""
    metric = asked.metric
    shared = {"result": steps.words(asked.at, table)} if table.steps_from else {}
    return {
        "name": Path(table.source).name,
        "scale": None,
        "question": asked.question or f"Which of {', '.join(names)} is best?",
        "metric": metric.name,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "relative": metric.relative,
        "smallest_effect": asked.smallest_effect,
        "baseline": names[0],
        "seeds": list(seeds),
        "paired": paired,
        "made_elsewhere": True,
        "metric_scale": "points" if asked.scale == "fraction" else asked.scale,
        "shared": shared,
        "runs": [],
        "repeat": asked.repeat,
        "created": now(),
    }


def _no_variants(table: RunTable) -> InputError:
    """What tells runs apart is no variant; what repeats may be one."""
    columns = _facts(table.runs)
    for name in table.metrics:
        columns[name] = [float(run.series[name].values[-1]) if name in run.series else None for run in table.runs]
    told = ", ".join(repeating(columns)[:8])
    return InputError(
        f"{table.source}: every variant has one run, with the variants from {table.variant_from}: name the column "
        f"or setting that tells them apart with --variant{f' ({told})' if told else ''}."
    )


def _facts(runs: Sequence[OneRun]) -> dict[str, list[Fact]]:
    """The runs' settings by name, a value a run."""
    return {name: [run.facts.get(name) for run in runs] for name in dict.fromkeys(n for run in runs for n in run.facts)}


def _baseline(source: str, names: Sequence[str], wanted: str | None) -> str:
    if wanted is not None:
        known("baseline", wanted, names)
        return wanted
    usual = [name for name in names if name.lower() in BASELINES]
    if len(usual) != 1:
        told = ", ".join(names[:12]) + (" …" if len(names) > 12 else "")
        raise InputError(f"{source}: which variant is the baseline? Name it with --baseline ({told}).")
    return usual[0]


def _pairing(
    table: RunTable, by_variant: Mapping[str, Sequence[OneRun]], baseline: str, wanted: bool | None
) -> tuple[bool, list[str]]:
    """Whether runs are compared in pairs, and what there is to say of it."""
    without = [run for run in table.runs if run.seed is None]
    if wanted is False:
        if _are_folds(table):
            raise _folds_unpaired(table, ": leave out --unpaired (paired=False)")
        return False, []
    if without:
        if _are_folds(table):
            raise _folds_unpaired(table, ": name what holds them with --seed")
        if wanted:
            raise InputError(f"{table.source}: pairs need a seed for every run, got none for {without[0].place}.")
        return False, [
            "No seeds were found (--seed names what holds them), so runs are not paired and variants are compared by "
            "Welch's test."
        ]
    seeds = {name: {run.seed for run in runs} for name, runs in by_variant.items()}
    shared = [name for name in seeds if name != baseline and seeds[name] & seeds[baseline]]
    if shared or wanted:
        return True, []
    if _are_folds(table):
        raise _folds_unpaired(table, ", and no variant shares a fold with the baseline")
    return False, ["No variant shares a seed with the baseline, so variants are compared unpaired, by Welch's test."]


def _are_folds(table: RunTable) -> bool:
    """Whether the seeds are folds, by their column's name or each by its own; without seeds, by the runs' names."""
    ids = (str(run.place if run.seed is None else run.seed) for run in table.runs)
    return table.seeds_are_folds or all(map(is_fold, ids))


def _folds_unpaired(table: RunTable, why: str) -> InputError:
    """No test of unpaired runs holds its level for folds, which share training images."""
    return InputError(
        f"{table.source}: the folds of one data set are compared in pairs{why}. Where each run has data of its own, "
        "call these seeds, not folds."
    )


def _numbered(
    by_variant: Mapping[str, Sequence[OneRun]], paired: bool
) -> tuple[dict[str, dict[int, OneRun]], list[str]]:
    """Each variant's runs by seed: a whole number each, which a text stands for by its place in the alphabet.

    Raises:
        InputError: A variant has two runs of a seed.
    """
    if not paired:
        return {name: dict(enumerate(runs)) for name, runs in by_variant.items()}, []
    seeds = {run.seed for runs in by_variant.values() for run in runs}
    texts = any(isinstance(seed, str) for seed in seeds)
    ordered = sorted(seeds, key=str) if texts else []
    number = {seed: i for i, seed in enumerate(ordered)} if texts else {seed: seed for seed in seeds}
    found: dict[str, dict[int, OneRun]] = {}
    for name, runs in by_variant.items():
        of_variant = found.setdefault(name, {})
        for run in runs:
            seed = number[run.seed]
            assert isinstance(seed, int)
            if seed in of_variant:
                everyone = [one for of_name in by_variant.values() for one in of_name]
                first, second = (i for i, one in enumerate(everyone) if one is of_variant[seed] or one is run)
                hint = of_two(_facts(everyone), first, second, steps=True)
                raise InputError(
                    f"{run.label} is there twice, in {of_variant[seed].place} and {run.place}: a variant has one run a "
                    f"seed.{hint}"
                )
            of_variant[seed] = run
    told = ", ".join(f"{i} is {seed}" for i, seed in enumerate(ordered[:6])) + (" …" if len(ordered) > 6 else "")
    return found, [f"Seeds are no whole numbers and are numbered in the report: {told}."] if texts else []


def _results(table: RunTable, name: str, asked: Asked) -> list[float]:
    """The numbers of a metric that count, of all runs that did not fail, finite."""
    found = (
        _number(run.series[name], asked.at.step_of(run, asked.metric.name), asked)
        for run in table.runs
        if name in run.series and run.failed is None
    )
    return [value for value in found if value is not None and math.isfinite(value)]


def _is_empty(run: OneRun, table: RunTable, metric: Metric) -> bool:
    """Whether a run is a row of a table with an empty cell: nothing says that it failed."""
    return table.has_empty_cells and run.failed is None and metric.name not in run.series


def _read_run(
    run: OneRun, seed: int, asked: Asked, table: RunTable, folder: Path, factors: Mapping[str, float]
) -> ReadRun:
    step = asked.at.step_of(run, asked.metric.name)
    numbers = {name: value for name, found in run.series.items() if (value := _number(found, step, asked)) is not None}
    judged = numbers.get(asked.metric.name)
    reason = run.failed
    if reason is None and judged is None:
        where = f" at {steps.words(asked.at, table)}" if asked.at.kind != "last" else ""
        reason = f"there is no {asked.metric.name}{where}"
    elif reason is None and judged is not None and math.isnan(judged):
        reason = f"{asked.metric.name} is no number (NaN)"
    finite = {name: factors.get(name, 1.0) * value for name, value in numbers.items() if math.isfinite(value)}
    return ReadRun(run.variant, seed, folder, numbers=finite, series=run.series, reason=reason)


def _number(found: Series, step: float | None, asked: Asked) -> float | None:
    return float(found.values[-1]) if asked.at.kind == "last" else steps.value_at(found, step)


def _problems(
    why: Mapping[tuple[str, int], str], unpaired: Mapping[str, Mapping[int, OneRun]] | None
) -> tuple[str, ...]:
    """Lines of runs without a result that counts; those that are no pairs by what the source calls them."""
    by_reason: dict[tuple[str, str], list[int]] = {}
    for (name, seed), reason in why.items():
        by_reason.setdefault((name, reason), []).append(seed)
    lines = []
    for (name, reason), which in by_reason.items():
        own = [unpaired[name][number] for number in which] if unpaired is not None else []
        if any(run.seed is None for run in own):
            lines.append(f"{name}, {', '.join(run.place for run in own)}: {reason}")
        else:
            lines.append(missing_runs(name, [run.seed for run in own] or which, reason))
    return tuple(lines)


def _settings(by_variant: Mapping[str, Sequence[OneRun]], name: str) -> dict[str, Any]:
    """What all runs of a variant have alike, and another variant has not."""
    runs, others = by_variant[name], [run for n, of_other in by_variant.items() if n != name for run in of_other]
    alike = {key: value for key, value in runs[0].facts.items() if all(run.facts.get(key) == value for run in runs)}
    own = {key: value for key, value in alike.items() if any(run.facts.get(key) != value for run in others)}
    return {"variant": name, **{key: value for key, value in own.items() if text(value) != name}}
