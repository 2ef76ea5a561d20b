"""The ledger as a file: candidates are registered, judged and promoted, by one process at a time."""

import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from truelift.errors import InputError, require
from truelift.metrics import Metric, Scale
from truelift.records import now
from truelift.referee import chain as chains
from truelift.referee.account import Account
from truelift.referee.chain import Chain
from truelift.referee.entries import VERSION, Entered, Judged, Opened, Promoted, Registered
from truelift.referee.registering import Asked
from truelift.referee.rules import Rule
from truelift.referee.state import Candidate, Decision, State
from truelift.referee.writer import Writer, read, writing
from truelift.seeds import MOST_SEEDS
from truelift.verdicts import Comparison, compare, in_points


class Ledger:
    """One error budget over all candidates that are tried one after the other against a baseline.

    >>> ledger = Ledger("ledger.jsonl", rule="lord")
    >>> one = ledger.register("mixup", {"alpha": 0.2}, baseline="plain", metric="val_accuracy", seeds=3)
    >>> ledger.judge_results(one, baseline=[90.1, 90.4, 90.2], results=[91.2, 91.6, 91.3]).verdict
    'helps'

    Args:
        path: A JSON-lines file, made where it is missing.
        rule: spending: alpha spending, for the chance of any false promotion; lord or saffron: for the false discovery
            rate. By default the ledger's, or spending for a new one.
        alpha: The budget. By default the ledger's, or 0.05.
        candidates: How many candidates there will be at most, which share the budget evenly; for spending.

    Raises:
        InputError: A line was changed, removed, moved or cut; or the ledger has another rule or budget.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rule: Rule | None = None,
        alpha: float | None = None,
        candidates: int | None = None,
    ) -> None:
        self.path = Path(path)
        self._file = self.path.absolute()  # what is tried may change the working directory
        # First, so that nothing is made where it is refused.
        begun = Account(rule or "spending", alpha=0.05 if alpha is None else alpha, candidates=candidates)
        with self._writing() as writer:
            if writer.state.opened is None:
                nonce = secrets.token_hex(16)
                writer.append(Opened(VERSION, begun.rule, begun.alpha, begun.candidates, nonce, now()))
                return
            opened = writer.state.opened
            asked = {"rule": rule, "alpha": alpha, "candidates": candidates}
            for name, value in asked.items():
                there = getattr(opened, name)
                if value is not None and value != there:
                    raise InputError(f"{self.path} has {name} {there}, which cannot be changed, got {value}.")

    def state(self) -> State:
        """What the ledger says now.

        Raises:
            InputError: It is damaged; the message names the line.
        """
        return State.of(self.path, self._read().lines)

    def record(self, candidates: Sequence[Candidate], *, unseen: Sequence[str] = ()) -> dict[str, Any]:
        """What study.json says of the ledger: the report judges by it.

        Args:
            candidates: That were registered together.
            unseen: Metrics that the report is not to show.
        """
        opened = self.state().opened
        assert opened is not None
        registered = candidates[0].registered
        return {
            "ledger": os.fspath(self.path),
            "rule": opened.rule,
            "alpha": opened.alpha,
            "images": registered.images,
            "unseen": list(unseen),
            "confirmation": registered.confirmation,
            "candidates": {
                one.name: {"number": one.number, "level": one.level, "look": one.look} for one in candidates
            },
        }

    def head(self) -> str:
        """The hash of the last line: written down elsewhere, it tells whether the ledger was written anew."""
        return self._read().hash

    def notes(self) -> list[str]:
        """What a reader should know of the file: a sentence each."""
        chain = self._read()
        cut_short = State.of(self.path, chain.lines).cut_short
        told = [f"line {n} was cut short by a crash; what it said never took effect." for n in cut_short]
        if chain.left:
            told.append(
                f"line {chain.physical + 1} is cut short, by a crash or because it is being written; it has no effect. "
                "It stays, and the next entry says so."
            )
        if chain.lines and chains.read_head(self._file) is None:
            told.append(
                f"{chains.head_of(self.path).name} is missing: nobody can tell whether lines were removed at the end."
            )
        return told

    def register(
        self,
        name: str,
        settings: Any = None,
        *,
        baseline: str,
        metric: str,
        baseline_settings: Any = None,
        higher_is_better: bool | None = None,
        smallest_effect: float = 0.0,
        seeds: int = 5,
        images: str | None = None,
        again: bool = False,
        confirm: bool = False,
    ) -> Candidate:
        """Register one candidate before it runs; see `register_all`.

        Args:
            name: The candidate's.
            settings: What it sets; what JSON has. By default its name stands for it.
            baseline: The name of what it is compared with.
            metric: What it will be judged by.
            baseline_settings: What the baseline sets.
            higher_is_better: Whether a larger metric is better; by default as its name tells. Of other names it must be
                given.
            smallest_effect: The smallest difference that matters, at least 0.
            seeds: How many to draw, at least 3.
            images: What the metric is computed on; by default as its name tells.
            again: Take another look at a candidate that was registered before.
            confirm: The last confirmation, on images that the ledger has never judged by.

        Returns:
            The candidate, with its level and its seeds. The same settings were perhaps registered under another name,
            as by another search, and perhaps judged: go on with its `name`, and with its `decision` where it has one.
        """
        return self.register_all(
            {name: settings},
            baseline=baseline,
            metric=metric,
            baseline_settings=baseline_settings,
            higher_is_better=higher_is_better,
            smallest_effect=smallest_effect,
            seeds=seeds,
            images=images,
            again=again,
            confirm=confirm,
        )[0]

    def register_all(
        self,
        candidates: Mapping[str, Any],
        *,
        baseline: str,
        metric: str,
        baseline_settings: Any = None,
        higher_is_better: bool | None = None,
        smallest_effect: float = 0.0,
        seeds: int = 5,
        images: str | None = None,
        again: bool = False,
        confirm: bool = False,
        drawn: bool = True,
        given: tuple[int, ...] = (),
    ) -> tuple[Candidate, ...]:
        """Register candidates that share their seeds and their baseline's runs, such as a study's variants.

        What is registered and was never judged is given back as it is: the same call after a crash goes on with the
        same level and seeds. What was judged is given back with its decision. Settings tell candidates apart, not
        names: of two searches that propose the same, the second is given the first one's candidate, with its name.

        Args:
            candidates: What each sets, by name.
            baseline: See `register`, as all others.
            metric: What they will be judged by.
            baseline_settings: What the baseline sets.
            higher_is_better: Whether a larger metric is better.
            smallest_effect: The smallest difference that matters.
            seeds: How many to draw.
            images: What the metric is computed on.
            again: Another look, at new seeds and levels.
            confirm: The last confirmation.
            drawn: False for runs that were there before: their seeds are `given`. With spending alone.
            given: Those seeds.

        Raises:
            InputError: The budget is used up; the baseline is not the ledger's; a candidate was registered before and
                `again` is not given; or a confirmation by images that the ledger has judged by, of what did not
                pass.
        """
        require("smallest_effect", smallest_effect, 0 <= smallest_effect < float("inf"), "at least 0 and finite")
        if drawn:
            require("seeds", seeds, 3 <= seeds <= MOST_SEEDS, f"from 3 to {MOST_SEEDS:,}")
        asked = Asked.of(
            candidates, (baseline, baseline_settings), (metric, higher_is_better), smallest_effect, images, confirm
        )
        with self._writing() as writer:
            state = writer.state
            assert state.opened is not None
            if not drawn and state.opened.rule != "spending":
                raise InputError(
                    f"{self.path} has the rule {state.opened.rule}, which needs seeds that the ledger draws: runs "
                    "that are there already can be judged with spending alone."
                )
            found = asked.registered_in(state, given if not drawn else seeds)
            # Another look that a crash cut off goes on; one that was judged is no new one.
            if found is not None and (not again or confirm or any(one.decision is None for one in found)):
                return found
            asked.check(self.path, state, again=again)
            confirmation = state.confirmations + 1 if confirm else 0
            chosen = list(given) if not drawn else state.draw(writer.following_hash(), seeds)
            levels = state.levels(len(asked.candidates), confirmation)
            entered = [
                Entered(
                    number=len(state.candidates) + i + 1,
                    name=one.name,
                    settings=one.settings,
                    digest=one.digest,
                    level=level,
                    look=state.look(one.digest, asked.baseline.digest, confirmation),
                )
                for i, (one, level) in enumerate(zip(asked.candidates, levels, strict=True))
            ]
            writer.append(
                Registered(
                    baseline=asked.baseline,
                    metric=metric,
                    higher_is_better=asked.higher_is_better,
                    smallest_effect=float(smallest_effect),
                    images=asked.images,
                    seeds=chosen,
                    drawn=drawn,
                    confirmation=confirmation,
                    candidates=entered,
                    created=now(),
                )
            )
            return tuple(writer.state.candidates[one.number] for one in entered)

    def judge(self, candidate: Candidate | int, comparison: Comparison) -> Decision:
        """Record what a comparison of a candidate with its baseline found.

        It passes where the verdict is helps and the one-sided p-value is at most its level. What was judged before
        keeps its decision.

        Args:
            candidate: As registered, or its number.
            comparison: Of its runs with the baseline's, paired by the ledger's seeds: `judged["mixup"]` of
                `truelift.compare`.

        Raises:
            InputError: There is no such candidate, the comparison has more pairs than the candidate has seeds, or it
                was made with another smallest effect.
        """
        with self._writing() as writer:
            one = self._candidate(writer.state, candidate)
            number = one.number
            if one.decision is not None:
                return one.decision
            if comparison.seeds > len(one.seeds):
                raise InputError(
                    f'candidate {number}, "{one.name}", has {len(one.seeds)} seeds, the comparison {comparison.seeds}.'
                )
            smallest = one.registered.smallest_effect
            if comparison.verdict == "helps" and abs(comparison.difference) < smallest:
                raise InputError(
                    f'candidate {number}, "{one.name}", was registered with the smallest effect {smallest:g}, and the '
                    f"comparison calls {comparison.difference:g} a help: compare with the same smallest effect."
                )
            p = promotion_p_value(comparison, higher_is_better=one.registered.higher_is_better)
            writer.append(
                Judged(
                    number=number,
                    verdict=comparison.verdict,
                    passed=comparison.verdict == "helps" and p <= one.level,
                    p=p,
                    differences=list(comparison.differences),
                    reason=comparison.reason,
                    created=now(),
                )
            )
            found = writer.state.candidates[number].decision
        assert found is not None
        return found

    def judge_results(
        self, candidate: Candidate | int, *, baseline: ArrayLike, results: ArrayLike, scale: Scale | None = None
    ) -> Decision:
        """Judge a candidate by its results, one a seed, in the order of its seeds; NaN for a run that failed.

        As everywhere, differences of an accuracy or an error are in points, and those of a time or a count in percent
        of the baseline: so is the smallest effect.

        Args:
            candidate: As registered, or its number.
            baseline: Results of the baseline, in units of the metric.
            results: Of the candidate.
            scale: Of both: points (from 0 to 100), fraction (from 0 to 1, judged in points) or none. By default as the
                metric's name tells; needed where that is in points and all results lie between 0 and 1.

        Raises:
            InputError: There is no such candidate, its results are not one a seed, or they are not of the scale. Then
                nothing is recorded.
        """
        one = self._candidate(self.state(), candidate)
        base, values = np.asarray(baseline, dtype=np.float64), np.asarray(results, dtype=np.float64)
        if base.shape != (len(one.seeds),) or values.shape != base.shape:
            raise InputError(
                f'candidate {one.number}, "{one.name}", needs {len(one.seeds)} results of either, one a seed, got '
                f"{base.size} and {values.size}."
            )
        metric = Metric.named(one.registered.metric, one.registered.higher_is_better, scale=scale)
        if metric.in_points:
            base, values = in_points(metric.name, (base, values), scale)
        found = compare(
            base,
            {one.name: values},
            higher_is_better=metric.higher_is_better,
            smallest_effect=one.registered.smallest_effect,
            relative=metric.relative,
            resolution=metric.resolution(None),
            unit=metric.unit,
            scale="none",  # looked at above
            may_be_constant=metric.may_be_constant,
            failed={one.name: np.isnan(values)},
            baseline_failed=np.isnan(base),
            levels={one.name: 2 * one.level},
        )
        return self.judge(one, found[one.name])

    def promote(self, candidate: Candidate | Decision | int) -> None:
        """Let a candidate that passed be the baseline from now on.

        Raises:
            InputError: It did not pass, or not against the present baseline.
        """
        number = candidate if isinstance(candidate, int) else candidate.number
        with self._writing() as writer:
            if any(number == promoted for _, promoted in writer.state.promotions):
                return
            writer.append(Promoted(number, now()))

    def _candidate(self, state: State, wanted: Candidate | int) -> Candidate:
        number = wanted if isinstance(wanted, int) else wanted.number
        if number not in state.candidates:
            raise InputError(f"{self.path} has no candidate {number}.")
        return state.candidates[number]

    def _read(self) -> Chain:
        return read(self.path, self._file)

    def _writing(self) -> AbstractContextManager[Writer]:
        return writing(self.path, self._file)


def promotion_p_value(comparison: Comparison, *, higher_is_better: bool) -> float:
    """One-sided p-value of a candidate being no better: p/2 of the two-sided one where it is better, else 1 - p/2.

    1 where there are too few pairs for a p-value.
    """
    if comparison.p_value is None:
        return 1.0
    better = (comparison.difference > 0) == higher_is_better and comparison.difference != 0
    return comparison.p_value / 2 if better else 1 - comparison.p_value / 2
