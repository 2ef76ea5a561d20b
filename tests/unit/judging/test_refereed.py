"""Runs that one already has, in a referee's ledger; and the example of an automatic search."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import truelift
from truelift.errors import InputError
from truelift.referee import Ledger
from truelift.report.json_form import RefereeForm, report_form
from truelift.report.legend import header_legend
from truelift.report.sections import reading


def table(lift: float = 0.9) -> dict[str, list[Any]]:
    noise = np.random.default_rng(0).normal(size=(3, 6)) / 10
    rows: dict[str, list[Any]] = {"variant": [], "seed": [], "val_accuracy": []}
    for i, name in enumerate(("plain", "good", "same")):
        for seed in range(6):
            rows["variant"].append(name)
            rows["seed"].append(seed)
            rows["val_accuracy"].append(90 + 0.5 * seed + (lift if i == 1 else 0) + noise[i, seed])
    return rows


def test_a_table_is_judged_at_the_ledgers_levels(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    Ledger(path, candidates=1000)
    plain = truelift.judge(table(), baseline="plain", metric="val_accuracy")
    judged = truelift.judge(table(), baseline="plain", metric="val_accuracy", ledger=path)
    good = judged["good"]
    assert (good.p_value, good.differences) == (plain["good"].p_value, plain["good"].differences)
    # Levels of 0.05/1000 one-sided: the interval has the confidence that agrees with the verdict.
    assert good.interval_confidence == pytest.approx(1 - 2 * 0.05 / 1000)
    assert good.p_adjusted == pytest.approx(good.p_value * 0.05 / 1e-4)
    assert judged.verdicts == {"good": "helps", "same": "undecided"}
    assert [one.referee for one in report_form(judged.summary).variants] == [
        None, RefereeForm(1, 5e-5, 1, 0, True), RefereeForm(2, 5e-5, 1, 0, False)
    ]  # fmt: skip
    assert not any(one.referee for one in report_form(plain.summary).variants)
    notes = report_form(judged.summary).notes
    assert any(note.startswith("good: passed; candidate 1 of the ledger") for note in notes)
    assert any("The runs were there before the ledger knew of them" in note for note in notes)
    assert "is at most the level that the ledger gave the variant" in " ".join(reading(judged.summary))
    assert "at the level that the ledger gave the variant" in header_legend(judged.summary)
    for said in (*reading(judged.summary), header_legend(judged.summary)):
        assert "corrected for all variants" not in said
    assert "corrected for all variants, is at most 0.05" in " ".join(reading(plain.summary))
    state = Ledger(path).state()
    assert [one.decision.passed for one in state.candidates.values() if one.decision] == [True, False]
    assert not any(one.registered.drawn for one in state.candidates.values())


def test_a_level_that_is_too_low_decides(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    Ledger(path, candidates=1000)
    assert truelift.judge(table(0.2), baseline="plain", metric="val_accuracy").verdicts["good"] == "helps"
    judged = truelift.judge(table(0.2), baseline="plain", metric="val_accuracy", ledger=path)
    assert judged.verdicts["good"] == "undecided"
    assert "among all that the referee's ledger holds" in judged["good"].reason


def test_the_same_runs_cost_once_and_other_runs_ask_for_another_look(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    arguments: dict[str, Any] = {"baseline": "plain", "metric": "val_accuracy", "ledger": path}
    first = truelift.judge(table(), **arguments)
    assert truelift.judge(table(), **arguments).verdicts == first.verdicts
    assert len(Ledger(path).state().candidates) == 2
    with pytest.raises(InputError, match='"good" was judged by other results of these seeds'):
        truelift.judge(table(0.5), **arguments)
    kept = [i for i, seed in enumerate(table()["seed"]) if seed < 5]
    short = {name: [values[i] for i in kept] for name, values in table().items()}
    with pytest.raises(InputError, match="was registered before"):
        truelift.judge(short, **arguments)
    truelift.judge(short, **arguments, again=True)
    assert [one.look for one in Ledger(path).state().candidates.values()] == [1, 1, 2, 2]


def test_rules_that_need_fresh_seeds_refuse_runs_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    Ledger(path, rule="saffron")
    with pytest.raises(InputError, match="needs seeds that the ledger draws"):
        truelift.judge(table(), baseline="plain", ledger=path)
    with pytest.raises(InputError, match="a ledger needs runs that are pairs"):
        truelift.judge(table(), baseline="plain", paired=False, ledger=tmp_path / "m.jsonl")
    with pytest.raises(InputError, match="again needs a ledger"):
        truelift.judge(table(), baseline="plain", again=True)


def test_the_example_of_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(__file__).parents[3] / "examples/search/search.py"
    spec = importlib.util.spec_from_file_location("search_example", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Better by 5.3 standard deviations of a difference in 10 pairs, so that it is found whatever seeds are drawn.
    best = module.search(tmp_path)
    assert best["width"] == 2
    out = capsys.readouterr().out
    assert "try-5: passed, helps" in out
    assert "confirmation:" in out
    state = Ledger(tmp_path / "ledger.jsonl").state()
    assert (len(list(state.ordinary)), state.confirmations) == (12, 1)
    assert {one.baseline.name for one in state.candidates.values()} >= {"plain", "try-5"}
    length = (tmp_path / "ledger.jsonl").stat().st_size
    assert module.search(tmp_path) == best  # all of it is there: nothing runs or is registered again
    assert (tmp_path / "ledger.jsonl").stat().st_size == length
