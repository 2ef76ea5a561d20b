import csv
import io
import json
import math
import re
import shutil
import statistics
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from rich.console import Console
from scipy import stats
from tests.unit.report.conftest import ACCURACY, CLASSES, add_features, make_study, write_report

from truelift.errors import InputError
from truelift.records import Curve, Features, Run, Study, read_json, write_json
from truelift.report import figures, print_summary, summarise
from truelift.report.asked import read_asked
from truelift.report.curves import Curve as PicturedCurve
from truelift.report.curves import curves, rolling_mean
from truelift.report.figures import CLASS_PALETTE, DARK_CLASS_PALETTE, DARK_PALETTE, PALETTE
from truelift.report.json_form import report_form
from truelift.report.objectives import other_losses
from truelift.report.page import html_page
from truelift.report.plain import latex_text, markdown_text
from truelift.report.sections import cells, reading
from truelift.report.tips import difference_tips
from truelift.verdicts.numbers import digits, number, p_value


def test_numbers_are_the_hand_computed_ones(study: Path) -> None:
    summary = summarise(Study.read(study))
    better = next(row for row in summary.rows if row.variant == "better")
    differences = [b - a for a, b in zip(ACCURACY["base"], ACCURACY["better"], strict=True)]
    assert better.comparison is not None
    assert better.comparison.difference == pytest.approx(statistics.mean(differences))
    assert better.mean == pytest.approx(statistics.mean(ACCURACY["better"]))
    assert better.sd == pytest.approx(statistics.stdev(ACCURACY["better"]))
    half = 3.495406 * statistics.stdev(differences) / 5**0.5  # t, 4 degrees of freedom, 1 - 0.05/2/2: two variants
    assert better.comparison.interval == pytest.approx((2.02 - half, 2.02 + half), abs=1e-3)
    assert better.comparison.verdict == "helps"
    assert summary.headlines["better"].line.startswith("helps · better: test accuracy +2.02 points (97.5 % interval ")
    # In each seed the images from 10·(baseline's accuracy) on are right in the variant alone.
    gains = [
        sum(10 * a <= i < 10 * b for a, b in zip(ACCURACY["base"], ACCURACY["better"], strict=True)) / 5
        for i in range(1000)
    ]
    # The noise of each image over the seeds is taken out: of n of 5 seeds it is n/5 (1 - n/5) 5/4.
    over_seeds = statistics.mean(gain * (1 - gain) * 5 / 4 for gain in gains) / 5
    assert better.example_error == pytest.approx(100 * ((statistics.variance(gains) - over_seeds) / 1000) ** 0.5)
    # Its differences are within 0.2 of 0 in every seed, and half a point is what matters.
    assert summary.headlines["a_b"].line.startswith("no effect")
    assert summary.problems == ("broken, seeds 0, 1, 2, 3, 4: failed: it <broke> & stopped",)
    assert summary.seconds["base"] == 60
    assert [environment.runs for environment in summary.environments] == [15]


def test_a_variant_that_failed_in_every_run_is_said_to_have_failed_in_all_forms(study: Path) -> None:
    log = study / "runs/broken/seed-0-00000000/log.txt"
    log.write_text("error: unrecognized arguments\n")
    write_report(study)
    page, csv_file, markdown_file = (study / f"report.{form}" for form in ("html", "csv", "md"))
    summary = summarise(Study.read(study))
    said = (
        "Failed in all 5 runs: it <broke> & stopped; log, in the study's folder: runs/broken/seed-0-00000000/log.txt."
    )
    assert summary.headlines["broken"].line == f"failed · broken: {said}"
    assert summary.answer.endswith("a_b has no effect as large as 0.5 points; broken failed in every run.")
    assert [row[-1] for row in cells(summary.rows)] == ["baseline", "helps", "no effect", "failed"]
    form = {one.name: one for one in report_form(summary).variants}["broken"]
    assert (form.verdict, form.ground, form.reason) == ("failed", "all failed", said)
    (row,) = [
        row
        for row in csv.DictReader(io.StringIO(csv_file.read_text()))
        if (row["metric"], row["variant"]) == ("test_accuracy", "broken")
    ]
    assert (row["verdict"], row["reason"]) == ("failed", said)
    html = page.read_text()
    assert '<li class="failed"><span class="badge">✕ failed</span> <b>broken</b>' in html
    assert '<td class="failed">✕ failed</td>' in html
    console = Console(record=True, width=80)
    print_summary(summary, console)
    for text in (html, markdown_file.read_text(), console.export_text()):
        assert "undecided ·" not in text
        assert "broken is undecided" not in text


def test_different_reasons_are_counted_and_a_failed_baseline_is_told(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", {"base": [None] * 3, "better": [92.0, 93.0, 94.0], "broken": [None] * 3}, 3)
    for seed in (1, 2):
        write_json(folder / f"runs/broken/seed-{seed}-00000000/failure.json", {"reason": f"seed {seed}"})
    summary = summarise(Study.read(folder))
    broken, better = (summary.headlines[name] for name in ("broken", "better"))
    assert broken.line == "failed · broken: Failed in all 3 runs: it <broke> & stopped (the first; 2 more differ)."
    said = "There is nothing to compare with, as the baseline failed in all 3 runs: it <broke> & stopped."
    assert better.line == f"undecided · better: {said}"


def test_csv_has_the_same_numbers(study: Path) -> None:
    write_report(study)
    rows = list(csv.DictReader(io.StringIO((study / "report.csv").read_text())))
    found = {(row["metric"], row["variant"]): row for row in rows}
    row = found["test_accuracy", "better"]
    assert [float(row[f"seed_{k}"]) for k in range(5)] == ACCURACY["better"]
    assert row["verdict"] == "helps"
    assert float(row["difference"]) == pytest.approx(2.02)
    assert found["test_error", "better"]["verdict"] == "helps"  # lower is better there
    assert found["test_accuracy", "broken"]["seed_0"] == ""


class Balance(HTMLParser):
    """Tags that are open, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_sound_and_self_contained(study: Path) -> None:
    page = write_report(study)[0].read_text()
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert all(address.startswith(("#", "data:text/")) for address in parser.addresses)
    assert len(parser.ids) == len(set(parser.ids))
    assert not re.search(r"url\((?!#)|@import", page)
    assert page.count("<script") == page.count("<script>") == 1  # the package's own, without an address
    assert "Is &lt;b&gt;this&lt;/b&gt; &amp; that" in page
    assert "<broke>" not in page
    assert page.index("helps") < page.index("<table")
    used = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", page))
    assert used <= set(parser.ids)
    assert len(page) < 400_000


def test_report_is_the_same_again_from_the_records_alone(study: Path, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_report(study)]
    moved = tmp_path / "moved"
    shutil.copytree(study, moved, ignore=shutil.ignore_patterns("report.*"))
    assert [path.read_bytes() for path in write_report(moved)] == first


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "one", dict(ACCURACY), 1)
    summary = summarise(Study.read(folder))
    assert {row.comparison.verdict for row in summary.compared if row.comparison} == {"undecided"}
    assert "one seed decides nothing" in summary.headlines["better"].line.lower()
    write_report(folder)


def test_a_program_without_curves_or_predictions(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "bare", dict(ACCURACY), 5)
    for path in [*folder.glob("runs/*/*/metrics.jsonl"), *folder.glob("runs/*/*/predictions.npz")]:
        path.unlink()
    page = write_report(folder)[0].read_text()
    assert "No curves in metrics.jsonl from base, better, a_b." in page
    assert summarise(Study.read(folder)).rows[1].example_error is None


def test_a_metric_that_no_run_has_is_told(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "wrong", dict(ACCURACY), 5, metric="valid_accuracy")
    problems = summarise(Study.read(folder)).problems
    assert problems[0] == (
        "base, seeds 0, 1, 2, 3, 4: the result has no valid_accuracy, only test_accuracy, test_error, train_seconds"
    )


def test_no_study_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it has no study\.json"):
        write_report(tmp_path)


def test_markup_of_the_users_is_shown_as_it_stands(study: Path) -> None:
    assert latex_text("50 % of a_b & {c} \\") == r"50 \% of a\_b \& \{c\} \textbackslash{}"
    assert latex_text("two\n\nparagraphs") == "two paragraphs"  # a blank line ends a caption with an error
    assert markdown_text("<b> a_b _c_ | *d*\n`e`") == r"&lt;b> a_b \_c\_ \| \*d\* \`e\`"
    _, text, _, latex = (path.read_text() for path in write_report(study))
    assert text.startswith("# Is &lt;b>this&lt;/b> &amp; that 100 % \\_better\\_?\n")
    assert r"a\_b & " in latex


def test_digits_follow_the_noise() -> None:
    assert digits([0.09, 0.11, 0.2], [90.5]) == 2
    assert digits([4.0, 5.0, 900.0], [812.4]) == 1  # one wild row does not change the others
    assert digits([1e-5], [72.08607, 540.64555]) == 2  # exactly known, and five figures are enough
    assert digits([0.002, math.nan], [0.27]) == 4
    assert digits([], [272474.0]) == 0
    assert digits([0.0], [0.5]) == 2
    assert digits([1e-4], [0.0, math.nan]) == 0  # exactly no difference, whatever the rounding allows for
    assert (number(1.43154e13), number(-2e9, sign=True, digits=0)) == ("1.432e+13", "-2.000e+09")
    assert (number(1.234, sign=True), number(math.nan), number(-0.001), number(1.5e-8, digits=8)) == (
        "+1.23",
        "–",
        "0.00",
        "1.50e-08",
    )
    assert (p_value(0.0001), p_value(0.04), p_value(None)) == ("<0.001", "0.040", "–")


def test_terminal_table_shows_every_column_in_80_columns(study: Path) -> None:
    console = Console(file=io.StringIO(), width=80)
    summary = summarise(Study.read(study))
    print_summary(summary, console)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    row = cells(summary.rows)[1]
    line = next(line for line in printed.splitlines() if line.split()[:1] == ["better"])
    assert [cell for i, cell in enumerate(row) if i != 4 and cell not in line] == []
    assert max(map(len, printed.splitlines())) <= 80


@pytest.mark.parametrize("undecided", [12, 13])
def test_a_terminal_says_of_many_undecided_variants_in_one_line(tmp_path: Path, undecided: int) -> None:
    noisy: list[float | None] = [89.0, 92.0, 91.5]
    names = [f"v{i}" for i in range(undecided)]
    values: dict[str, list[float | None]] = {"base": [90.0, 91.0, 92.0], "bad": [50.0, 51.0, 52.01]}
    folder = make_study(tmp_path / "made", values | dict.fromkeys(names, noisy), 3)
    console = Console(file=io.StringIO(), width=80)
    print_summary(summarise(Study.read(folder)), console)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "hurts · bad:" in printed
    assert printed.count("undecided · v") == (12 if undecided == 12 else 0)
    assert ("undecided · 13 variants: the report says of each why." in printed) == (undecided == 13)


def test_a_verdict_without_an_interval(tmp_path: Path) -> None:
    """Six seeds that all differ by the same decide by their signs alone; not where the baseline ignores its seed."""
    equal: dict[str, list[float | None]] = {"base": [10.0] * 6, "better": [8.0] * 6}
    folder = make_study(tmp_path / "equal", equal, 6, metric="train_loss", unit="", higher_is_better=False)
    for path in folder.glob("runs/*/*/result.json"):
        value = 8.0 if path.parts[-3] == "better" else 10.0
        write_json(path, {"metrics": {"train_loss": value}})
    assert "does the program use its seed?" in summarise(Study.read(folder)).headlines["better"].line
    for path in folder.glob("runs/*/*/result.json"):
        value = (8.0 if path.parts[-3] == "better" else 10.0) + int(path.parts[-2].split("-")[1])
        write_json(path, {"metrics": {"train_loss": value}})
    write_report(folder)
    assert summarise(Study.read(folder)).headlines["better"].line.startswith("helps · better: Better by 2")


def test_relative_is_what_the_plan_says(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", dict(ACCURACY), 5, relative=True, unit="percent of baseline")
    row = summarise(Study.read(folder)).rows[1]
    assert row.comparison is not None
    assert row.comparison.difference == pytest.approx(
        100 * (statistics.geometric_mean(ACCURACY["better"]) / statistics.geometric_mean(ACCURACY["base"]) - 1)
    )
    assert row.example_error is None  # that is in points


def test_metrics_in_the_studys_unit_share_its_smallest_effect(tmp_path: Path) -> None:
    """Test accuracy and test error are one number: they must not get two verdicts."""
    folder = make_study(tmp_path / "made", dict(ACCURACY), 5, smallest_effect=3.0)
    summary = summarise(Study.read(folder))
    verdicts = [
        rows[1].comparison.verdict for rows in (summary.rows, summary.others["test_error"]) if rows[1].comparison
    ]
    assert verdicts == ["no effect", "no effect"]


def test_a_time_of_nothing_is_left_out_of_the_other_metrics(study: Path) -> None:
    for path in study.glob("runs/base/*/result.json"):
        result = read_json(path)
        write_json(path, {"metrics": {**result["metrics"], "train_seconds": 0.0}})
    assert set(summarise(Study.read(study)).others) == {"test_error"}


def test_environments_that_differ_are_told(study: Path) -> None:
    write_json(study / "runs/base/seed-0-00000000/environment.json", {"torch": "3", "commit": "abc"})
    page = write_report(study)[0].read_text()
    assert "14 runs: torch 2, commit abc." in page
    assert "it differs in torch." in page


def test_curves_of_a_program_that_logs_as_it_likes(tmp_path: Path) -> None:
    def read(lines: list[dict[str, float | None]]) -> dict[str, Curve]:
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return Run("a", 0, tmp_path).curves(["loss"], thinned=True)

    lines: list[dict[str, float | None]] = [
        {"step": 1, "loss": 2.0},
        {"loss": 5.0},
        {"step": 2, "loss": None},
        {"step": 3, "loss": 1.0},
    ]
    other: list[dict[str, float | None]] = [{"step": 3, "loss": 3.0}, {"step": 4, "loss": 0.5}]
    found = curves({"a": [read(lines), read(other), read([])], "b": [read([])]}, "loss")
    assert set(found) == {"a"}
    np.testing.assert_array_equal(found["a"].steps, [3])
    np.testing.assert_array_equal(found["a"].values, [[1.0], [3.0]])


def test_training_loss_and_test_error_stand_in_one_figure(study: Path) -> None:
    page = write_report(study)[0].read_text()
    section = page[page.index("<h2>Curves</h2>") :]
    figure = section[: section.index("</figure>")]
    loss, error = figure.split("<svg")[1:]
    assert "training loss, log scale<" in loss
    assert "test error, %<" in error
    for picture in (loss, error):  # a legend each, the same colour in both
        assert [picture.count(f">{variant}<") for variant in ACCURACY] == [1, 1, 1]
        assert all(f"var(--series-{i}," in picture for i in range(3))
        assert picture.count('id="curves-') == len(set(re.findall(r'id="(curves-[^"]+)"', picture)))


@pytest.mark.parametrize(("value", "whole"), [(4.0, True), (2.5, False)])
def test_what_is_counted_has_no_halves_on_its_axis(value: float, whole: bool) -> None:
    found = {"a": PicturedCurve(np.array([0.0, 50, 100]), np.array([[0.0, 2.0, value]]))}
    picture = figures.curves_figure(["a"], found, "layers frozen", name="curves-0", linear=True)
    halves = re.findall(r">(\d+\.5)<", picture)
    assert (not halves) is whole


def test_no_line_ends_between_a_number_and_its_percent_sign(study: Path) -> None:
    page = write_report(study)[0].read_text()
    prose = re.findall(r"<(?:p|li)\b.*?</(?:p|li)>", page)
    assert any("97.5\u00a0% interval" in text for text in prose)
    assert not [text for text in prose if re.search(r"half of the [\d.]+ %|± \d", text)]
    assert re.search(r"<td>\d+\.\d+ ± ", page)  # columns of numbers never break, and are left as they are


def test_long_curves_are_read_in_linear_time() -> None:
    run, other = ({"loss": Curve(np.arange(n, 50_000.0), np.ones(50_000 - n))} for n in (0, 1))
    start = time.process_time()
    assert len(curves({"a": [run, other]}, "loss")["a"].steps) == 49_999
    assert time.process_time() - start < 60  # a tenth of a second; quadratic, it was an hour


def test_colours_are_the_pages_own(study: Path) -> None:
    add_features(study / "runs/better/seed-0-00000000", gaussians=True)
    page = write_report(study)[0].read_text()
    drawing = page[page.index("<svg") : page.rindex("</svg>")]
    for colour in (*PALETTE, *CLASS_PALETTE):  # only as what a reader without the page's style falls back to
        assert drawing.count(colour) == drawing.count(f", {colour})")
    assert "#010203" not in page


def test_rolling_mean_by_a_loop() -> None:
    values = np.random.default_rng(0).normal(size=(2, 20))
    expected = [[row[max(0, i - 3) : i + 1].mean() for i in range(20)] for row in values]
    np.testing.assert_allclose(rolling_mean(values, 4), expected)
    np.testing.assert_allclose(rolling_mean(values, 50)[:, -1], values.mean(1))


def _features_section(page: str) -> str:
    start = page.index("<h2>Features</h2>")
    return page[start : page.index("</section>", start)]


def test_page_without_features_has_no_such_section(study: Path) -> None:
    assert "<h2>Features</h2>" not in write_report(study)[0].read_text()


def test_features_are_drawn_a_panel_a_variant(study: Path) -> None:
    for seed in (3, 1):  # the first that has some is shown
        add_features(study / f"runs/better/seed-{seed}-00000000", gaussians=True)
    add_features(study / "runs/base/seed-0-00000000", gaussians=False)
    add_features(study / "runs/broken/seed-0-00000000", gaussians=True)  # failed: what it left is not shown
    shown = summarise(Study.read(study)).panels
    assert [(panel.variant, panel.seed) for panel in shown] == [("base", 0), ("better", 1)]
    page = write_report(study)[0].read_text()
    assert page.index("<h2>Curves</h2>") < page.index("<h2>Features</h2>") < page.index("<h2>Other metrics</h2>")
    section = _features_section(page)
    first, second = section.split("<svg")[1:]
    # 300 of the 400 images of each class; each panel's names once, and once in the legend that both share.
    assert [picture.count("h0") for picture in (first, second)] == [300 * len(CLASSES)] * 2
    assert section.count(">airplane<") == 3
    assert section.count("<li ") == len(CLASSES)
    # An ellipse is eight curves; two for each class, and none where there are no Gaussians.
    assert [len(re.findall(r"\bC ", picture)) for picture in (first, second)] == [0, 2 * 8 * len(CLASSES)]
    assert "The first 300 test images of each class" in section
    assert "A panel without them" in section
    assert "No features.npz from a_b, broken." in section
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", page)) <= set(parser.ids)


def test_features_of_many_variants_and_classes_stay_small(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "many", {"base": [90.0], **{f"v{i}": [91.0] for i in range(5)}}, 1)
    for i, run in enumerate(folder.glob("runs/*/*")):
        add_features(run, gaussians=True, classes=CLASSES if i else tuple(f"class {k}" for k in range(100)))
    page = write_report(folder)[0].read_text()
    assert len(page) < 1_500_000
    assert page.count("h0") <= 20_000
    assert "Colours repeat after 10 classes." in page


def test_features_that_are_hardly_there(study: Path) -> None:
    """One class, one image, one without a finite place; none at all."""
    nothing = np.zeros((0, 2), np.float32)
    points = np.array([[1, 2], [np.nan, 0]], np.float32)
    Features(points, np.array([0, 0]), nothing, nothing, ("one", "none")).write(
        study / "runs/base/seed-0-00000000/features.npz"
    )
    Features(nothing, np.zeros(0, np.int64), nothing, nothing, ()).write(
        study / "runs/better/seed-0-00000000/features.npz"
    )
    section = _features_section(write_report(study)[0].read_text())
    assert section.count("h0") == 1
    assert "Every test image" in section


@pytest.mark.parametrize(
    ("colours", "paper"),
    [(PALETTE, "#ffffff"), (CLASS_PALETTE, "#ffffff"), *((p, "#14181f") for p in (DARK_PALETTE, DARK_CLASS_PALETTE))],
)
def test_colours_stand_out_from_the_page(colours: tuple[str, ...], paper: str) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    for colour in colours:
        pair = sorted((luminance(colour), luminance(paper)))
        assert pair[1] / pair[0] >= 3
    assert len(set(colours)) == len(colours)


def test_training_losses_of_unlike_objectives_have_no_verdict(tmp_path: Path) -> None:
    accuracy: dict[str, list[float | None]] = {name: [90.0, 91.0, 92.0] for name in ("base", "mixture", "longer")}
    own: dict[str, dict[str, object]] = {
        "base": {"objective.name": "softmax"},
        "mixture": {"objective.name": "gaussian-mixture"},
        "longer": {"epochs": 4, "objective.label_smoothing": 0},
    }
    variants = {name: {"settings": settings, "command": None} for name, settings in own.items()}
    folder = make_study(tmp_path / "made", accuracy, 3, variants=variants)
    for i, path in enumerate(sorted(folder.glob("runs/*/*/result.json"))):
        found = read_json(path)
        loss = {"base": 1.0, "mixture": 9.0, "longer": 0.5}[path.parts[-3]] + 0.001 * (i * i % 7)
        found["metrics"] |= {"train_loss": loss, "test_loss": loss}
        write_json(path, found)
    summary = summarise(Study.read(folder))
    assert [row.standing for row in summary.others["train_loss"]] == ["baseline", "not judged", "helps"]
    assert [row.standing for row in summary.others["test_loss"]] == ["baseline", "hurts", "helps"]  # one log loss
    (note,) = [note for note in summary.notes if note.startswith("training loss: ")]
    assert note.startswith("training loss: mixture minimises another loss than the baseline does")
    write_report(folder)
    assert note in (folder / "report.html").read_text()
    # Alike again, as in a study in which all have it.
    shared = {"objective.name": "gaussian-mixture", "objective.margin": 0.3}
    own["base"] |= {"objective.name": "gaussian-mixture"}
    own["longer"] = {"epochs": 4}
    write_json(
        folder / "study.json",
        read_json(folder / "study.json")
        | {
            "shared": shared,
            "variants": {name: {"settings": settings, "command": None} for name, settings in own.items()},
        },
    )
    alike = summarise(Study.read(folder))
    assert [row.standing for row in alike.others["train_loss"]] == ["baseline", "hurts", "helps"]
    assert not any(note.startswith("training loss") for note in alike.notes)


def test_a_users_programs_losses_are_judged_as_ever(tmp_path: Path) -> None:
    asked = read_asked(read_json(make_study(tmp_path / "made", {"base": [1.0], "other": [2.0]}, 1) / "study.json"))
    programs = tuple(replace(v, command="train", settings={"objective.name": v.name}) for v in asked.variants)
    assert other_losses(replace(asked, variants=programs)) == ()
    mixed = (
        replace(asked.variants[0], settings={}),
        replace(asked.variants[1], settings={"augmentation.names": ["mixup"]}),
    )
    assert other_losses(replace(asked, variants=mixed)) == ("other",)


def test_an_interval_that_rounding_alone_makes_is_explained(tmp_path: Path) -> None:
    values = {"base": [90.0, 91.0, 92.0], "same": [90.1, 91.1, 92.1], "apart": [92.0, 94.0, 93.0]}
    summary = summarise(Study.read(make_study(tmp_path / "made", values, 3)))  # 1000 images: steps of 0.1
    rows = {row.variant: row for row in summary.rows}
    assert rows["same"].step == pytest.approx(0.1)
    assert rows["apart"].step == 0
    assert rows["same"].comparison is not None
    # By hand, at Holm's level for the first of two variants: t with 2 degrees of freedom, s = 0.1/sqrt(6), k = 3.
    assert rows["same"].comparison.interval is not None
    low, high = rows["same"].comparison.interval
    t = stats.t.isf((1 - rows["same"].comparison.interval_confidence) / 2, 2)
    assert (high - low) / 2 == pytest.approx(t * 0.1 / 6**0.5 / 3**0.5)
    (line,) = [line for line in summary.cautions if line.startswith("same: ")]
    assert line.startswith("same: its differences vary less than the metric's rounding to steps (0.1 points, one test")
    assert not any(line.startswith("apart") for line in summary.cautions)
    told = difference_tips(summary, rows["same"]).of_mean
    assert ", as wide as rounding to 0.1 points alone makes it, " in told
    assert "rounding" not in difference_tips(summary, rows["apart"]).of_mean
    write_report(tmp_path / "made")
    assert "as wide as rounding to 0.1 points alone makes it" in (tmp_path / "made/report.html").read_text()


def test_what_is_drawn_once_is_what_matplotlib_draws_twice(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_features(study / "runs/better/seed-0-00000000", gaussians=True)
    summary = summarise(Study.read(study))
    draws = []
    draw = Figure.draw

    def counted(figure: Figure, renderer: RendererBase) -> None:
        draws.append(figure)
        draw(figure, renderer)

    monkeypatch.setattr(Figure, "draw", counted)
    once = html_page(summary)
    drawn = len(draws)
    monkeypatch.setattr(figures, "_lay_out_alone", lambda figure: None)
    assert html_page(summary) == once
    assert len(draws) - drawn > drawn


def test_a_noise_that_could_not_be_pooled_is_told(study: Path) -> None:
    """Pairs of some variants alone cannot share one noise: then the report must not say that they did."""
    read = Study.read(study)
    summary = summarise(replace(read, plan={**read.plan, "pooling": "guarded"}))
    told = [line for line in summary.cautions if "pooling" in line]
    assert len(told) == 1
    assert "was not used" in told[0]
    assert not any('pooling = "guarded"' in line for line in reading(summary))
    whole = tuple(run for run in read.runs if run.variant != "broken")
    variants = {name: what for name, what in read.plan["variants"].items() if name != "broken"}
    variants["third"] = variants["a_b"]
    thirds = tuple(replace(run, variant="third") for run in whole if run.variant == "a_b")
    plan = {**read.plan, "variants": variants, "pooling": "guarded"}
    summary = summarise(replace(read, plan=plan, runs=(*whole, *thirds)))
    assert not [line for line in summary.cautions if "pooling" in line]
    assert any('pooling = "guarded"' in line for line in reading(summary))
