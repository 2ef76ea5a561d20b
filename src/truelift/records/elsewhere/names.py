"""Usual names: which column or setting holds the variant, the seed, the step."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from truelift.errors import InputError, unknown_name
from truelift.records.elsewhere.cells import text
from truelift.records.elsewhere.run_table import Fact

VARIANTS = (
    *("variant", "method", "technique", "treatment", "condition", "arm", "approach", "algorithm", "algo"),
    *("setting", "config", "configuration", "group", "experiment", "experiment_name", "model", "model_name"),
    *("name", "run_name", "run"),
)
"""Names of what is compared, the surest first."""

SEEDS = (
    *("seed", "random_seed", "random_state", "rng_seed", "manual_seed", "global_seed", "training_seed"),
    *("seed_everything", "fold", "replicate", "repeat", "repetition", "rep"),
)
"""Names of what pairs results, the surest first."""

STEPS = ("step", "global_step", "_step", "training_step", "iteration", "iter", "epoch")
"""Names of what counts a training's progress, the finest first."""

RUNS = ("run_id", "run", "run_name", "id", "name", "version", "_runid")
"""Names of what tells runs apart that have no seed."""

STATES = ("state", "status")
"""Names of how a run ended."""

BASELINES = ("baseline", "base", "plain", "control", "vanilla", "default", "reference", "none")
"""Names that a baseline usually has."""

METRICS = (
    *("test_accuracy", "test_acc", "eval_accuracy", "eval_acc", "val_accuracy", "val_acc", "validation_accuracy"),
    *("valid_accuracy", "valid_acc", "accuracy", "acc", "test_error", "test_loss", "eval_loss", "val_loss"),
    *("validation_loss", "loss"),
)
"""Names of what is judged where nothing is said, the first that is there."""

NO_VALUE = "none"
"""The variant of an empty cell, in a column that the user named: trackers do not log what is left at its default."""

_SEED_IN_NAME = re.compile(r"(?:^|[-_/ .])(?:seed|rng|s)[-_= ]?(\d{1,10})(?=$|[-_/ .])", re.IGNORECASE)
_FOLD = re.compile(r"(?:^|_)k?folds?(?:_?\d*|_id|_index|_number)$")
_NUMBER_AT_END = re.compile(r"(.+?)[-_/ .]?(\d{1,10})")
_NO_VARIANT = re.compile(r"(version|checkpoint|run)[-_]\d+|lightning_logs|tb_logs|logs|wandb|latest-run", re.IGNORECASE)


def plain(name: str) -> str:
    """A name as it is compared: "Random Seed" and "random-seed" are "random_seed"."""
    return re.sub(r"[\s.\-/]+", "_", name.strip().lower()).strip("_") or name


def is_fold(name: str) -> bool:
    """Whether a name of what pairs results says that these are the folds of one data set: "fold", "fold_3", "cv-fold".

    >>> is_fold("config.fold"), is_fold("K-Fold 3"), is_fold("fold_id"), is_fold("folder"), is_fold("seed")
    (True, True, True, False, False)
    """
    return _FOLD.search(plain(name)) is not None


def find(usual: Sequence[str], names: Iterable[str]) -> list[str]:
    """Those of `names` that are usual, the surest first; "config.seed" counts behind "seed"."""
    known = list(names)
    whole = {name: plain(name) for name in known}
    last = {name: plain(re.split(r"[./]", name)[-1]) for name in known}
    found = [name for wanted in usual for of in (whole, last) for name in known if of[name] == plain(wanted)]
    return list(dict.fromkeys(found))


def resolved(wanted: str, names: Iterable[str]) -> str:
    """The one of `names` that `wanted` means: itself, or the only one that reads so, as "metrics.acc" for "acc"."""
    known = list(names)
    alike = [wanted] if wanted in known else find((wanted,), known)
    return alike[0] if len(alike) == 1 else wanted


def given(kind: str, wanted: str, names: Collection[str]) -> str:
    """The name that the user gave, if it is there.

    Raises:
        InputError: It is not; the nearest is told.
    """
    if wanted not in names:
        raise unknown_name(kind, wanted, names)
    return wanted


@dataclass(frozen=True)
class Names:
    """The variant of each record."""

    variants: tuple[str, ...]
    columns: tuple[str, ...]
    """Of which they are made."""
    notes: tuple[str, ...] = ()
    """What a reader should know of it."""

    def checked(self, where: str, places: Sequence[str], *, wanted: bool) -> "Names":
        """These, if each record has one.

        Args:
            where: In what they were looked up, for the message.
            places: Each record's.
            wanted: Whether the user named the column.

        Raises:
            InputError: One has none.
        """
        if "" in self.variants:
            taken = next((name for name in self.variants if name.lower() == NO_VALUE), None)
            more = "."
            if wanted:
                more = f', where another has "{taken}".'
            elif self.columns:
                more = f'. If it is one of its own, to be called "{NO_VALUE}", say so with --variant {self.columns[0]}.'
            raise InputError(f"{places[self.variants.index('')]} has no variant in {where}{more}")
        return self


def find_variants(columns: Mapping[str, Sequence[Fact]], wanted: Sequence[str], baseline: str | None) -> Names | None:
    """Each record's variant.

    Without `wanted`, the column is a usual one that holds the baseline; or the only other one that does.

    Args:
        columns: By name, a value a record; n records.
        wanted: The columns that the user named; several are joined to "lr=0.1 wd=0".
        baseline: Its variant's name, where the user said it.

    Returns:
        None where no column can be the one.

    Raises:
        InputError: A wanted column is not there, several could be the one, or none holds the baseline.
    """
    if wanted:
        for name in wanted:
            given("column of variants", name, columns)
        if len(wanted) == 1:
            return _with_empty(_of(columns, wanted[0]))
        rows = zip(*(columns[name] for name in wanted), strict=True)
        joined = (" ".join(f"{n}={text(v)}" for n, v in zip(wanted, row, strict=True)) for row in rows)
        return Names(tuple(joined), tuple(wanted))
    usual = find(VARIANTS, columns)
    if baseline is None:
        usual = [name for name in usual if len({text(value) for value in columns[name]}) > 1] or usual
        return _of(columns, usual[0]) if usual else None
    if holding := [name for name in usual if _holds(columns[name], baseline)]:
        return _of(columns, holding[0])
    others = [name for name in columns if name not in usual and name not in find(SEEDS + STEPS, columns)]
    holding = [name for name in others if _holds(columns[name], baseline)]
    if len(holding) > 1:
        raise InputError(f'"{baseline}" stands in several columns, {", ".join(holding)}: name one with --variant.')
    if holding:
        return _of(columns, holding[0])
    if usual and not (usual[0] in find(RUNS, usual) and all_distinct(columns[usual[0]])):
        known = dict.fromkeys(text(value) for value in columns[usual[0]])
        raise unknown_name("baseline", baseline, known)
    return None


def _of(columns: Mapping[str, Sequence[Fact]], name: str) -> Names:
    return Names(tuple(text(value) for value in columns[name]), (name,))


def _with_empty(names: Names) -> Names:
    """With a variant for empty cells, unless one has its name already."""
    if "" not in names.variants or NO_VALUE in {name.lower() for name in names.variants}:
        return names
    told = f'Runs without a value of {names.columns[0]} are the variant "{NO_VALUE}".'
    return Names(tuple(name or NO_VALUE for name in names.variants), names.columns, (told,))


def all_distinct(values: Sequence[Fact]) -> bool:
    """Whether no value is there twice."""
    return len({text(value) for value in values}) == len(values)


def repeating(columns: Mapping[str, Sequence[Fact]]) -> list[str]:
    """Columns that may tell variants apart: of two values or more, each of them twice on average."""
    counts = {name: len({text(value) for value in values}) for name, values in columns.items()}
    others = find((*SEEDS, *STEPS, *STATES), columns)
    return [name for name, count in counts.items() if 2 <= count <= len(columns[name]) / 2 and name not in others]


def _holds(values: Sequence[Fact], baseline: str) -> bool:
    return any(text(value) == baseline for value in values)


def names_parts(names: Sequence[str], baseline: str | None) -> list[tuple[str, int | None]]:
    """The `name_parts` of each; where none is the baseline's, a number at the end is a seed if that makes one so.

    >>> names_parts(["plain-0", "mixup-0"], "plain")
    [('plain', 0), ('mixup', 0)]
    """
    parts = [name_parts(name) for name in names]
    if baseline is None or any(variant == baseline for variant, _ in parts):
        return parts
    ends = [_NUMBER_AT_END.fullmatch(name) for name in names]
    numbered: list[tuple[str, int | None]] = [
        (end[1], int(end[2])) if end else (name, None) for name, end in zip(names, ends, strict=True)
    ]
    return numbered if any(variant == baseline for variant, _ in numbered) else parts


def name_parts(name: str) -> tuple[str, int | None]:
    """The variant and the seed in a run's or a folder's name.

    >>> name_parts("mixup/seed-3/version_0"), name_parts("plain_s12"), name_parts("resnet18")
    (('mixup', 3), ('plain', 12), ('resnet18', None))
    """
    seeds = list(_SEED_IN_NAME.finditer(name))
    seed = int(seeds[-1][1]) if seeds else None
    rest = name[: seeds[-1].start()] + name[seeds[-1].end() :] if seeds else name
    parts = [part.strip("-_ .") for part in rest.split("/")]
    kept = [part for part in parts if part and not _NO_VARIANT.fullmatch(part)]
    return "/".join(kept) or name, seed
