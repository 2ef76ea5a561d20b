"""How much paired results differ by seed alone, by study: a table made from kept records (`.ci/spreads.py`)."""

import json
from dataclasses import dataclass
from pathlib import Path

from truelift.errors import unknown_name
from truelift.verdicts.scatter import Scatter

TABLE = Path(__file__).with_name("spreads.json")


@dataclass(frozen=True, kw_only=True)
class Spread(Scatter):
    """The noise of one study's paired differences in test error, variant less baseline under one seed, in points."""

    name: str
    """DATA/STUDY: the data set's name, and the study's with its scale."""
    network: str
    """The baseline's, with its width where it has one."""
    built_on: str | None
    """The recipe whose training the study's is; None where it has its own."""
    epochs: int
    """The baseline's."""


def spreads() -> dict[str, Spread]:
    """The table, by name."""
    return {name: Spread(name=name, **row) for name, row in json.loads(TABLE.read_text(encoding="utf-8")).items()}


def find(name: str) -> Spread:
    """The spread of that name, or where DATA/RECIPE has none of its own that of the studies that are built on it.

    Of several it is the one with the most seeds, and of those the noisiest.

    Raises:
        InputError: There is none; the message names the nearest.
    """
    known = spreads()
    if name in known:
        return known[name]
    built = [row for row in known.values() if row.built_on is not None]
    like = {f"{row.name.split('/')[0]}/{row.built_on}": row for row in sorted(built, key=_weight)}
    if name not in like:
        raise unknown_name("study to be like", name, sorted({*known, *like}))
    return like[name]


def _weight(row: Spread) -> tuple[int, float]:
    return row.seeds, row.sd
