import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from truelift.errors import InputError
from truelift.verdicts import Ground, PublishedFigure, Verdict, agreement, at_equal_time, compare
from truelift.verdicts.numbers import places_that_show
from truelift.verdicts.wording import Headline, decided_first, headline, missing_runs, percent, second_line
from truelift.verdicts.wording import agreement as in_words

BASE = [90.0, 91.0, 92.0, 91.0, 90.0]
BETTER = [92.1, 93.0, 94.1, 92.9, 92.0]


def test_a_headline_has_its_parts_and_its_line() -> None:
    found = compare(BASE, {"b": BETTER}, higher_is_better=True, unit="points")["b"]
    assert found.ground == "more than noise"
    made = headline("b", found, metric="test accuracy", unit="points", digits=2)
    # t_{4, 0.975} = 2.776445 times a standard error of 0.0374166 (0.1, 0, 0.1, -0.1, 0 around 2) is 0.10
    assert made.words == "test accuracy +2.02 points (95 % interval +1.92 to +2.12, 5 seeds)."
    assert made.line == f"helps · b: {made.words}"
    undecided = replace(found, verdict="undecided", reason="Why not.")
    assert headline("b", undecided, metric="m", unit="", digits=2).words == "Why not."
    assert headline("b", found, metric="m", unit="", digits=0).words.startswith("m +2 (95 %")


def test_failed_runs_count_where_they_make_a_pair_and_are_nobody_s_alone() -> None:
    base = [90.0, 91.0, 92.0, 91.0, np.nan]
    found = compare(
        base,
        {"whole": BETTER, "short": [92.0, 93.0, 94.0, np.nan, np.nan], "fails": [92.0, np.nan, 94.0, 93.0, np.nan]},
        higher_is_better=True,
        failed={"fails": [False, True, False, False, False]},
        baseline_failed=[False, False, False, False, True],
    )
    runs = {name: c.with_failures and c.with_failures.runs for name, c in found.items()}
    assert runs == {"whole": 1, "short": None, "fails": 1}
    line = second_line("whole", found["whole"], unit="", digits=1)
    assert line is not None
    assert line.startswith(
        "whole against the baseline, with 1 failed run of either counted as the study's worst result: "
    )


def test_a_strict_level_is_no_certainty() -> None:
    shown = [percent(1 - level) for level in (0.05, 0.025, 0.05 / 3, 0.05 / 150, 0.05 / 300, 1e-6, 0.0)]
    assert shown == ["95 %", "97.5 %", "98.3 %", "99.967 %", "99.983 %", "99.99990 %", "100 %"]


def test_what_is_decided_comes_first() -> None:
    given: list[tuple[str, Verdict]] = [("a", "failed"), ("b", "undecided"), ("c", "helps"), ("d", "hurts")]
    given += [("e", "no effect"), ("f", "helps")]
    found = decided_first(Headline(name, verdict, "") for name, verdict in given)
    assert [one.variant for one in found] == ["c", "f", "d", "e", "b", "a"]


@pytest.mark.parametrize(
    ("ground", "reason", "words"),
    [
        ("guard kept", "20 % less; error is kept.", "train seconds 20 % less; error is kept."),
        ("guard open", "20 % less, but error is not.", "train seconds 20 % less, but error is not."),
        ("guard broken", "error is 4 points worse; 20 % less.", "error is 4 points worse; train seconds 20 % less."),
    ],
)
def test_a_headline_says_what_is_less(ground: Ground, reason: str, words: str) -> None:
    found = compare(BASE, {"b": BETTER}, higher_is_better=True)["b"]
    found = replace(found, ground=ground, reason=reason)
    assert headline("b", found, metric="train seconds", unit="", digits=2).words == words


@pytest.mark.parametrize(
    ("ends", "places"),
    [((-0.004, 1.0), 3), ((0.0, 1.0), 2), ((-3e-9, 3e-9), 2), ((0.02, 0.3), 2)],
)
def test_an_end_that_would_read_zero_has_one_place_more_where_it_then_shows(
    ends: tuple[float, float], places: int
) -> None:
    assert places_that_show(ends, 2) == places


@pytest.mark.parametrize(
    ("variant", "effect", "ground"),
    [
        ([np.nan] * 5, 0.0, "no pairs"),
        ([91.0, *[np.nan] * 4], 0.0, "one seed"),
        (BASE, 0.0, "no difference"),
        (BETTER, 2.05, "too small"),
        ([b + 1 for b in BASE], 0.0, "no spread"),
        ([b + d for b, d in zip(BASE, (3.0, -3.0, 4.0, -3.0, 0.0), strict=True)], 1.0, "too wide"),
    ],
)
def test_each_ground(variant: list[float], effect: float, ground: str) -> None:
    found = compare(BASE, {"v": variant}, higher_is_better=True, smallest_effect=effect)["v"]
    assert (found.ground, found.verdict) == (ground, "undecided")


def test_no_effect_without_spread_has_no_interval_to_tell() -> None:
    base = [*BASE, 92.0]  # at six seeds equal signs decide
    found = compare(base, {"v": [b + 0.125 for b in base]}, higher_is_better=True, smallest_effect=1, unit="points")
    assert (found["v"].verdict, found["v"].interval) == ("no effect", None)
    told = "Real (p = 0.031), but no effect as large as 1 points: all 6 seeds differ by exactly +0.125 points."
    assert found["v"].reason == told


def test_runs_that_are_missing() -> None:
    assert missing_runs("a", [3], "failed: x") == "a, seed 3: failed: x"
    assert missing_runs("a", [0, 2], "not finished") == "a, seeds 0, 2: not finished"


def test_agreement_with_a_published_figure() -> None:
    """One further run lies within 2.776445 · 0.836660 · sqrt(1 + 1/5) = 2.544651 of our mean of 90.8."""
    inside, outside = (agreement(BASE, PublishedFigure(value=value, source="s")) for value in (93.3, 93.4))
    assert (inside.agreement, outside.agreement) == ("agrees", "differs")
    assert inside.difference == pytest.approx(-2.5)
    assert inside.interval == pytest.approx((88.255349, 93.344651), abs=1e-5)
    found = [agreement(ours, PublishedFigure(value=1, source="s")).agreement for ours in ([], [1.0], [1.0, 1.0])]
    assert found == ["not compared", "one seed", "no spread"]
    assert [in_words(one) for one in found] == ["–", "one seed: cannot be told", "no spread: cannot be told"]


def test_the_line_of_the_baselines_lengths_by_hand() -> None:
    # Seed 0: between (0, 20) and (50, 30), a saving of 25 stands at 25. Seed 1 lies beyond; seed 2 has one point.
    savings = np.array([[0, 0, 0], [50, 50, np.nan]])
    values = np.array([[20, 20, 20], [30, 30, np.nan]])
    found = at_equal_time([25, 60, 25], [23, 23, 23], savings, values)
    np.testing.assert_array_equal(found, [-2, np.nan, np.nan])
    np.testing.assert_array_equal(at_equal_time([np.nan], [1], [[0], [50]], [[1], [2]]), [np.nan])
    with pytest.raises(InputError, match="line_savings and line_values must be of one shape"):
        at_equal_time([1, 2], [1, 2], [[0], [1]], [[0], [1]])


def test_no_slow_library_is_loaded() -> None:
    rooms = "truelift.verdicts", "truelift.metrics", "truelift.report"
    slow = "{'torch', 'matplotlib', 'scipy', 'sklearn', 'pandas', 'jinja2'}"
    code = f"import sys, {', '.join(rooms)}; print(sorted({slow} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
