"""metrics.jsonl is read as a stream, whatever is in it."""

import json
import math
import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from truelift.errors import InputError
from truelift.records import MetricLines, Run
from truelift.records.metric_lines import MOST_LINE_BYTES, MOST_POINTS

OWN = {"step": 100, "train_loss": 1.9}  # as docs/studies.md asks of a user's program
TRAIN = {"kind": "train", "step": 20, "epoch": 0.4, "train_loss": 1.93}


def test_a_cut_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert list(MetricLines(path)) == [{"step": 1}, {"step": 2}]


def test_a_last_line_that_lacks_its_end_only_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(TRAIN) + "\n" + json.dumps(OWN))
    assert list(MetricLines(path)) == [TRAIN, OWN]
    assert MetricLines(path).curves(["train_loss"])["train_loss"].values.tolist() == [1.93, 1.9]


@pytest.mark.parametrize(
    "bad",
    [
        *(b'{"kind": "train", "st', b"\0" * 50, b"\xff\xfe", b"3", b"[1]", b"null", b'"text"', b"{", b"[" * 9999),
        *(
            b"{}",
            b'{"kind": "train"}',
            b'{"kind": null, "step": 1}',
            b'{"kind": 3, "step": 1}',
            b'{"kind": "train", "step": "1"}',
        ),
        *(b'{"kind": "train", "step": -1}', b'{"kind": "train", "step": NaN}', b'{"kind": "train", "step": true}'),
        *(b'{"kind": "train", "step": 1}{"kind": "train", "step": 2}', b'{"kind": "a",\n"step": 1}'),
        b'{"kind": "train", "step": 1, "text": "' + b"x" * MOST_LINE_BYTES * 3 + b'"}',
    ],
    ids=str,
)
def test_a_bad_line_is_passed_over_and_counted(tmp_path: Path, bad: bytes) -> None:
    good = [{**TRAIN, "step": step} for step in range(3000)]
    content = [json.dumps(line).encode() for line in good]
    content.insert(1500, bad)
    content[100:100] = [b"", b"  \r"]
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"\n".join(content) + b"\n")
    lines = MetricLines(path)
    assert list(lines) == good
    assert lines.passed_over == bad.count(b"\n") + 1
    curve = lines.curves(["train_loss"])["train_loss"]
    np.testing.assert_array_equal(curve.steps, np.arange(3000.0))
    assert lines.passed_over == bad.count(b"\n") + 1
    assert list(lines) == good  # counted anew, not added up
    assert lines.passed_over == bad.count(b"\n") + 1


@pytest.mark.parametrize("value", ["text", None, [1], {"a": 1}, True, 10**400, math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_finite_number_is_left_out(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [{**TRAIN, "step": step, "odd": step / 2} for step in range(100)]
    lines[50]["odd"] = value
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    del lines[50]["odd"]
    found = MetricLines(path)
    assert list(found) == lines
    curves = found.curves(["odd", "train_loss", "none", "step"])
    steps = [float(step) for step in range(100) if step != 50]
    assert curves["odd"].steps.tolist() == steps
    assert curves["odd"].values.tolist() == [step / 2 for step in steps]
    assert len(curves["train_loss"].steps) == 100
    assert len(curves["none"].steps) == len(curves["step"].steps) == 0
    assert found.passed_over == 0


def test_only_values_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "kind": "NaN \\" -Infinity", "NaN": 2, "a": [NaN, {"b": -Infinity}], "c": NaN}\n')
    assert list(MetricLines(path)) == [{"step": 1, "kind": 'NaN " -Infinity', "NaN": 2}]
    for bad in (
        "NaN",
        '{"step": 1, "a": NaN',
        '{"step": 1, "a": NaNa}',
        '{"step": NaN}',
        '{"step": 1, "a": "' + '\\"' * 30_000,
    ):
        path.write_text(f'{bad} NaN\n{{"step": 2}}\n')
        lines = MetricLines(path)
        assert list(lines) == [{"step": 2}]
        assert lines.passed_over == 1


def test_curves_are_those_of_the_lines(tmp_path: Path) -> None:
    """Against the json module, on lines with gaps, whole numbers and names of any kind."""
    draw = random.Random(0)
    lines: list[dict[str, Any]] = []
    for step in range(5000):
        line: dict[str, Any] = {"kind": draw.choice(["train", "evaluation"]), "step": step}
        for name in ("a", "class", "f0", "with space", "ß", "__init__"):
            if draw.random() < 0.7:
                line[name] = draw.choice([draw.random(), draw.randrange(-5, 5), 1e300, 2**60])
        lines.append(line)
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    names = ["ß", "class", "f0", "with space", "a", "__init__", "a"]
    curves = MetricLines(path).curves(names)
    assert set(curves) == set(names)
    for name, curve in curves.items():
        assert curve.steps.tolist() == [line["step"] for line in lines if name in line]
        assert curve.values.tolist() == [float(line[name]) for line in lines if name in line]


@pytest.mark.parametrize("count", [1, MOST_POINTS, MOST_POINTS + 1, 5 * MOST_POINTS + 7])
def test_a_thinned_curve_has_means_of_lines(tmp_path: Path, count: int) -> None:
    path = tmp_path / "metrics.jsonl"
    values = np.random.default_rng(0).random(count).round(6)
    lines = (f'{{"step": {step}, "a": {value}}}\n' for step, value in enumerate(values.tolist()))
    path.write_text("".join(lines))
    curve = MetricLines(path).curves(["a"], thinned=True)["a"]
    lines_a_point = {1: 1, MOST_POINTS: 1, MOST_POINTS + 1: 2}.get(count, 8)
    whole = count // lines_a_point
    assert len(curve.steps) in range(whole - 1, whole + 1)
    assert len(curve.steps) <= MOST_POINTS
    kept = len(curve.steps) * lines_a_point
    assert curve.steps.tolist() == list(range(lines_a_point - 1, kept, lines_a_point))
    np.testing.assert_allclose(curve.values, values[:kept].reshape(-1, lines_a_point).mean(1), rtol=1e-12)


def test_thinned_curves_of_other_lengths_have_steps_in_common(tmp_path: Path) -> None:
    steps = []
    for count in (MOST_POINTS // 2, 3 * MOST_POINTS):
        path = tmp_path / f"{count}.jsonl"
        path.write_text("".join(f'{{"step": {step}, "a": 1}}\n' for step in range(1, count + 1)))
        steps.append(MetricLines(path).curves(["a"], thinned=True)["a"].steps)
    shared = np.intersect1d(steps[0], steps[1])
    assert shared.tolist() == steps[1][steps[1] <= MOST_POINTS // 2].tolist()
    assert len(shared) == MOST_POINTS // 8


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    line = json.dumps(TRAIN) + "\n"
    path.write_text(line * 40_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in MetricLines(path)) == 40_000
        most = tracemalloc.get_traced_memory()[1]
        curves = MetricLines(path).curves(["train_loss"])
        most_of_curves = tracemalloc.get_traced_memory()[1]
        path.write_text(line * 400_000)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert len(MetricLines(path).curves(["train_loss"], thinned=True)["train_loss"].steps) == 400_000 // 32
        most_of_thinned = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert most < 1e6
    assert most_of_thinned < 3e6  # all would take 6.4
    assert most_of_curves < 40_000 * 16 * 2.5 + 1e6
    assert math.isclose(curves["train_loss"].values.mean(), 1.93)


def test_a_line_without_an_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(TRAIN) + "\n")
    with path.open("ab") as file:
        file.truncate(100_000_000)
    tracemalloc.start()
    try:
        assert list(MetricLines(path)) == [TRAIN]
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        list(MetricLines(tmp_path / "metrics.jsonl"))
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(InputError, match="no regular file"):
        list(MetricLines(tmp_path / "metrics.jsonl"))
    run = Run("a", 0, tmp_path)
    assert run.metrics() == []
    assert len(run.curves(["a"])["a"].steps) == 0
    assert run.notes == (f"{tmp_path / 'metrics.jsonl'} is no regular file.",)
