"""What the lines of a ledger amount to: each is checked against those before it."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from truelift.errors import InputError, one_line
from truelift.referee.account import Account
from truelift.referee.chain import Line
from truelift.referee.entries import VERSION, CutShort, Entered, Entry, Judged, Opened, Promoted, Registered, Settings
from truelift.referee.images import of_record

SEEDS_BELOW = 2**31
"""Seeds are drawn from 0 to this: every generator takes them."""


@dataclass(frozen=True)
class Decision:
    """A candidate's verdict at its level."""

    number: int
    name: str
    passed: bool
    """Whether it is better than its baseline at its level: helps, and p at most the level."""
    verdict: str
    p: float
    """One-sided."""
    level: float
    reason: str

    def __str__(self) -> str:
        found = "passed" if self.passed else "not passed"
        held = "at most" if self.p <= self.level else "above"
        return f"{self.name}: {found}, {self.verdict}; one-sided p = {self.p:.2g}, {held} its level {self.level:.2g}"


@dataclass(frozen=True)
class Candidate:
    """A registered candidate."""

    number: int
    name: str
    level: float
    """One-sided: it passes where its p-value is at most this."""
    seeds: tuple[int, ...]
    look: int
    digest: str
    baseline: Settings = field(repr=False)
    registered: Registered = field(repr=False)
    line: int = field(repr=False)
    """Of its registration."""
    decision: Decision | None = None
    differences: tuple[float, ...] | None = field(default=None, repr=False)
    """By which it was judged."""


class State:
    """The lines of a ledger, applied one after the other.

    Args:
        path: For messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: Opened | None = None
        self.account = Account()
        self.candidates: dict[int, Candidate] = {}
        """By number, in their order."""
        self.baselines: list[Settings] = []
        """All that have been; the last is the present one."""
        self.promotions: list[tuple[int, int]] = []
        """Line and candidate."""
        self.cut_short: list[int] = []
        """Lines that a crash cut short."""
        self.confirmations = 0
        """How many there were."""
        self._accounted: dict[int, int] = {}
        self._seeds: set[int] = set()
        self._looks: Counter[tuple[str, str, bool]] = Counter()

    @classmethod
    def of(cls, path: Path, lines: Sequence[Line]) -> "State":
        """What the lines amount to.

        Raises:
            InputError: A line says what cannot be, such as a level that the rule does not give; the message names it.
        """
        state = cls(path)
        for line in lines:
            state.apply(line)
        return state

    @property
    def ordinary(self) -> Iterator[Candidate]:
        """The candidates that are no confirmations."""
        return (one for one in self.candidates.values() if not one.registered.confirmation)

    def judged_by(self) -> dict[str, int]:
        """The images that candidates were registered to be judged by, each with the line where they were first."""
        found: dict[str, int] = {}
        for one in self.candidates.values():
            found.setdefault(of_record(one.registered.images, one.registered.metric), one.line)
        return found

    def draw(self, previous: str, count: int) -> list[int]:
        """Fresh seeds: a function of the last line's hash, so that a reader can draw them again.

        Args:
            previous: That hash.
            count: How many.
        """
        seeds: dict[int, None] = {}
        i = 0
        while len(seeds) < count:
            drawn = hashlib.sha256(f"{previous} seed {i}".encode()).digest()
            seed = int.from_bytes(drawn[:8], "big") % SEEDS_BELOW
            i += 1
            if seed not in self._seeds:
                seeds[seed] = None
        return list(seeds)

    def look(self, digest: str, baseline: str, confirmation: int) -> int:
        """From 1: which registration of these settings against this baseline the next one is."""
        return 1 + self._looks[digest, baseline, bool(confirmation)]

    def levels(self, count: int, confirmation: int) -> list[float]:
        """The levels that the next candidates would have.

        A confirmation has a budget of its own, as its images do: alpha/2 for the first, half of it for each further
        one, shared among the candidates that it has.
        """
        if confirmation:
            return [self.account.alpha / 2**confirmation / count] * count
        return self.account.following(count)

    def apply(self, line: Line) -> None:
        """Take in the next line.

        Raises:
            InputError: It says what cannot be.
        """
        try:
            entry = msgspec.convert(line.content, Entry)
        except (msgspec.ValidationError, RecursionError) as error:
            raise self._wrong(line, one_line(error)) from None
        # A crash may have cut the first line short too.
        if isinstance(entry, Opened) != (self.opened is None) and not isinstance(entry, CutShort):
            told = "a ledger begins with its rule" if self.opened is None else "only the first line holds the rule"
            raise self._wrong(line, told)
        match entry:
            case Opened():
                self._open(line, entry)
            case Registered():
                self._register(line, entry)
            case Judged():
                self._judge(line, entry)
            case Promoted():
                self._promote(line, entry)
            case CutShort():
                self.cut_short.append(line.number - 1)

    def _open(self, line: Line, entry: Opened) -> None:
        if entry.version != VERSION:
            raise self._wrong(line, f"its form is version {entry.version}, and this truelift knows {VERSION}")
        try:
            self.account = Account(entry.rule, alpha=entry.alpha, candidates=entry.candidates)
        except InputError as error:
            raise self._wrong(line, str(error).removesuffix(".")) from None
        self.opened = entry

    def _register(self, line: Line, entry: Registered) -> None:
        if entry.confirmation not in (0, self.confirmations + 1):
            raise self._wrong(line, f"confirmation {entry.confirmation} does not follow {self.confirmations}")
        try:
            levels = self.levels(len(entry.candidates), entry.confirmation)
        except InputError as error:
            raise self._wrong(line, str(error).removesuffix(".")) from None
        accounted = len(self.account.levels)
        if not entry.confirmation:
            self.account.open(len(levels))
        if entry.drawn and entry.seeds != self.draw(line.previous, len(entry.seeds)):
            raise self._wrong(line, "its seeds are not those that the ledger draws here")
        if not self.baselines:
            self.baselines.append(entry.baseline)
        known = self.baselines if entry.confirmation else self.baselines[-1:]
        if entry.baseline.digest not in {one.digest for one in known}:
            raise self._wrong(line, f'its baseline "{entry.baseline.name}" is not the ledger\'s')
        for i, (one, level) in enumerate(zip(entry.candidates, levels, strict=True)):
            self._enter(line, entry, one, level, accounted + i + 1)
        self._seeds.update(entry.seeds)
        self.confirmations = max(self.confirmations, entry.confirmation)

    def _enter(self, line: Line, entry: Registered, one: Entered, level: float, accounted: int) -> None:
        if one.number != len(self.candidates) + 1:
            raise self._wrong(line, f"candidate {one.number} does not follow candidate {len(self.candidates)}")
        if not math.isclose(one.level, level, rel_tol=1e-9):
            raise self._wrong(line, f"the level of candidate {one.number} is {level:g} by the rule, not {one.level:g}")
        if one.look != self.look(one.digest, entry.baseline.digest, entry.confirmation):
            raise self._wrong(line, f"candidate {one.number} was looked at more or less often than it says")
        self._looks[one.digest, entry.baseline.digest, bool(entry.confirmation)] += 1
        if not entry.confirmation:
            self._accounted[one.number] = accounted
        self.candidates[one.number] = Candidate(
            number=one.number,
            name=one.name,
            level=one.level,
            seeds=tuple(entry.seeds),
            look=one.look,
            digest=one.digest,
            baseline=entry.baseline,
            registered=entry,
            line=line.number,
        )

    def _judge(self, line: Line, entry: Judged) -> None:
        one = self._known(line, entry.number)
        if one.decision is not None:
            raise self._wrong(line, f"candidate {one.number} was judged before")
        if entry.passed != (entry.verdict == "helps" and entry.p <= one.level):
            raise self._wrong(line, f"{entry.verdict} with p = {entry.p:g} at level {one.level:g} does not pass so")
        if number := self._accounted.get(one.number):
            self.account.close(number, entry.p, entry.passed)
        decision = Decision(one.number, one.name, entry.passed, entry.verdict, entry.p, one.level, entry.reason)
        self.candidates[one.number] = replace(one, decision=decision, differences=tuple(entry.differences))

    def _promote(self, line: Line, entry: Promoted) -> None:
        one = self._known(line, entry.number)
        if one.decision is None or not one.decision.passed:
            raise self._wrong(line, f'candidate {one.number}, "{one.name}", did not pass')
        if one.registered.confirmation or one.baseline.digest != self.baselines[-1].digest:
            raise self._wrong(line, f'candidate {one.number}, "{one.name}", was not held against the present baseline')
        settings = next(c.settings for c in one.registered.candidates if c.number == one.number)
        self.baselines.append(Settings(one.name, settings, one.digest))
        self.promotions.append((line.number, one.number))

    def _known(self, line: Line, number: int) -> Candidate:
        if number not in self.candidates:
            raise self._wrong(line, f"there is no candidate {number}")
        return self.candidates[number]

    def _wrong(self, line: Line, why: str) -> InputError:
        return InputError(f"{self.path}, line {line.number}: {why}.")
