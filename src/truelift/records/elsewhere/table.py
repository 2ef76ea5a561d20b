"""From the columns of a table to runs: long tables, wide ones, and those with a row a quantity."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from truelift.errors import InputError
from truelift.records.elsewhere import names as usual
from truelift.records.elsewhere.cells import MISSING, finite, is_numbers, number, seed_of, text
from truelift.records.elsewhere.columns import Columns
from truelift.records.elsewhere.replicates import of_two
from truelift.records.elsewhere.run_table import Fact, OneRun, RunTable, Series, Wanted

_NAMELESS = "value"
_SEED_COLUMN = re.compile(r"(?:seed|fold|run|rep|repeat|s)?[-_ =]?(\d{1,10})", re.IGNORECASE)

Key = tuple[str, int | str | None, str]  # variant, seed, and the run's own name where there is no seed


def runs_of(table: Columns, wanted: Wanted) -> RunTable:
    """The runs in a table of one of four forms.

    - a row a run, or a row a run and step: columns of variant, seed, perhaps step, and a column a quantity;
    - a row a quantity: the same with the columns `metric` and `value`;
    - a row a seed: a column a variant, among them the baseline;
    - a row a variant: a column a seed (`seed_0`, `seed_1` …).

    Raises:
        InputError: A column that is needed cannot be found, or a cell is not what it should be.
    """

    def resolved(name: str | None) -> str | None:
        return None if name is None else usual.resolved(name, table.cells)

    wanted = replace(
        wanted,
        metric=resolved(wanted.metric),
        variant=tuple(usual.resolved(name, table.cells) for name in wanted.variant),
        seed=resolved(wanted.seed),
        step=resolved(wanted.step),
    )
    variants = usual.find_variants(table.cells, wanted.variant, wanted.baseline)
    if variants is None:
        return _row_a_seed(table, wanted)
    places = [f"{table.source}, {place}" for place in table.places]
    variants.checked(", ".join(variants.columns), places, wanted=bool(wanted.variant))
    by_name = {usual.plain(name): name for name in table.cells}
    long = {"metric", "value"} <= by_name.keys() and wanted.metric not in table.cells
    if not long and wanted.metric not in table.cells and (seeds := _seed_columns(table, variants.columns)):
        return _row_a_variant(table, wanted, variants, seeds)
    return _rows(table, wanted, variants, (by_name["metric"], by_name["value"]) if long else None)


def _rows(table: Columns, wanted: Wanted, variants: usual.Names, long: tuple[str, str] | None) -> RunTable:
    """A row a run, a step or a quantity."""
    free = [name for name in table.cells if name not in variants.columns and name not in (long or ())]
    seed = _seed(table, wanted, free)
    free = [name for name in free if name != seed]
    step = _column("column of steps", wanted.step, usual.STEPS, table, free)
    if wanted.step is None and step is not None and wanted.metric == step:
        step = None
    free = [name for name in free if name != step]
    run = next(iter(usual.find(usual.RUNS, free)), None) if seed is None else None
    if run is not None and wanted.metric != run:
        free = [name for name in free if name != run]
    counters = usual.find(usual.STEPS, free)
    measured = [name for name in free if name == wanted.metric or _is_measured(table.cells[name], name, counters)]
    if wanted.metric is not None and long is None:
        usual.given("metric", wanted.metric, [*measured, *(n for n in free if n not in measured)])

    rows: dict[Key, list[int]] = {}
    for i in range(table.rows):
        name = variants.variants[i]
        own = table.cells[run][i] if run else (None if seed or step else table.places[i])
        key = (name, seed_of(table.cells[seed][i], seed, f"{table.source}, {table.places[i]}") if seed else None)
        rows.setdefault((*key, "" if own is None else text(own)), []).append(i)
    facts = [name for name in free if name not in measured]
    reader: _Reader | _LongReader = _LongReader(table, step, *long) if long else _Reader(table, step, measured)
    runs = tuple(reader.run(key, which, facts) for key, which in rows.items())
    return RunTable(
        table.source,
        runs,
        variant_from=_quoted(variants.columns),
        seed_from=_quoted([seed]) if seed else "nowhere",
        seeds_are_folds=seed is not None and usual.is_fold(seed),
        steps_from=_quoted([step]) if step and any(len(s.steps) > 1 for r in runs for s in r.series.values()) else None,
        has_empty_cells=True,
        notes=(*variants.notes, *reader.notes),
    )


class _Reader:
    """Makes runs of rows, and remembers what a reader should know of it."""

    def __init__(self, table: Columns, step: str | None, measured: Sequence[str]) -> None:
        self._table = table
        self._step = step
        self._measured = measured
        self.notes: list[str] = []

    def run(self, key: Key, rows: Sequence[int], facts: Sequence[str]) -> OneRun:
        """The run whose rows these are."""
        variant, seed, own = key
        steps = self._steps(rows)
        bare = OneRun(variant, seed, {}, own or self._table.places[rows[0]])
        rows, steps = self._without_repeats(rows, steps, bare)
        series = {name: found for name in self._measured if (found := self._series(name, rows, steps)) is not None}
        constant = _constant(self._table.cells, facts, rows)
        return OneRun(variant, seed, series, bare.place, constant, _failed(constant))

    def _steps(self, rows: Sequence[int]) -> list[float]:
        if self._step is None:
            return [0.0] * len(rows)
        column = self._table.cells[self._step]
        found = []
        for i in rows:
            step = self._number(column[i], self._step, i)
            if step is None or np.isnan(step):
                raise InputError(f"{self._place(i)}, {self._step} must be a number, got none.")
            found.append(step)
        return found

    def _without_repeats(self, rows: Sequence[int], steps: list[float], run: OneRun) -> tuple[list[int], list[float]]:
        """Rows by step. Rows that say the same twice count once, and are told.

        Raises:
            InputError: Two rows of one step say different things.
        """
        kept: dict[float, int] = {}
        for i, step in zip(rows, steps, strict=True):
            if step not in kept:
                kept[step] = i
            elif self._says(i) == self._says(kept[step]):
                self.notes.append(f"{run.label} is in {self._places((kept[step], i))} alike: it counts once.")
            else:
                at = f" at {self._step} {step:g}" if self._step else ""
                hint = self._hint(i, kept[step])
                raise InputError(
                    f"{self._table.source}: {run.label} has different results{at} in "
                    f"{self._places((kept[step], i))}: a variant has one run a seed.{hint}"
                )
        ordered = sorted(kept)
        return [kept[step] for step in ordered], ordered

    def _hint(self, one: int, other: int) -> str:
        """What may tell two rows apart."""
        replicates = usual.find(usual.SEEDS, self._measured)  # numbers, but no results
        for name in (n for n in replicates if text(self._table.cells[n][one]) != text(self._table.cells[n][other])):
            return f" They differ in {name}: give a table for each, or the mean over {name}."
        known = {self._step, *self._measured}
        columns = {name: column for name, column in self._table.cells.items() if name not in known}
        return of_two(columns, one, other, steps=self._step is not None)

    def _says(self, row: int) -> list[str]:
        return [text(self._table.cells[name][row]) for name in self._measured]

    def _series(self, name: str, rows: Sequence[int], steps: Sequence[float]) -> Series | None:
        """The quantity at the steps that have it; None where none has."""
        column = self._table.cells[name]
        found = [self._number(column[i], name, i) for i in rows]
        points = [(step, value) for step, value in zip(steps, found, strict=True) if value is not None]
        return Series(*np.array(points, dtype=np.float64).T) if points else None

    def _number(self, cell: Fact, column: str, row: int) -> float | None:
        if isinstance(cell, str) and (found := finite(cell)) is not None:
            return found
        return number(cell, column, self._place(row))

    def _place(self, row: int) -> str:
        return f"{self._table.source}, {self._table.places[row]}"

    def _places(self, rows: Sequence[int]) -> str:
        return " and ".join(self._table.places[i] for i in rows)


class _LongReader:
    """Makes runs of rows with a quantity each."""

    def __init__(self, table: Columns, step: str | None, metric: str, value: str) -> None:
        self._table = table
        self._step = step
        self._metric = metric
        self._value = value
        self.notes: list[str] = []

    def run(self, key: Key, rows: Sequence[int], facts: Sequence[str]) -> OneRun:
        """The run whose rows these are."""
        by_metric: dict[str, list[int]] = {}
        for i in rows:
            by_metric.setdefault(text(self._table.cells[self._metric][i]), []).append(i)
        series: dict[str, Series] = {}
        for name, which in by_metric.items():
            reader = _Reader(self._table, self._step, [self._value])
            for found in reader.run(key, which, ()).series.values():
                series[name] = found
            self.notes += reader.notes
        variant, seed, own = key
        place = own or self._table.places[rows[0]]
        constant = _constant(self._table.cells, facts, rows)
        return OneRun(variant, seed, series, place, constant, _failed(constant))


def _row_a_seed(table: Columns, wanted: Wanted) -> RunTable:
    """A column a variant."""
    names = list(table.cells)
    if wanted.baseline is None or wanted.baseline not in names:
        told = ", ".join(names[:12]) + (" …" if len(names) > 12 else "")
        if wanted.baseline is not None:
            nearest = difflib.get_close_matches(wanted.baseline, names, n=1, cutoff=0.5)
            repeating = ", ".join(usual.repeating(table.cells))
            column = f" Name the column of variants with --variant{f' ({repeating})' if repeating else ''}."
            hint = f' Did you mean "{nearest[0]}"?' if nearest else column
            raise InputError(
                f'{table.source}: no column holds the baseline "{wanted.baseline}", or is named so ({told}).{hint}'
            )
        told = (", ".join(usual.repeating(table.cells)) if len(names) > 12 else "") or told
        raise InputError(f"{table.source}: which column holds the variants? Name it with --variant ({told}).")
    seed = _seed(table, wanted, names)
    none = usual.find((*usual.SEEDS, *usual.STEPS, *usual.RUNS), names)  # no variant, but what tells rows apart
    others = [name for name in names if name not in (seed, wanted.baseline, *none)]
    variants = [wanted.baseline, *(name for name in others if is_numbers(table.cells[name]))]
    metric = wanted.metric or _NAMELESS
    runs = []
    seen: dict[int | str, str] = {}
    for i, place in enumerate(table.places):
        at = f"{table.source}, {place}"
        paired = seed_of(table.cells[seed][i], seed, at) if seed else None
        if paired is not None and paired in seen:
            raise InputError(f"{table.source}: seed {paired} is in {seen[paired]} and {place}: a row a seed.")
        if paired is not None:
            seen[paired] = place
        for name in variants:
            value = number(table.cells[name][i], name, at)
            if value is not None:
                runs.append(OneRun(name, paired, {metric: _single(value)}, place))
    seed_from = _quoted([seed]) if seed else "nowhere"
    folds = seed is not None and usual.is_fold(seed)
    return RunTable(table.source, tuple(runs), "the columns' names", seed_from, seeds_are_folds=folds)


def _row_a_variant(table: Columns, wanted: Wanted, variants: usual.Names, seeds: Mapping[str, int]) -> RunTable:
    """A column a seed."""
    metric = wanted.metric or _NAMELESS
    runs = []
    seen: dict[str, str] = {}
    for i, place in enumerate(table.places):
        variant = variants.variants[i]
        if variant in seen:
            raise InputError(f'{table.source}: variant "{variant}" is in {seen[variant]} and {place}: a row a variant.')
        seen[variant] = place
        for name, seed in seeds.items():
            value = number(table.cells[name][i], name, f"{table.source}, {place}")
            if value is not None:
                runs.append(OneRun(variant, seed, {metric: _single(value)}, place))
    folds = all(usual.is_fold(name) for name in seeds)
    return RunTable(
        table.source,
        tuple(runs),
        _quoted(variants.columns),
        "the columns' names",
        seeds_are_folds=folds,
        notes=variants.notes,
    )


def _seed_columns(table: Columns, variants: Sequence[str]) -> dict[str, int]:
    """Columns named by a seed, two or more, and the seeds."""
    named = {n: found for n in table.cells if n not in variants and (found := _SEED_COLUMN.fullmatch(n.strip()))}
    seeds = {name: int(found[1]) for name, found in named.items()}
    return seeds if len(seeds) > 1 and len(set(seeds.values())) == len(seeds) else {}


def _seed(table: Columns, wanted: Wanted, free: Sequence[str]) -> str | None:
    """The column of seeds. One that is the same in all rows pairs nothing: a data split's, or an unused default."""
    varying = [name for name in usual.find(usual.SEEDS, free) if len({text(value) for value in table.cells[name]}) > 1]
    return _column("column of seeds", wanted.seed, usual.SEEDS, table, varying or free)


def _column(kind: str, named: str | None, names: Sequence[str], table: Columns, free: Sequence[str]) -> str | None:
    if named is not None:
        return usual.given(kind, named, list(table.cells))
    return next(iter(usual.find(names, free)), None)


def _is_measured(values: list[Fact], name: str, counters: Sequence[str]) -> bool:
    return name not in counters and not any(isinstance(value, bool) for value in values) and is_numbers(values)


def _constant(cells: Mapping[str, list[Fact]], names: Sequence[str], rows: Sequence[int]) -> dict[str, Fact]:
    """What is the same in all rows of a run: its settings."""
    found = {name: cells[name][rows[0]] for name in names}
    return {
        name: value
        for name, value in found.items()
        if text(value).lower() not in MISSING and all(cells[name][i] == value for i in rows)
    }


def _failed(facts: Mapping[str, Fact]) -> str | None:
    """Why a run did not end well, where the table says so, as exports of trackers do."""
    for name in usual.find(usual.STATES, facts):
        if text(facts[name]).lower() in ("failed", "crashed", "killed"):
            return f"its {name} is {text(facts[name])}"
    return None


def _single(value: float) -> Series:
    return Series(np.zeros(1), np.array([value]))


def _quoted(names: Sequence[str]) -> str:
    return f"the {'column' if len(names) == 1 else 'columns'} {', '.join(names)}"
