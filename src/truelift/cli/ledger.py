"""`truelift ledger`."""

from json import dumps
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from truelift.cli.say import warn
from truelift.errors import InputError, printable
from truelift.referee import Candidate, Ledger, Rule, State
from truelift.referee.writer import read


def ledger(
    file: Annotated[Path, Parameter(name="file")],
    /,
    *,
    rule: Rule | None = None,
    alpha: float | None = None,
    candidates: int | None = None,
    promote: int | None = None,
    json: bool = False,
) -> None:
    """Begin a referee's ledger, or show its candidates, levels, what is spent and the promotions.

    Args:
        file: The ledger, a JSON-lines file. It is created if a rule, a budget or a number of candidates is given.
        rule: spending: alpha spending, for the chance of any false promotion, whatever the dependence; lord or saffron:
            for the false discovery rate, with seeds fresh for each candidate.
        alpha: The budget. Default: 0.05.
        candidates: For spending: how many there will be at most; they share the budget evenly.
        promote: Number of a candidate that passed: it is the baseline from then on.
        json: Print it as JSON and nothing else.
    """
    if rule is None and alpha is None and candidates is None:
        told = "does not exist" if not file.exists() else "has no rule yet" if _is_new(file) else None
        if told is not None:
            raise InputError(f"{file} {told}: give --rule to begin a ledger.")
    found = Ledger(file, rule=rule, alpha=alpha, candidates=candidates)
    if promote is not None:
        found.promote(promote)
    state = found.state()
    for note in found.notes():
        warn(note)
    if json:
        print(dumps(form(state, found.head()), indent=2))
    else:
        _print(state, found.head())


def _is_new(file: Path) -> bool:
    """Whether a file is empty, or a crash cut its first line short."""
    return State.of(file, read(file, file.absolute()).lines).opened is None


def form(state: State, head: str) -> dict[str, Any]:
    """The ledger for programs.

    Args:
        state: What it says.
        head: The hash of its last line.
    """
    opened = state.opened
    assert opened is not None
    return {
        "schema": 1,
        "kind": "ledger",
        "rule": opened.rule,
        "alpha": opened.alpha,
        "planned": opened.candidates,
        "spent": state.account.spent(),
        "passed": state.account.passed,
        "baseline": state.baselines[-1].name if state.baselines else None,
        "promotions": [number for _, number in state.promotions],
        "judged_by": list(state.judged_by()),
        "head": head,
        "candidates": [_candidate(one) for one in state.candidates.values()],
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    decision = one.decision
    return {
        "number": one.number,
        "name": one.name,
        "baseline": one.baseline.name,
        "metric": one.registered.metric,
        "images": one.registered.images,
        "look": one.look,
        "confirmation": one.registered.confirmation,
        "seeds": list(one.seeds),
        "drawn": one.registered.drawn,
        "level": one.level,
        "verdict": None if decision is None else decision.verdict,
        "p": None if decision is None else decision.p,
        "passed": None if decision is None else decision.passed,
    }


def _print(state: State, head: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    opened = state.opened
    assert opened is not None
    planned = f", {opened.candidates} candidates planned" if opened.candidates else ""
    print(f"rule {opened.rule}, budget {opened.alpha:g}{planned}")
    if state.candidates:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for name in ("no", "candidate", "baseline", "seeds", "level", "p", "verdict"):
            table.add_column(name, justify="right" if name in ("no", "seeds", "level", "p") else "left")
        for one in state.candidates.values():
            look = f" (look {one.look})" if one.look > 1 else ""
            look = " (confirmation)" if one.registered.confirmation else look
            verdict = "registered" if one.decision is None else one.decision.verdict
            verdict += ", passed" if one.decision and one.decision.passed else ""
            verdict += "" if one.registered.drawn else " (runs were there before)"
            p = "" if one.decision is None else f"{one.decision.p:.2g}"
            row = (
                str(one.number),
                one.name + look,
                one.baseline.name,
                str(len(one.seeds)),
                f"{one.level:.2g}",
                p,
                verdict,
            )
            table.add_row(*(Text(printable(cell)) for cell in row))
        Console().print(table)
        print()
    unit = "of the budget" if opened.rule == "spending" else "of the budget, as the estimated false discovery rate"
    count = len(list(state.ordinary))
    known = f"{count} {'candidate' if count == 1 else 'candidates'}, {state.account.passed} passed"
    print(f"{known}; {state.account.spent():.3g} {unit}")
    for line, number in state.promotions:
        print(
            f"line {line}: candidate {number}, {printable(state.candidates[number].name)}, is the baseline from here on"
        )
    for images, line in state.judged_by().items():
        print(f"judged by the {printable(images)} since line {line}")
    print(f"last line's hash: {head}")
