"""What is asked of a ledger that is to register candidates, and what it refuses."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from truelift.errors import InputError, one_line
from truelift.metrics import Metric
from truelift.referee.entries import Settings
from truelift.referee.images import images_of, same_images, untold
from truelift.referee.state import Candidate, State


class Asked(NamedTuple):
    """Candidates that are to be registered together."""

    candidates: list[Settings]
    baseline: Settings
    metric: str
    higher_is_better: bool
    smallest_effect: float
    images: str
    """What the metric is computed on."""
    confirm: bool
    """Whether it is the last confirmation."""

    @classmethod
    def of(
        cls,
        candidates: Mapping[str, Any],
        baseline: tuple[str, Any],
        metric: tuple[str, bool | None],
        smallest_effect: float,
        images: str | None,
        confirm: bool,
    ) -> "Asked":
        """It, once it is known to make sense.

        Args:
            candidates: What each sets, by name.
            baseline: Its name, and what it sets.
            metric: Its name, and whether a larger one is better, where that is given.
            smallest_effect: The smallest difference that matters.
            images: What the metric is computed on; None: as its name tells.
            confirm: Whether it is the last confirmation.

        Raises:
            InputError: Candidates are the same, or the baseline, or settings are not what JSON has.
        """
        wanted = [Settings(name, value, digest_of(name, value)) for name, value in candidates.items()]
        base = Settings(*baseline, digest_of(*baseline))
        if not wanted or len({one.digest for one in wanted}) < len(wanted):
            raise InputError(f"candidates must be one or more, all different, got {', '.join(candidates) or 'none'}.")
        if base.digest in {one.digest for one in wanted}:
            raise InputError(f'a candidate must not be the baseline "{base.name}" itself.')
        better = Metric.named(*metric).higher_is_better
        return cls(wanted, base, metric[0], better, smallest_effect, images or images_of(metric[0]), confirm)

    def registered_in(self, state: State, seeds: int | tuple[int, ...]) -> tuple[Candidate, ...] | None:
        """Of the last registration of just these candidates, if it asks the same, each in their order.

        Args:
            state: The ledger's.
            seeds: How many are to be drawn, or those that runs have already.
        """
        found = None
        wanted = {one.digest for one in self.candidates}
        for one in state.candidates.values():
            r = one.registered
            images = self.images if same_images(r.images, self.images, r.metric) else r.images
            there = (r.metric, r.higher_is_better, r.smallest_effect, images, bool(r.confirmation))
            same = {c.digest for c in r.candidates} == wanted and r.baseline.digest == self.baseline.digest
            if same and there == self[2:]:
                found = r if seeds == (len(r.seeds) if r.drawn else tuple(r.seeds)) else found
        if found is None:
            return None
        number = {c.digest: c.number for c in found.candidates}
        return tuple(state.candidates[number[one.digest]] for one in self.candidates)

    def check(self, path: Path, state: State, *, again: bool) -> None:
        """Refuse what a ledger does not register.

        Args:
            path: The ledger.
            state: What it says.
            again: Whether another look is asked for.

        Raises:
            InputError: The baseline is not the ledger's; a candidate was registered before and `again` is not given; or
                a confirmation by images that the ledger has judged by, of what did not pass.
        """
        if self.confirm:
            self._check_confirmation(path, state)
        else:
            self._check_ordinary(path, state, again=again)

    def _check_ordinary(self, path: Path, state: State, *, again: bool) -> None:
        if state.baselines and state.baselines[-1].digest != self.baseline.digest:
            present = state.baselines[-1]
            also = " of other settings" if present.name == self.baseline.name else ""
            raise InputError(
                f'{path} compares with the baseline "{present.name}", got "{self.baseline.name}"{also}: promote a '
                "candidate, or begin another ledger."
            )
        for one in self.candidates:
            before = [c for c in state.ordinary if c.digest == one.digest and c.baseline.digest == self.baseline.digest]
            if before and not again:
                last = before[-1]
                told = last.decision.verdict if last.decision else "not judged"
                raise InputError(
                    f'"{one.name}" was registered before, as candidate {last.number} (line {last.line}, {told}): '
                    "another look costs another level and is taken on fresh seeds; ask for it (again)."
                )

    def _check_confirmation(self, path: Path, state: State) -> None:
        if self.images == untold(self.metric):
            raise InputError(
                "a confirmation needs images that the ledger has never judged by: give a metric with a name that tells "
                f'its images, as test_… does, or images= in Python, got "{self.metric}".'
            )
        line = state.judged_by().get(self.images)
        if line is not None:
            raise InputError(
                f"{path} has judged by the {self.images} since line {line}: a confirmation needs images that it has "
                "never judged by, and so another metric."
            )
        if self.baseline.digest not in {one.digest for one in state.baselines}:
            known = ", ".join(f'"{one.name}"' for one in state.baselines) or "none"
            raise InputError(
                f'a confirmation is against a baseline of the ledger ({known}), got "{self.baseline.name}".'
            )
        helped = {c.digest for c in state.ordinary if c.decision is not None and c.decision.passed}
        for one in self.candidates:
            if one.digest not in helped:
                raise InputError(f'a confirmation is of a candidate that passed, which "{one.name}" did not.')


def digest_of(name: str, settings: Any) -> str:
    """SHA-256 of settings in canonical JSON; of the name where there are none.

    Raises:
        InputError: They are not what JSON has.
    """
    try:
        text = json.dumps([name] if settings is None else settings, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f'"{name}": settings must be what JSON has, since they name it: {one_line(error)}.') from None
    return hashlib.sha256(text.encode()).hexdigest()
