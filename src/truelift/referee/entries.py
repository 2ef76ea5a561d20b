"""What the lines of a ledger say, by their kind."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from truelift.referee.rules import Rule
from truelift.verdicts import Verdict

VERSION = 1
"""Of the form of a ledger."""

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


class _Entry(Struct, tag_field="kind", frozen=True, forbid_unknown_fields=True):
    """A line but for its number and the hash of the line before."""


class Opened(_Entry, tag="ledger", frozen=True):
    """The first line: the rule and the budget."""

    version: int
    rule: Rule
    alpha: float
    candidates: Count | None
    nonce: str
    """Random, so that no two ledgers draw the same seeds."""
    created: str


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that can be run: its name, what it sets, and a digest of that."""

    name: str
    settings: Any
    digest: str


class Entered(Struct, frozen=True, forbid_unknown_fields=True):
    """A candidate of a registration."""

    number: Count
    name: str
    settings: Any
    digest: str
    level: Share
    """One-sided."""
    look: Count
    """From 1: which registration of these settings against this baseline it is."""


class Registered(_Entry, tag="candidates", frozen=True):
    """Candidates that are registered together, against one baseline and with one set of seeds."""

    baseline: Settings
    metric: str
    higher_is_better: bool
    smallest_effect: Annotated[float, Meta(ge=0)]
    images: str
    """What the metric is computed on."""
    seeds: list[int]
    drawn: bool
    """By the ledger; else the runs were there before."""
    confirmation: Annotated[int, Meta(ge=0)]
    """0, or from 1 which confirmation it is."""
    candidates: Annotated[list[Entered], Meta(min_length=1)]
    created: str


class Judged(_Entry, tag="verdict", frozen=True):
    """A candidate's result."""

    number: Count
    verdict: Verdict
    passed: bool
    """Whether it is better than its baseline at its level."""
    p: Share
    """One-sided."""
    differences: list[float]
    reason: str
    created: str


class Promoted(_Entry, tag="promotion", frozen=True):
    """A candidate that is the baseline from here on."""

    number: Count
    created: str


class CutShort(_Entry, tag="cut short", frozen=True):
    """Ends the line before, which a crash cut short."""

    sha256: str


Entry = Opened | Registered | Judged | Promoted | CutShort
