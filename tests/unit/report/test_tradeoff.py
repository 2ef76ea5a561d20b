import csv
import io
import math
import statistics
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.report.conftest import make_study, write_report

from truelift.records import Study, read_json, write_json
from truelift.report import Summary, summarise
from truelift.report.tradeoff import cells, header, legend
from truelift.report.tradeoff_figure import name_parts, tradeoff_figure
from truelift.verdicts import pareto_front

ERROR = {"plain": [25.0, 26.0, 25.0], "cubic-scaled-0.8": [25.5, 26.0, 25.5], "cubic-0.5": [27.0, 27.5, 28.0]}
OPERATIONS: dict[str, float | None] = {"plain": 2e15, "cubic-scaled-0.8": 1.68e15, "cubic-0.5": 1.7e15}
SECONDS = {"plain": [100.0, 200.0, 100.0], "cubic-scaled-0.8": [90.0, 150.0, 85.0], "cubic-0.5": [90.0, 180.0, 90.0]}


def saving_study(folder: Path, operations: dict[str, float | None] = OPERATIONS) -> Path:
    accuracy: dict[str, list[float | None]] = {name: [100 - e for e in errors] for name, errors in ERROR.items()}
    make_study(
        folder, accuracy, 3, metric="test_error", higher_is_better=False, baseline="plain", question="What is saved?"
    )
    for run in read_json(folder / "study.json")["runs"]:
        file = folder / run["folder"] / "result.json"
        result = read_json(file)
        result["metrics"]["cpu_seconds"] = SECONDS[run["variant"]][run["seed"]]
        if (value := operations[run["variant"]]) is not None:
            result["metrics"]["training_operations"] = value
        write_json(file, result)
    return folder


def drawn(summary: Summary) -> str:
    return tradeoff_figure(summary.trade_off, {name: one.verdict for name, one in summary.headlines.items()})


def test_savings_are_paired_by_seed(tmp_path: Path) -> None:
    plain, best, worse = summarise(Study.read(saving_study(tmp_path))).trade_off.choices
    assert [c.variant for c in (plain, best, worse)] == list(ERROR)
    assert best.measured.values == pytest.approx((10, 25, 15))  # per cent of the same seed's plain run
    assert best.measured.sd == pytest.approx(statistics.stdev((10, 25, 15)))
    assert (best.counted.mean, worse.counted.mean) == pytest.approx((16, 15))
    assert worse.measured.mean == pytest.approx(10)
    assert best.metric.mean == pytest.approx(statistics.mean(ERROR["cubic-scaled-0.8"]))
    assert [c.on_front for c in (plain, best, worse)] == [True, True, False]  # the last saves less and is worse


def test_a_failed_run_leaves_its_pair_out(tmp_path: Path) -> None:
    folder = saving_study(tmp_path)
    (folder / "runs/plain/seed-1-00000000/result.json").unlink()
    found = summarise(Study.read(folder)).trade_off.choices
    assert found[1].measured.done == pytest.approx((10, 15))


@pytest.mark.parametrize(
    "operations",
    [
        dict.fromkeys(ERROR, 2e15),
        dict.fromkeys(ERROR),
        {**OPERATIONS, "plain": None},
        {"plain": 2e15, "cubic-scaled-0.8": 1.99e15, "cubic-0.5": 3e15},
    ],
)
def test_nothing_is_shown_where_nothing_is_saved(tmp_path: Path, operations: dict[str, float | None]) -> None:
    folder = saving_study(tmp_path, operations)
    assert summarise(Study.read(folder)).trade_off.choices == ()
    write_report(folder)
    for ending in ("html", "md", "csv", "tex"):
        assert "measured" not in (folder / f"report.{ending}").read_text()


def test_a_variant_without_a_count_is_left_out(tmp_path: Path) -> None:
    folder = saving_study(tmp_path, {**OPERATIONS, "cubic-0.5": None})
    summary = summarise(Study.read(folder))
    assert [choice.variant for choice in summary.trade_off.choices] == ["plain", "cubic-scaled-0.8"]
    write_report(folder)
    lines = list(csv.DictReader(io.StringIO((folder / "report.csv").read_text())))
    found = {row["variant"]: row for row in lines if row["metric"] == "test_error"}
    assert found["cubic-0.5"]["counted_saving"] == found["cubic-0.5"]["pareto_front"] == ""


def test_every_form_of_the_report_has_it(tmp_path: Path) -> None:
    folder = saving_study(tmp_path)
    write_report(folder)
    summary = summarise(Study.read(folder))
    assert header(summary.trade_off) == (
        "variant",
        "counted saving, %",
        "measured saving, %",
        "test error",
        "Pareto front",
    )
    assert cells(summary.trade_off)[1] == ("cubic-scaled-0.8", "16.0", "16.9 ± 7.6", "25.67 ± 0.29", "yes")
    page = (folder / "report.html").read_text()
    assert "<h2>Saving</h2>" in page
    assert 'id="tradeoff-' in page
    assert "To the right and downwards is better." in page
    assert "| cubic-scaled-0.8 | 16.0 | 16.9 ± 7.6 | 25.67 ± 0.29 | yes |" in (folder / "report.md").read_text()
    line = r"cubic-scaled-0.8 & 16.0 & 16.9 $\pm$ 7.6 & 25.67 $\pm$ 0.29 & yes \\"
    assert line in (folder / "report.tex").read_text()
    lines = list(csv.DictReader(io.StringIO((folder / "report.csv").read_text())))
    found = {(row["metric"], row["variant"]): row for row in lines}
    row = found["test_error", "cubic-scaled-0.8"]
    assert float(row["measured_saving"]) == pytest.approx(100 * (1 - (0.9 * 0.75 * 0.85) ** (1 / 3)))
    assert float(row["measured_saving_sd"]) == pytest.approx(statistics.stdev((10, 25, 15)))
    assert float(row["counted_saving"]) == pytest.approx(16)
    assert row["pareto_front"] == "True"
    assert found["test_accuracy", "cubic-scaled-0.8"]["counted_saving"] == ""


def test_on_a_gpu_the_clock_tells_the_time(tmp_path: Path) -> None:
    folder = saving_study(tmp_path)
    for run in read_json(folder / "study.json")["runs"]:
        write_json(folder / run["folder"] / "environment.json", {"device": "NVIDIA H100"})
        file = folder / run["folder"] / "result.json"
        result = read_json(file)
        result["metrics"]["train_seconds"] = 8.0 if run["variant"] == "cubic-0.5" else 10.0
        write_json(file, result)
    summary = summarise(Study.read(folder))
    assert [choice.measured.mean for choice in summary.trade_off.choices] == pytest.approx([0, 0, 20])
    assert "processor" not in legend(summary.trade_off)


def test_the_picture_names_every_variant(tmp_path: Path) -> None:
    summary = summarise(Study.read(saving_study(tmp_path)))
    picture = drawn(summary)
    texts = [piece.split("<")[0] for piece in picture.split(">")]
    for text in ("plain", "cubic-scaled", "0.8", "cubic", "0.5", "counted saving", "Pareto front", "test error, %"):
        assert text in texts
    colours = {f"--{found.verdict.replace(' ', '-')}" for found in summary.headlines.values()}
    assert all(colour in picture for colour in colours)
    assert "--series-" not in picture


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["plain", "cubic-scaled-0.8", "linear-0.5"], [("plain", "plain"), ("cubic-scaled", "0.8"), ("linear", "0.5")]),
        (["center-loss", "freeze-first", "-x"], [("center-loss",) * 2, ("freeze-first",) * 2, ("-x", "-x")]),
        (["mixup-weak", "mixup-strong"], [("mixup", "weak"), ("mixup", "strong")]),
    ],
)
def test_parts_of_names(names: list[str], parts: list[tuple[str, str]]) -> None:
    assert name_parts(names) == dict(zip(names, parts, strict=True))


def test_the_front_by_hand() -> None:
    saving, error = [0, 10, 10, 20, 5], [5, 5, 6, 7, 4]
    assert pareto_front(saving, error, higher_is_better=False).tolist() == [False, True, False, True, True]
    assert pareto_front(saving, error, higher_is_better=True).tolist() == [False, False, False, True, False]
    assert pareto_front([1, 1], [2, 2], higher_is_better=True).tolist() == [True, True]  # equal ones beat neither


small = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@given(points=small, higher=st.booleans())
def test_the_front_against_all_pairs(points: list[tuple[int, int]], higher: bool) -> None:
    saving, metric = map(np.array, zip(*points, strict=True))
    front = pareto_front(saving, metric, higher_is_better=higher)
    sign = 1 if higher else -1

    def beats(a: int, b: int) -> bool:
        mine, other = (saving[a], sign * metric[a]), (saving[b], sign * metric[b])
        return mine[0] >= other[0] and mine[1] >= other[1] and mine != other

    beaten = {b for a, b in product(range(len(points)), repeat=2) if beats(a, b)}
    assert set(np.flatnonzero(~front).tolist()) == beaten
    assert front.any()
    assert np.array_equal(front, pareto_front(saving, -metric, higher_is_better=not higher))


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    folder = saving_study(tmp_path)
    for variant in ERROR:
        for seed in (1, 2):
            (folder / f"runs/{variant}/seed-{seed}-00000000/result.json").unlink()
    summary = summarise(Study.read(folder))
    assert all(math.isnan(choice.metric.sd) for choice in summary.trade_off.choices)
    assert "<svg" in drawn(summary)
