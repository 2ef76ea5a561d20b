"""The table [published] of a study file: figures that the report holds a study's own against."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from truelift.errors import is_number, is_whole, require, unknown_name
from truelift.verdicts import PublishedFigure


def read_published(table: Mapping[str, Any], variants: Sequence[str]) -> dict[str, tuple[PublishedFigure, ...]]:
    """The table [published] of a study file: to a variant's name a figure, or a list of them from different sources.

    Raises:
        InputError: There is no such variant, or a figure is no sound one.
    """
    found = {}
    for variant, given in table.items():
        if variant not in variants:
            raise unknown_name("variant in published", variant, variants)
        figures = given if isinstance(given, list) else [given]
        found[variant] = tuple(_figure(f"published.{variant}", figure) for figure in figures)
    return found


def _figure(name: str, table: Any) -> PublishedFigure:
    require(name, repr(table), isinstance(table, dict), "a table with value and source, or a list of such tables")
    known = [field.name for field in fields(PublishedFigure)]
    for key in table:
        if key not in known:
            raise unknown_name(f"key in {name}", key, known)
    value, source, runs, sd = (table.get(key) for key in ("value", "source", "runs", "sd"))
    require(f"{name}: value", repr(value), _finite(value), "a number")
    require(f"{name}: source", repr(source), isinstance(source, str) and bool(source), "text: who reports the value")
    require(f"{name}: runs", repr(runs), runs is None or (is_whole(runs) and runs >= 1), "a number of at least 1")
    require(f"{name}: sd", repr(sd), sd is None or (_finite(sd) and sd >= 0), "a number of at least 0")
    require(f"{name}: runs", runs, sd is None or (runs or 1) >= 2, "at least 2 where sd is given")
    return PublishedFigure(**table)


def _finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)
