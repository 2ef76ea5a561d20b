"""The tables of a study file: its variants, its scales and their seeds."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from truelift.errors import InputError, is_whole, named, of_kind, unknown_name
from truelift.seeds import MOST_SEEDS
from truelift.studies.command import PROGRAM_KEYS, read_program
from truelift.studies.looks import read_looks
from truelift.studies.plan import Scale, Variant
from truelift.training.settings import flatten
from truelift.verdicts import Looks

PAPER = "paper"
"""The scale that is the file as it stands: in a recipe the paper's own."""

_OF_SCALE = ("takes", "seeds", "until_decided", "variants")
"""Keys of a scale that are no settings."""

# Of a name that is part of a folder's: file systems take 255 bytes.
_LONGEST_NAME = 100


def read_variants(tables: Mapping[str, Any]) -> tuple[Variant, ...]:
    """The table `variants`: what is compared, the baseline among it.

    Raises:
        InputError: There are fewer than two, or one of them is no sound one.
    """
    if not typed(tables, "variants", dict, {}):
        raise InputError("a study needs variants: a table [variants.NAME] for each, the baseline among them.")
    variants = tuple(_variant(key, value, tables) for key, value in tables["variants"].items())
    if len(variants) < 2:
        raise InputError(f"a study needs the baseline and at least one other variant, got {variants[0].name} alone.")
    unused = next((key for key in PROGRAM_KEYS if key in tables and key != "command"), None)
    if unused is not None and all(variant.program is None for variant in variants):
        raise InputError(f"{unused} is for a program of your own: give its command too.")
    return variants


def read_scales(tables: Mapping[str, Any], variants: Sequence[str], baseline: str) -> dict[str, Scale]:
    """The file as it stands, `PAPER`, and the table `scales`.

    Args:
        tables: The study file.
        variants: Names of its variants.
        baseline: The one that each scale must keep.

    Raises:
        InputError: A scale is no sound one.
    """
    whole = Scale(typed(tables, "takes", str, ""), *_seeds_or_looks(tables, None), {}, tuple(variants))
    scales = {key: _scale(key, table, whole, baseline) for key, table in typed(tables, "scales", dict, {}).items()}
    return {PAPER: whole, **scales}


def typed(tables: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    """The value of a key.

    Args:
        tables: Where it stands.
        key: Its name.
        kind: What it must be, one of those of `of_kind`.
        default: Where it is not there.

    Raises:
        InputError: It is of another type.
    """
    if key in tables:
        of_kind(key, tables[key], kind)
    return tables.get(key, default)


def _seeds_or_looks(table: Mapping[str, Any], whole: Scale | None) -> tuple[tuple[int, ...], Looks | None]:
    """The seeds of a file or a scale, which has those of the file where it says nothing; and its looks."""
    if "until_decided" in table:
        if "seeds" in table:
            raise InputError("seeds and until_decided exclude each other: max_seeds says how many at most.")
        looks = read_looks(table["until_decided"])
        return tuple(range(looks.most_seeds)), looks
    if whole is not None and "seeds" not in table:
        return whole.seeds, whole.looks
    return read_seeds(table.get("seeds", 5)), None


def read_seeds(value: Any) -> tuple[int, ...]:
    """The key `seeds`: how many, or a list of different ones.

    Raises:
        InputError: It is neither.
    """
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
    of_kind(f"{kind}s.{name}", table, dict)


def _scale(name: str, table: Any, whole: Scale, baseline: str) -> Scale:
    _check_named_table("scale", name, table)
    if name == PAPER:
        raise InputError(f"a scale's name must not be {PAPER}, which is the file as it stands.")
    settings = flatten({key: value for key, value in table.items() if key not in _OF_SCALE})
    with named(f'scale "{name}"'):
        kept = typed(table, "variants", list, whole.variants)
        for variant in kept:
            if variant not in whole.variants:
                raise unknown_name("variant", str(variant), whole.variants)
        if baseline not in kept or len(set(kept)) < 2:
            raise InputError(f"variants must be the baseline, {baseline}, and at least one other, got {kept}.")
        return Scale(typed(table, "takes", str, ""), *_seeds_or_looks(table, whole), settings, tuple(kept))


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
