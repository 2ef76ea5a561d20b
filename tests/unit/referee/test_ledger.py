"""The ledger's file: what it holds, what tampering is told, crashes and two writers."""

import hashlib
import itertools
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import truelift
from truelift.cli import main
from truelift.errors import InputError
from truelift.referee import Candidate, Ledger, gamma, images_of
from truelift.referee.images import of_record, same_images
from truelift.verdicts import compare

METRIC = {"baseline": "plain", "metric": "val_accuracy"}
NOISE = np.array([0.1, -0.2, 0.05, 0.0, 0.15])
BASE = np.array([90.0, 90.4, 90.1, 89.8, 90.2])


def filled(path: Path) -> Ledger:
    """A header, three candidates with their verdicts, and a promotion: eight lines."""
    ledger = Ledger(path, rule="lord")
    for number, lift in enumerate((0.0, 3.0, 0.0)):
        baseline = {"baseline": "try-1"} if number == 2 else {}
        one = ledger.register(f"try-{number}", {"trick": number}, **{**METRIC, **baseline_of(baseline)})
        ledger.judge_results(one, baseline=BASE, results=BASE + lift + NOISE)
        if number == 1:
            ledger.promote(one)
    return ledger


def baseline_of(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "baseline_settings": {"trick": 1}} if given else {}


def test_a_search_in_a_ledger(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "l.jsonl")
    state = ledger.state()
    assert [one.decision.passed for one in state.candidates.values() if one.decision] == [False, True, False]
    assert [one.baseline.name for one in state.candidates.values()] == ["plain", "plain", "try-1"]
    levels = [one.level for one in state.candidates.values()]
    expected = [0.025 * gamma(1), 0.025 * gamma(2), 0.025 * gamma(3) + 0.025 * gamma(1)]
    assert levels == pytest.approx(expected)
    assert (state.baselines[-1].name, state.promotions) == ("try-1", [(6, 2)])
    assert ledger.notes() == []
    # Each line holds the hash of the one before.
    lines = (tmp_path / "l.jsonl").read_bytes().splitlines()
    assert len(lines) == 8
    for before, line in itertools.pairwise(lines):
        assert json.loads(line)["previous"] == hashlib.sha256(before).hexdigest()
    assert ledger.head() == hashlib.sha256(lines[-1]).hexdigest()


def test_a_search_that_changes_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = Ledger("l.jsonl")
    one = ledger.register("try", {"trick": 1}, baseline="plain", metric="val_accuracy")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    ledger.judge_results(one, baseline=BASE, results=BASE + 3 + NOISE)
    assert [one.decision is not None for one in ledger.state().candidates.values()] == [True]
    assert not list(elsewhere.iterdir())


def test_seeds_are_fresh_for_each_candidate_and_those_of_no_other_ledger(tmp_path: Path) -> None:
    one, other = filled(tmp_path / "l.jsonl").state(), filled(tmp_path / "m.jsonl").state()
    seeds = [seed for state in (one, other) for found in state.candidates.values() for seed in found.seeds]
    assert len(seeds) == len(set(seeds)) == 30
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_p_value_and_the_level_are_one_sided(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.jsonl", candidates=2)
    d = np.array([0.3, 0.9, 0.5, 0.2, 0.7])
    worse = ledger.register("worse", **METRIC)  # type: ignore[arg-type]
    better = ledger.register("better", **METRIC)  # type: ignore[arg-type]
    two_sided = compare(BASE, {"x": BASE + d}, higher_is_better=True, unit="points")["x"].p_value
    assert two_sided is not None
    up, down = (
        ledger.judge_results(better, baseline=BASE, results=BASE + d),
        ledger.judge_results(worse, baseline=BASE, results=BASE - d),
    )
    assert (up.p, down.p) == pytest.approx((two_sided / 2, 1 - two_sided / 2))
    assert (up.level, up.passed, down.passed, down.verdict) == (0.025, True, False, "hurts")
    # Judged once: other numbers change nothing.
    assert ledger.judge_results(better, baseline=BASE, results=BASE - d) == up


def test_a_smallest_effect_and_failed_runs_keep_a_candidate_from_passing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.jsonl", candidates=20)
    one = ledger.register("small", **METRIC, smallest_effect=2.0)  # type: ignore[arg-type]
    small = ledger.judge_results(one, baseline=BASE, results=BASE + 1 + NOISE / 10)
    assert small.p < small.level
    assert (small.passed, small.verdict) == (False, "no effect")
    of_zero = compare(BASE, {"x": BASE + 1 + NOISE / 10}, higher_is_better=True)["x"]
    other = ledger.register("other", **METRIC, smallest_effect=2.0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="registered with the smallest effect 2, and the comparison calls"):
        ledger.judge(other, of_zero)
    two = ledger.register("fails", {}, **METRIC)  # type: ignore[arg-type]
    results = BASE + 1 + NOISE / 10
    results[0] = np.nan
    failed = ledger.judge_results(two, baseline=BASE, results=results)
    assert (failed.passed, failed.verdict) == (False, "undecided")


def test_the_same_registration_goes_on_and_another_look_costs(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.jsonl", candidates=10)
    one = ledger.register("a", {"x": 1}, **METRIC)  # type: ignore[arg-type]
    assert ledger.register("a", {"x": 1}, **METRIC) == one  # type: ignore[arg-type]
    ledger.judge_results(one, baseline=BASE, results=BASE + NOISE)
    again = ledger.register("a", {"x": 1}, **METRIC)  # type: ignore[arg-type]
    assert (again.number, again.decision is not None) == (1, True)
    with pytest.raises(InputError, match=r'"b" was registered before, as candidate 1 \(line 2, undecided\)'):
        ledger.register("b", {"x": 1}, **METRIC, seeds=20)  # type: ignore[arg-type]
    second = ledger.register("a", {"x": 1}, **METRIC, again=True)  # type: ignore[arg-type]
    assert (second.number, second.look, second.decision) == (2, 2, None)
    assert not set(second.seeds) & set(one.seeds)
    assert ledger.register("a", {"x": 1}, **METRIC, again=True) == second  # type: ignore[arg-type]
    assert ledger.state().account.spent() == pytest.approx(0.2)  # judged or not


def test_candidates_of_one_study_share_seeds_and_are_levels_of_their_own(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.jsonl", rule="saffron")
    a, b = ledger.register_all({"a": {"x": 1}, "b": {"x": 2}}, **METRIC)  # type: ignore[arg-type]
    assert a.seeds == b.seeds
    assert a.level > b.level
    for arguments, told in (
        ({"a": {"x": 1}, "c": {"x": 1}}, "all different"),
        ({"plain": None}, "must not be the baseline"),
        ({}, "got none"),
        ({"a": {"x": {1, 2}}}, "what JSON has"),
    ):
        with pytest.raises(InputError, match=told):
            ledger.register_all(arguments, **METRIC)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="seeds must be from 3"):
        ledger.register("d", **METRIC, seeds=2)  # type: ignore[arg-type]


def test_the_order_of_candidates_is_no_other_registration(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.jsonl")
    first = ledger.register_all({"a": {"x": 1}, "b": {"x": 2}}, **METRIC)  # type: ignore[arg-type]
    assert ledger.register_all({"b": {"x": 2}, "a": {"x": 1}}, **METRIC) == first[::-1]  # type: ignore[arg-type]
    for one in first:
        ledger.judge_results(one, baseline=BASE, results=BASE + 1 + NOISE)
    judged = ledger.register_all({"b": {"x": 2}, "a": {"x": 1}}, **METRIC)  # type: ignore[arg-type]
    assert [one.number for one in judged] == [2, 1]
    with pytest.raises(InputError, match="registered before"):
        ledger.register_all({"b": {"x": 2}}, **METRIC)  # type: ignore[arg-type]


def test_a_baseline_changes_by_promotion_alone(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "l.jsonl")
    with pytest.raises(InputError, match='compares with the baseline "try-1", got "plain"'):
        ledger.register("d", **METRIC)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"candidate 1.*did not pass"):
        ledger.promote(1)
    with pytest.raises(InputError, match="there is no candidate 9"):
        ledger.promote(9)
    ledger.promote(2)  # once more: nothing
    assert len((tmp_path / "l.jsonl").read_bytes().splitlines()) == 8


def test_a_confirmation_is_on_images_that_were_never_judged_by(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "l.jsonl")
    base: dict[str, Any] = {"baseline": "plain", "confirm": True}
    with pytest.raises(InputError, match="has judged by the validation images since line 2"):
        ledger.register("try-1", {"trick": 1}, metric="validation_error", **base)
    with pytest.raises(InputError, match='"try-0" did not'):
        ledger.register("try-0", {"trick": 0}, metric="test_accuracy", **base)
    with pytest.raises(InputError, match="against a baseline of the ledger"):
        ledger.register("try-1", {"trick": 1}, metric="test_accuracy", baseline="other", confirm=True)
    one = ledger.register("try-1", {"trick": 1}, metric="test_accuracy", **base)
    assert (one.level, one.registered.confirmation) == (0.025, 1)
    assert ledger.register("try-1", {"trick": 1}, metric="test_accuracy", **base) == one  # after a crash
    before = ledger.state().account.spent()
    assert ledger.judge_results(one, baseline=BASE, results=BASE + 1 + NOISE).passed
    assert ledger.state().account.spent() == before  # a budget of its own
    with pytest.raises(InputError, match="has judged by the test images since line 9"):
        ledger.register("try-1", {"trick": 1}, metric="test_error", **base)
    second = ledger.register("try-1", {"trick": 1}, metric="accuracy", images="new photographs", **base)
    assert second.level == 0.0125


def test_images_are_told_by_the_metrics_name() -> None:
    assert images_of("eval/val-acc") == "validation images"
    assert images_of("head_test_error", "digits") == images_of("test_accuracy", "digits") == "test images of digits"
    assert images_of("f1") == "what f1 is computed on"
    assert images_of("testAccuracy") == images_of("Test-Acc") == "test images"
    assert images_of("eval_loss") == images_of("evaluationAccuracy") == "validation images"
    assert images_of("holdout/acc") == "held-out images"
    assert images_of("outlier_auroc", "digits") == images_of("fgsm_accuracy", "digits") == "test images of digits"


@pytest.mark.parametrize("prefix", ["eval_", "eval/", "evaluation/", "holdout_", ""])
@pytest.mark.parametrize("words", ["test images", "validation images", "training images"])
def test_a_split_that_is_named_goes_before_a_word_that_stands_for_one(prefix: str, words: str) -> None:
    for split in {"test images": ("test",), "validation images": ("val", "dev"), "training images": ("train",)}[words]:
        assert images_of(f"{prefix}{split}_accuracy") == images_of(f"{split}/{prefix}accuracy") == words


def test_lines_of_earlier_versions_that_took_eval_for_the_split() -> None:
    assert of_record("validation images", "eval_test_accuracy") == "test images"
    assert same_images("validation images", "test images of digits", "eval_test_accuracy")
    assert of_record("validation images", "val_accuracy") == of_record("validation images", "f1") == "validation images"
    assert not same_images("validation images", "test images", "test_accuracy")


@pytest.mark.parametrize(
    ("searched", "confirmed", "told"),
    [
        ("eval_accuracy", "eval_loss", "has judged by the validation images since line 2"),
        ("eval_accuracy", "val_error", "has judged by the validation images since line 2"),
        ("testAccuracy", "test_accuracy", "has judged by the test images since line 2"),
        ("eval/test_accuracy", "test_accuracy", "has judged by the test images since line 2"),
        ("top1", "top5", 'a name that tells its images, as test_… does, or images= in Python, got "top5"'),
        ("val_accuracy", "score", 'got "score"'),
    ],
)
@pytest.mark.parametrize("earlier", [False, True])
def test_a_confirmation_is_on_no_images_of_the_search_by_another_name(
    tmp_path: Path, searched: str, confirmed: str, told: str, earlier: bool
) -> None:
    ledger = Ledger(tmp_path / "l.jsonl")
    # Versions before this one wrote so of every name that they did not know.
    images = f"what {searched} is computed on" if earlier and searched != "val_accuracy" else None
    one = ledger.register("a", baseline="plain", metric=searched, higher_is_better=True, images=images)
    ledger.judge_results(one, baseline=BASE, results=BASE + 1 + NOISE)
    asked: dict[str, Any] = {"baseline": "plain", "metric": confirmed, "confirm": True, "higher_is_better": True}
    with pytest.raises(InputError, match=told):
        ledger.register("a", **asked)
    assert ledger.register("a", **asked, images="new photographs").registered.confirmation == 1
    again = ledger.register("a", baseline="plain", metric=searched, higher_is_better=True)  # as before a crash
    assert again.number == one.number


def test_another_rule_or_budget_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "l.jsonl", rule="lord", alpha=0.1)
    Ledger(tmp_path / "l.jsonl")
    with pytest.raises(InputError, match="has rule lord, which cannot be changed, got saffron"):
        Ledger(tmp_path / "l.jsonl", rule="saffron")
    for alpha in (0.0, 1.0, -1.0):
        with pytest.raises(InputError, match="alpha must be between 0 and 1"):
            Ledger(tmp_path / "m.jsonl", alpha=alpha)
    assert isinstance(truelift.Ledger(tmp_path / "l.jsonl"), Ledger)


def rehashed(lines: list[bytes], at: int, change: Callable[[dict[str, Any]], object]) -> list[bytes]:
    """The lines with one changed and all hashes after it made anew, as somebody might who knows how."""
    found, previous = list(lines), ""
    for i, raw in enumerate(lines):
        line = json.loads(raw)
        if i >= at:
            line["previous"] = previous if i else "0" * 64
        if i == at:
            change(line)
        found[i] = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        previous = hashlib.sha256(found[i]).hexdigest()
    return found


def _swap(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[4], lines[3], *lines[5:]]


TAMPERED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "a number": (
        lambda ls: [*ls[:2], ls[2].replace(b'"passed":false', b'"passed":true'), *ls[3:]],
        "line 3 was changed",
    ),
    "a space": (lambda ls: [*ls[:2], ls[2].replace(b":", b": ", 1), *ls[3:]], "line 3 was changed"),
    "the last": (lambda ls: [*ls[:-1], ls[-1].replace(b"undecided", b"no effect")], "line 8 was changed"),
    "the first": (lambda ls: [ls[0].replace(b"lord", b"saffron"), *ls[1:]], "line 1 was changed"),
    "one less": (lambda ls: [*ls[:3], *ls[4:]], "line 4 is numbered 5"),
    "the first less": (lambda ls: ls[1:], "line 1 is numbered 2"),
    "two swapped": (_swap, "line 4 is numbered 5"),
    "one twice": (lambda ls: [*ls[:3], ls[2], *ls[3:]], "line 4 is numbered 3"),
    "the last less": (lambda ls: ls[:-1], "line 8 is missing"),
    "three less at the end": (lambda ls: ls[:-3], "lines 6 to 8 are missing"),
    "a part of a line": (lambda ls: [*ls[:4], ls[4][:50], *ls[5:]], "line 5 is no line of a ledger"),
    "an empty line": (lambda ls: [*ls[:4], b"", *ls[4:]], "line 5 is no line of a ledger"),
    "no number": (lambda ls: [*ls[:2], ls[2].replace(b'"p":', b'"p":NaN,"q":'), *ls[3:]], "line 3 is no line"),
    "too large a number": (lambda ls: [*ls[:2], ls[2].replace(b'"p":', b'"p":1e999,"q":'), *ls[3:]], "line 3 was ch"),
    "a list": (lambda ls: [*ls[:4], b"[1]", *ls[5:]], "line 5 is no line of a ledger"),
    "no UTF-8": (lambda ls: [*ls[:4], b"\xff\xfe", *ls[5:]], "line 5 is no line of a ledger"),
    "depth": (lambda ls: [*ls[:4], b"[" * 100_000, *ls[5:]], "line 5 is no line of a ledger"),
    "nothing": (lambda ls: [], "lines 1 to 8 are missing"),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampering_is_one_line_that_names_the_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "l.jsonl"
    ledger = filled(path)
    change, told = TAMPERED[kind]
    lines = change(path.read_bytes().splitlines())
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    content = path.read_bytes()
    for use in (ledger.state, lambda: ledger.register("d", **METRIC), lambda: Ledger(path)):  # type: ignore[arg-type]
        with pytest.raises(InputError) as error:
            use()
        assert told in str(error.value)
        assert "\n" not in str(error.value)
    assert path.read_bytes() == content  # nothing is written after what is wrong


def becomes(line: dict[str, Any], other: dict[str, Any]) -> None:
    line.clear()
    line.update(other)


FORGED: dict[str, tuple[int, Callable[[dict[str, Any]], object], str]] = {
    "a higher level": (1, lambda line: line["candidates"][0].update(level=0.02), "by the rule, not 0.02"),
    "chosen seeds": (1, lambda line: line.update(seeds=[0, 1, 2, 3, 4]), "not those that the ledger draws"),
    "a pass": (2, lambda line: line.update(passed=True), "does not pass so"),
    "another kind": (2, lambda line: line.update(kind="note"), "line 3"),
    "a further key": (2, lambda line: line.update(more=1), "unknown field"),
    "a text for a number": (2, lambda line: line.update(p="0"), "Expected"),
    "a second header": (
        3,
        lambda line: becomes(line, HEADER),
        "only the first line",
    ),
    "a candidate's number": (3, lambda line: line["candidates"][0].update(number=9), "does not follow candidate 1"),
    "another baseline": (6, lambda line: line["baseline"].update(digest="0"), "is not the ledger's"),
    "judged twice": (7, lambda line: line.update(number=2), "was judged before"),
    "promoted without passing": (5, lambda line: line.update(number=1), "did not pass"),
    "a later version": (0, lambda line: line.update(version=2), "version 2"),
    "a budget of 2": (0, lambda line: line.update(alpha=2), "alpha must be between 0 and 1"),
}
HEADER: dict[str, Any] = {
    "alpha": 0.05,
    "candidates": None,
    "created": "",
    "kind": "ledger",
    "line": 4,
    "nonce": "",
    "previous": "",
    "rule": "lord",
    "version": 1,
}


@pytest.mark.parametrize("kind", FORGED)
def test_what_cannot_be_is_told_although_all_hashes_are_right(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "l.jsonl"
    ledger = filled(path)
    at, change, told = FORGED[kind]
    lines = rehashed(path.read_bytes().splitlines(), at, change)
    if kind == "a second header":
        lines = lines[:4]
        fourth = json.loads(lines[3]) | {"previous": hashlib.sha256(lines[2]).hexdigest()}
        lines[3] = json.dumps(fourth, sort_keys=True, separators=(",", ":")).encode()
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    Path(f"{path}.head").unlink()
    with pytest.raises(InputError, match=told) as error:
        ledger.state()
    # Seeds are drawn from the line before, so a header made anew is told where the first seeds are.
    assert f", line {at + 1}" in str(error.value)


def test_without_its_head_a_ledger_says_what_cannot_be_told(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "l.jsonl")
    head = tmp_path / "l.jsonl.head"
    head.unlink()
    assert "nobody can tell whether lines were removed at the end" in ledger.notes()[0]
    ledger.register("d", baseline="try-1", baseline_settings={"trick": 1}, metric="val_accuracy")
    assert ledger.notes() == []
    head.write_text('{"lines": "8"}')
    with pytest.raises(InputError, match="head is damaged"):
        ledger.state()


@pytest.mark.parametrize("kept", [1, 40, 200])
def test_a_line_that_a_crash_cut_short_stays_and_is_told(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "l.jsonl"
    ledger = filled(path)
    whole, head = path.read_bytes(), Path(f"{path}.head").read_bytes()
    arguments: dict[str, Any] = {"baseline": "try-1", "baseline_settings": {"trick": 1}, "metric": "val_accuracy"}
    lost = ledger.register("d", {"trick": 4}, **arguments)
    path.write_bytes(path.read_bytes()[: len(whole) + kept])  # as if the machine had stopped while it was written
    Path(f"{path}.head").write_bytes(head)
    assert "line 9 is cut short" in ledger.notes()[0]
    assert len(ledger.state().candidates) == 3
    again = ledger.register("d", {"trick": 4}, **arguments)
    assert (again.number, again.level) == (lost.number, lost.level)
    content = path.read_bytes()
    assert content.startswith(whole)
    assert len(content.splitlines()) == 11  # the part, the line that ends it, the registration
    assert ledger.notes() == ["line 9 was cut short by a crash; what it said never took effect."]
    assert ledger.state().candidates[4].seeds == again.seeds
    # The part is kept as it was: changing it is tampering like any other.
    lines = content.splitlines()
    path.write_bytes(b"".join(line + b"\n" for line in [*lines[:8], b"[", *lines[9:]]))
    with pytest.raises(InputError, match="line 9 is no line of a ledger"):
        ledger.state()


@pytest.mark.parametrize("kept", [1, 5, 60, -10])
def test_a_ledger_whose_first_line_a_crash_cut_short_begins_anew(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "l.jsonl"
    Ledger(path, rule="lord")
    Path(f"{path}.head").unlink()  # it is written after the line
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SystemExit):
        main(["ledger", str(path)])
    assert len(path.read_bytes().splitlines()) == 1, "whoever looks begins none"
    ledger = Ledger(path, rule="lord")
    assert ledger.notes() == ["line 1 was cut short by a crash; what it said never took effect."]
    assert len(path.read_bytes().splitlines()) == 3
    one = ledger.register("a", **METRIC)  # type: ignore[arg-type]
    assert Ledger(path, rule="lord").judge_results(one, baseline=BASE, results=BASE + NOISE).number == 1


@pytest.mark.parametrize("content", [b"notes on the search", b'{"alpha" : 0.05', b'{"kind":"cut short","sha256":"0'])
def test_what_is_no_ledger_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"l\.jsonl, line 1 is no line of a ledger: it was changed or cut short"):
        Ledger(path, rule="lord")
    assert path.read_bytes() == content


def test_a_line_that_lacks_its_end_alone_counts(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    ledger = Ledger(path)
    one = ledger.register("a", **METRIC)  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:-1])
    assert ledger.register("a", **METRIC) == one  # type: ignore[arg-type]
    assert ledger.judge_results(one, baseline=BASE, results=BASE + NOISE).verdict == "undecided"
    assert len(path.read_bytes().splitlines()) == 3


def test_a_last_line_cut_by_hand_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    ledger = filled(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="line 8 is cut short or changed"):
        ledger.state()


def test_a_crash_before_the_head_is_written_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    ledger = Ledger(path)
    head = Path(f"{path}.head").read_bytes()
    one = ledger.register("a", **METRIC)  # type: ignore[arg-type]
    Path(f"{path}.head").write_bytes(head)
    assert ledger.register("a", **METRIC) == one  # type: ignore[arg-type]


def _register(path: Path, name: str, queue: "multiprocessing.Queue[list[Candidate]]") -> None:
    ledger = Ledger(path)
    queue.put([ledger.register(f"{name}-{i}", **METRIC) for i in range(15)])  # type: ignore[arg-type]


def test_two_processes_register_at_once(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    Ledger(path, candidates=40)
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[list[Candidate]] = context.Queue()
    processes = [context.Process(target=_register, args=(path, name, queue)) for name in "ab"]
    for process in processes:
        process.start()
    found = [one for _ in processes for one in queue.get(timeout=60)]
    for process in processes:
        process.join()
    assert sorted(one.number for one in found) == list(range(1, 31))
    assert len({seed for one in found for seed in one.seeds}) == 150
    state = Ledger(path).state()
    assert {one.number: one.name for one in found} == {n: one.name for n, one in state.candidates.items()}


def test_no_ledger_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("remember the milk\n")
    with pytest.raises(InputError, match="line 1 is no line of a ledger"):
        Ledger(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="cannot be opened for writing"):
        Ledger(tmp_path)
    ledger = Ledger(tmp_path / "l.jsonl")
    with pytest.raises(InputError, match="no candidate 3"):
        ledger.judge_results(3, baseline=BASE, results=BASE)
    one = ledger.register("a", **METRIC)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs 5 results of either"):
        ledger.judge_results(one, baseline=BASE[:4], results=BASE[:4])


def test_the_metric_s_name_tells_which_way_is_better(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    lower = ledger.register("worse", baseline="plain", metric="val_error", seeds=3)
    assert ledger.judge_results(lower, baseline=[9.1, 9.4, 9.2], results=[12.2, 12.6, 12.3]).verdict == "hurts"
    higher = ledger.register("better", baseline="plain", metric="val_error", higher_is_better=True, seeds=3)
    assert ledger.judge_results(higher, baseline=[9.1, 9.4, 9.2], results=[12.2, 12.6, 12.3]).verdict == "helps"
    with pytest.raises(InputError, match="higher_is_better must be given for a metric whose name does not end in"):
        ledger.register("unknown", baseline="plain", metric="val_goodness", seeds=3)


def test_a_system_without_pread_has_ledgers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread")  # as Windows
    assert len(filled(tmp_path / "ledger.jsonl").state().candidates) == 3


@pytest.mark.parametrize("content", ["[]", '"text"', "{}"])
def test_a_head_that_holds_something_else_is_damaged(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path).register("a", baseline="plain", metric="val_accuracy", seeds=3)
    Path(f"{path}.head").write_text(content)
    with pytest.raises(InputError, match="is damaged: it must hold the number of lines and a hash"):
        Ledger(path).register("b", baseline="plain", metric="val_accuracy", seeds=3)


def test_a_ledger_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training may change the working directory."""
    monkeypatch.chdir(tmp_path)
    ledger = Ledger("l.jsonl", rule="lord")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    one = ledger.register("try", baseline="plain", metric="val_accuracy")
    assert ledger.judge_results(one, baseline=BASE, results=BASE + 3 + NOISE).passed
    assert ledger.notes() == []
    assert ledger.record([one])["ledger"] == "l.jsonl"  # as it was given
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize(
    ("metric", "base", "effect", "given"),
    [
        ("val_accuracy", BASE / 100, 0.5, {"scale": "fraction"}),
        ("val_accuracy", BASE, 0.5, {}),
        ("train_seconds", BASE / 10, 2.0, {}),
        ("val_loss", BASE, 0.5, {}),
    ],
)
def test_results_are_judged_as_everywhere_else(
    tmp_path: Path, metric: str, base: Any, effect: float, given: dict[str, Any]
) -> None:
    """As by `truelift.compare`, in the metric's unit."""
    better = 1 if metric == "val_accuracy" else -1
    results = base * (1 + better * (0.03 + NOISE / 100))
    ledger = Ledger(tmp_path / "l.jsonl", rule="lord")
    one = ledger.register("try", {"a": 1}, baseline="plain", metric=metric, smallest_effect=effect)
    if given:
        with pytest.raises(InputError, match=f'all results of {metric} lie between 0 and 1: write scale = "fraction"'):
            ledger.judge_results(one, baseline=base, results=results)
    found = ledger.judge_results(one, baseline=base, results=results, **given)
    times = 100 if given else 1
    of_seed = dict(zip(one.seeds, zip(times * base, times * results, strict=True), strict=True))
    judged = truelift.compare(
        lambda seed, a=0: {metric: of_seed[seed][a]},
        variants={"plain": {}, "try": {"a": 1}},
        seeds=one.seeds,
        folder=tmp_path / "s",
        metric=metric,
        smallest_effect=effect,
        quiet=True,
    )
    assert (found.verdict, found.passed) == ("helps", True)
    assert judged["try"].verdict == "helps"
    assert ledger.state().candidates[one.number].differences == pytest.approx(judged["try"].differences)
