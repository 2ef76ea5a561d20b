"""What a study remembers of earlier plans: second looks, and plans that cannot change any more."""

from pathlib import Path
from typing import Any

import pytest

from truelift.errors import InputError
from truelift.records import earlier_plans, looks_before, write_json
from truelift.records.json_files import read_plan

UNTIL: dict[str, Any] = {"max_seeds": 5, "looks": [3, 4, 5], "alpha": 0.05}
GUARD: dict[str, Any] = {"limit": 3.0, "unit": "", "higher_is_better": False, "relative": False, "scale": "none"}
FIVE: dict[str, Any] = {"seeds": [0, 1, 2, 3, 4], "planned": 5}


def plan(seeds: list[int], *, of: str = "1111aaaa", until: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The content of a study.json; `of` stands for the settings of its variants."""
    return {
        "name": "s",
        "question": "?",
        "metric": "accuracy",
        "unit": "points",
        "higher_is_better": True,
        "relative": False,
        "smallest_effect": 0.0,
        "baseline": "a",
        "seeds": seeds,
        "until_decided": until,
        "variants": {name: {"settings": {}, "command": None} for name in "ab"},
        "shared": {},
        "runs": [
            {"variant": name, "seed": seed, "folder": f"runs/{name}/seed-{seed}-{of}"}
            for seed in seeds
            for name in "ab"
        ],
        "repeat": "",
        "created": "2026-01-02T03:04:05+00:00",
        **more,
    }


def made(folder: Path, before: dict[str, Any], seeds: int, variants: str = "ab") -> None:
    """A study of which the first so many seeds have results."""
    write_json(folder / "study.json", before)
    for run in before["runs"]:
        if run["variant"] in variants and before["seeds"].index(run["seed"]) < seeds:
            write_json(folder / run["folder"] / "result.json", {"metrics": {"accuracy": 90.0}})


def told(now: dict[str, Any], earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a study's reports know of plans before its own, but for when that was."""
    return [
        {name: value for name, value in one.items() if name != "created"}
        for one in looks_before({**now, "earlier": earlier})
    ]


def test_more_seeds_after_a_verdict_are_a_second_look(tmp_path: Path) -> None:
    made(tmp_path, plan([0, 1, 2, 3, 4]), 5)
    now = plan(list(range(10)))
    found = earlier_plans(tmp_path, now)
    assert [(len(one["seeds"]), one["created"]) for one in found] == [(5, "2026-01-02T03:04:05+00:00")]
    write_json(tmp_path / "study.json", now | {"earlier": found})
    assert looks_before(read_plan(tmp_path)) == [{**FIVE, "created": "2026-01-02T03:04:05+00:00"}]
    third = earlier_plans(tmp_path, plan(list(range(20))))
    assert [one.get("judged", one["seeds"]) for one in third] == [[0, 1, 2, 3, 4]]  # those of 10 seeds are not there
    made(tmp_path, now | {"earlier": found}, 10)
    third = earlier_plans(tmp_path, plan(list(range(20))))
    assert [len(one["seeds"]) for one in third] == [5, 10]
    assert earlier_plans(tmp_path, now) == found  # the same again is no further look


def test_fewer_seeds_are_a_second_look_too(tmp_path: Path) -> None:
    made(tmp_path, plan([0, 1, 2, 3, 4]), 5)
    assert [len(one["seeds"]) for one in earlier_plans(tmp_path, plan([2, 3, 4]))] == [5]


@pytest.mark.parametrize(("seeds", "variants"), [(2, "ab"), (5, "a"), (5, "b"), (0, "ab")])
def test_what_could_not_be_judged_was_not_looked_at(tmp_path: Path, seeds: int, variants: str) -> None:
    made(tmp_path, plan([0, 1, 2, 3, 4]), seeds, variants)
    assert earlier_plans(tmp_path, plan(list(range(10)))) == []
    assert earlier_plans(tmp_path, plan(list(range(5)), until=UNTIL)) == []  # may still be planned otherwise


def test_new_seeds_or_other_settings_are_a_new_study(tmp_path: Path) -> None:
    made(tmp_path, plan([0, 1, 2, 3, 4]), 5)
    assert earlier_plans(tmp_path, plan([5, 6, 7, 8, 9])) == []
    assert earlier_plans(tmp_path, plan(list(range(10)), of="2222bbbb")) == []


def test_an_earlier_plan_is_told_of_where_its_variants_are(tmp_path: Path) -> None:
    made(tmp_path, plan([0, 1, 2, 3, 4]), 5)
    found = earlier_plans(tmp_path, plan(list(range(10))))
    assert looks_before(plan(list(range(10)), of="2222bbbb", earlier=found)) == []
    assert looks_before(plan(list(range(10)), earlier=found)) == [{**FIVE, "created": "2026-01-02T03:04:05+00:00"}]


@pytest.mark.parametrize(
    ("before", "after"),
    [(UNTIL, None), (None, UNTIL), (UNTIL, {**UNTIL, "looks": [3, 5]}), (UNTIL, {**UNTIL, "alpha": 0.1})],
)
def test_a_plan_of_looks_cannot_change_after_a_look(
    tmp_path: Path, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    made(tmp_path, plan([0, 1, 2, 3, 4], until=before), 3)
    with pytest.raises(InputError, match="and 3 seeds have results: that cannot be changed any more"):
        earlier_plans(tmp_path, plan([0, 1, 2, 3, 4], until=after))


def of_variants(
    names: str, until: dict[str, Any] | None, of: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    """A plan of five seeds; `of` stands for the settings of variants that differ."""
    runs = [
        {"variant": name, "seed": seed, "folder": f"runs/{name}/seed-{seed}-{(of or {}).get(name, '1111aaaa')}"}
        for seed in range(5)
        for name in names
    ]
    variants: dict[str, Any] = {name: {"settings": {}, "command": None} for name in names}
    return plan([0, 1, 2, 3, 4], until=until, **{"runs": runs, "variants": variants, **more})


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (of_variants("ab", UNTIL), r"with variants a, b, c, and 3 seeds have results: .* for variants a, b\.$"),
        (of_variants("bc", UNTIL, baseline="b"), r"with variants a, b, c, "),
        (of_variants("abcd", UNTIL), r"for variants a, b, c, d\.$"),
        (of_variants("abc", UNTIL, {"c": "2222bbbb"}), r'with settings of variant "c" as they were, '),
        (of_variants("abc", UNTIL, baseline="b"), r"with baseline a, .* for baseline b\.$"),
        (of_variants("abc", UNTIL, metric="loss"), r"with metric accuracy, .* for metric loss\.$"),
        (of_variants("abc", UNTIL, smallest_effect=0.5), r"with smallest_effect 0, .* for smallest_effect 0\.5\.$"),
        (of_variants("abc", UNTIL, {"b": "2222bbbb", "c": "2222bbbb"}), r'with settings of variant "b" as they were, '),
        (of_variants("abc", UNTIL, {"a": "2222bbbb"}), r'with settings of variant "a" as they were, '),
    ],
)
def test_what_is_judged_until_decided_cannot_change_after_a_look(
    tmp_path: Path, after: dict[str, Any], words: str
) -> None:
    before = of_variants("abc", UNTIL)
    made(tmp_path, before, 2, "abc")
    assert earlier_plans(tmp_path, after) == []  # nothing was seen
    made(tmp_path, before, 3, "abc")
    assert earlier_plans(tmp_path, before) == []
    with pytest.raises(InputError, match=words):
        earlier_plans(tmp_path, after)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"guards": {"loss": {**GUARD, "relative": True}}}, r"guards loss 3, .* for guards loss 3 %\.$"),
        ({"guards": {"loss": {**GUARD, "higher_is_better": True}}}, r"higher_is_better of loss false, .* loss true\.$"),
        ({"guards": {"loss": {**GUARD, "scale": "points"}}}, r"scale of loss none, .* for scale of loss points\.$"),
        ({"metric_scale": "none"}, r"scale of accuracy points, .* for scale of accuracy none\.$"),
        ({"guards": {}}, r"guards loss 3, .* for guards none\.$"),
        ({"guards": {"loss": {**GUARD, "scale": None}}}, None),
        ({"metric_scale": None}, None),
    ],
)
def test_units_and_scales_cannot_change_after_a_look(tmp_path: Path, change: dict[str, Any], words: str | None) -> None:
    given: dict[str, Any] = {"guards": {"loss": GUARD}, "metric_scale": "points"}
    plans = [of_variants("ab", UNTIL, **given), of_variants("ab", UNTIL, **{**given, **change})]
    made(tmp_path, plans[0], 3)
    if words is not None:
        with pytest.raises(InputError, match=words):
            earlier_plans(tmp_path, plans[1])
    else:  # a scale that is asked for when the results are there may be given
        made(tmp_path, plans[1], 3)
        assert earlier_plans(tmp_path, plans[0]) == []


def test_a_variant_without_results_may_be_mended_until_decided(tmp_path: Path) -> None:
    made(tmp_path, of_variants("abc", UNTIL), 3)
    assert earlier_plans(tmp_path, of_variants("abc", UNTIL, {"c": "2222bbbb"})) == []


def test_what_a_fixed_plan_was_judged_with_is_remembered(tmp_path: Path) -> None:
    whole = of_variants("abcd", None)
    made(tmp_path, whole, 5, "abc")
    now = of_variants("ab", None, metric="loss", baseline="b")
    found = earlier_plans(tmp_path, now)
    changed = {"removed": ["c"], "metric": "accuracy", "baseline": "a"}
    assert told(now, found) == [{**FIVE, **changed}]
    of_version_0_1 = [{**found[0], "folders": {"a": "runs/a/seed-0-1111aaaa"}, "removed": ["c"]}]
    assert told(now, of_version_0_1) == [{**FIVE, **changed}]
    assert told(of_variants("abc", None, metric="loss"), found) == [{**FIVE, "metric": "accuracy"}]
    write_json(tmp_path / "study.json", whole)
    assert looks_before({**whole, "earlier": found}) == []  # as it was
    assert earlier_plans(tmp_path, of_variants("abcde", None)) == []  # one more is none that was chosen


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (of_variants("ab", None, {"b": "2222bbbb"}), {"edited": ["b"]}),
        (of_variants("ac", None), {"removed": ["b"]}),
        (of_variants("ab", None, {"a": "2222bbbb"}), {"edited": ["a"]}),
        (of_variants("bc", None, baseline="c"), {"removed": ["a"], "baseline": "a"}),
    ],
    ids=["variant edited", "variant renamed", "baseline edited", "baseline replaced"],
)
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_what_was_tried_in_a_variants_place_is_remembered(
    tmp_path: Path, now: dict[str, Any], changed: dict[str, Any], seeds: int
) -> None:
    before = of_variants("ab", None)
    made(tmp_path, before, seeds)
    found = earlier_plans(tmp_path, now)
    looked = [] if seeds == 2 else [{"seeds": list(range(seeds)), "planned": 5, **changed}]
    assert told(now, found) == looked
    made(tmp_path, now | {"earlier": found}, seeds, "abc")
    assert earlier_plans(tmp_path, now) == found  # the same again is no further look
    back = earlier_plans(tmp_path, before)
    assert len(told(before, back)) == (0 if seeds == 2 else 1 if seeds == 5 else 2)
    made(tmp_path, before | {"earlier": back}, seeds)
    assert earlier_plans(tmp_path, now) == back  # to and fro is none


def test_a_variant_that_is_tried_three_times_was_looked_at_twice_before(tmp_path: Path) -> None:
    found: list[dict[str, Any]] = []
    for of in ("1111aaaa", "2222bbbb", "3333cccc"):
        now = of_variants("ab", None, {"b": of})
        found = earlier_plans(tmp_path, now)
        made(tmp_path, now | {"earlier": found}, 5)
    assert told(now, found) == [{**FIVE, "edited": ["b"]}] * 2


def test_a_look_that_never_was_is_not_counted(tmp_path: Path) -> None:
    five, nine = plan([0, 1, 2, 3, 4]), plan(list(range(9)))
    made(tmp_path, five, 5)
    grown = earlier_plans(tmp_path, nine)
    made(tmp_path, nine | {"earlier": grown}, 5)  # and killed before a run more had ended
    again = earlier_plans(tmp_path, five)
    assert told(five, again) == []
    made(tmp_path, five | {"earlier": again}, 5)
    assert told(nine, earlier_plans(tmp_path, nine)) == [FIVE]

    made(tmp_path, nine | {"earlier": again}, 7)  # killed later: that it stops then may hang on what was seen
    again = earlier_plans(tmp_path, five)
    assert told(five, again) == [{"seeds": list(range(7)), "planned": 9}]
    seven = plan(list(range(7)))
    assert told(seven, earlier_plans(tmp_path, seven)) == [FIVE, {"seeds": list(range(7)), "planned": 9}]


def test_a_plan_of_looks_over_results_is_said_where_its_record_was_lost(tmp_path: Path) -> None:
    made(tmp_path, plan([0, 1, 2, 3, 4], until=UNTIL), 4)
    (tmp_path / "study.json").unlink()
    now = plan([0, 1, 2, 3, 4], until=UNTIL)
    found = earlier_plans(tmp_path, now)
    assert [(one["seeds"], one["created"]) for one in found] == [([0, 1, 2, 3], "")]
    assert told(now, found) == [{"seeds": [0, 1, 2, 3], "planned": 4}]
    assert earlier_plans(tmp_path, plan([0, 1, 2, 3, 4])) == []  # a fixed plan that was stopped looks the same


def test_nothing_is_remembered_of_no_study(tmp_path: Path) -> None:
    assert earlier_plans(tmp_path, plan([0, 1, 2])) == []
    (tmp_path / "study.json").write_text("{")
    assert earlier_plans(tmp_path, plan([0, 1, 2])) == []


@pytest.mark.parametrize(
    "until", [{**UNTIL, "looks": [3, 5, 4]}, {**UNTIL, "max_seeds": 6}, {**UNTIL, "looks": []}, {}]
)
def test_damaged_looks_are_refused(tmp_path: Path, until: dict[str, Any]) -> None:
    write_json(tmp_path / "study.json", plan([0, 1, 2, 3, 4], until=until))
    with pytest.raises(InputError, match=r"study\.json"):
        read_plan(tmp_path)


def test_a_study_until_decided_lists_all_its_runs(tmp_path: Path) -> None:
    whole = plan([0, 1, 2, 3, 4], until=UNTIL)
    write_json(tmp_path / "study.json", {**whole, "runs": whole["runs"][1:]})
    with pytest.raises(InputError, match=r"must list a run of each variant under each seed, got 9\.$"):
        read_plan(tmp_path)
