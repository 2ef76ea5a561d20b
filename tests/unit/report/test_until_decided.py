"""The report of a study until decided: the path in every form; runs that were not needed are no missing ones."""

import csv
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from tests.unit.report.conftest import make_study, write_report

from truelift.records import Study, write_json
from truelift.report import json_form, summarise
from truelift.report.notebook import notebook_html
from truelift.report.page import html_page

LOOKS = {"max_seeds": 6, "looks": [3, 4, 5, 6], "alpha": 0.05}
VALUES: dict[str, list[float | None]] = {
    "base": [90.0, 91.0, 92.0, 91.0, 90.0, 90.5],
    "better": [92.3, 94.1, 95.0, 94.5, 93.0, 12.0],  # the last one was run ahead, and would tell otherwise
    "a_b": [90.9, 91.4, 93.9, 91.2, 91.6, 90.4],
}


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """`better` was decided after 4 seeds; its sixth run was made ahead, the fifth was not."""
    folder = make_study(tmp_path / "study", VALUES, 6, until_decided=LOOKS)
    run = folder / "runs/better/seed-4-00000000"
    for file in run.iterdir():
        file.unlink()
    run.rmdir()
    return folder


def test_runs_that_are_not_needed_are_said_as_such(grown: Path) -> None:
    found = summarise(Study.read(grown))
    assert found.grown is not None
    assert found.grown.stops["better"].ended == "decided"
    assert found.grown.stops["better"].seeds == 4
    assert found.grown.not_needed == frozenset({("better", 4)})
    assert found.grown.ahead == frozenset({("better", 5)})
    assert found.problems == ()
    assert [row.mean for row in found.rows if row.variant == "better"] == [pytest.approx((92.3 + 94.1 + 95 + 94.5) / 4)]
    forms = {path.suffix: path.read_text() for path in write_report(grown)}
    for text in forms.values():
        assert re.search(r"better, seed 4: not needed, and not run", text)
        assert re.search(r"better, seed 5: run ahead .*not judged", text)
        assert "Decided after 4 seeds of at most 6" in text
        assert "not finished" not in text


def test_every_form_has_the_path(grown: Path) -> None:
    found = summarise(Study.read(grown))
    assert found.compared[0].comparison is not None
    path = found.compared[0].comparison.path
    assert [look.seeds for look in path] == [3, 4]
    forms = {file.suffix: file.read_text() for file in write_report(grown)}
    lines = {
        line["variant"]: line
        for line in csv.DictReader(io.StringIO(forms[".csv"]))
        if line["metric"] == "test_accuracy"
    }
    assert float(lines["better"]["look_4_difference"]) == path[1].difference
    assert float(lines["better"]["look_4_boundary_high"]) == path[1].boundary[1]
    assert (lines["better"]["stopped_after"], lines["better"]["stop"]) == ("4", "decided")
    assert lines["better"]["look_5_difference"] == ""
    assert lines["better"]["seed_5"] == ""
    assert float(lines["a_b"]["look_5_p_any_stop"]) > 0.05
    form = msgspec.json.decode(json_form.to_json(json_form.report_form(found)), type=json_form.ReportForm)
    assert form.until_decided == json_form.UntilDecidedForm(6, [3, 4, 5, 6], 0.05)
    better = form.variants[1]
    assert better.stop == json_form.StopForm(4, "decided")
    assert [look.p_any_stop for look in better.path] == [look.p_value for look in path]
    assert better.p_value == path[-1].p_value
    assert (better.p_sign_flip, better.smallest_detectable, better.more_seeds) == (None, None, None)
    for ending in (".md", ".tex", ".html"):
        assert "p at any stop" in forms[ending]


def test_the_picture_tells_a_screen_reader(grown: Path) -> None:
    page = html_page(summarise(Study.read(grown)))
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    labels = [ElementTree.fromstring(svg).get("aria-label") or "" for svg in figures]
    told = [label for label in labels if "boundaries at" in label]
    assert len(told) == 2
    assert re.fullmatch(
        r"better: mean difference, .* at 2 looks; at 4 pairs \+2\.97, boundary \+\d.*; helps, decided",
        told[0],
    )


def test_a_study_that_runs_says_where_it_stands(grown: Path) -> None:
    for seed in (2, 3, 4, 5):
        for variant in ("base", "a_b"):
            run = grown / f"runs/{variant}/seed-{seed}-00000000"
            for file in run.iterdir():
                file.unlink()
            run.rmdir()
    (grown / "runs/a_b/seed-2-00000000").mkdir()  # it has begun
    found = summarise(Study.read(grown))
    assert found.problems == ("a_b, seed 2: not finished",)
    assert found.grown is not None
    assert {c.ground for c in found.grown.comparisons.values()} == {"no look yet"}
    assert "It goes on: 2 seeds of at most 6 are judged." in (write_report(grown)[1]).read_text()


def test_a_second_look_is_said_in_every_form(tmp_path: Path) -> None:
    earlier = [
        {
            "seeds": [0, 1, 2],
            "created": "2026-01-01T00:00:00+00:00",
            "folders": {name: f"runs/{name}/seed-0-00000000" for name in VALUES},
        }
    ]
    folder = make_study(tmp_path / "study", VALUES, 5, earlier=earlier)
    said = r"Second look: its results could be judged before, with 3 seeds \(2026-01-01\), and are now with 5"
    for path in write_report(folder):
        assert re.search(said, path.read_text()), path
        assert re.search(r"9\.9 \\?% of studies without an effect", path.read_text()), path
    found = summarise(Study.read(folder))
    assert re.search(said, notebook_html(found))
    form = json_form.report_form(found)
    assert form.earlier == [json_form.EarlierForm(3, 3, "2026-01-01T00:00:00+00:00", [], [], None, None)]
    assert any(re.search(said, note) for note in form.notes)
    write_json(folder / "study.json", {**Study.read(folder).plan, "earlier": []})
    assert all("look:" not in path.read_text() for path in write_report(folder))


def test_variants_metric_and_baseline_chosen_afterwards_are_said_in_every_form(tmp_path: Path) -> None:
    earlier = [
        {
            "seeds": [0, 1, 2, 3, 4],
            "created": "2026-01-01T00:00:00+00:00",
            "judged": [0, 1, 2, 3],
            "folders": {
                "base": "runs/base/seed-0-00000000",
                "better": "runs/better/seed-0-11111111",
                "gone": "runs/gone/seed-0-00000000",
            },
            "metric": "loss",
            "baseline": "better",
        }
    ]
    folder = make_study(tmp_path / "study", VALUES, 5, earlier=earlier)
    said = (
        r"with 4 of 5 seeds \(2026-01-01\) of better with other settings and of gone too by loss against better, "
        "and are now with 5"
    )
    for path in write_report(folder):
        assert re.search(said, path.read_text()), path
        assert "chosen after results were seen" in path.read_text(), path
    found = json_form.report_form(summarise(Study.read(folder)))
    when = "2026-01-01T00:00:00+00:00"
    assert found.earlier == [json_form.EarlierForm(4, 5, when, ["gone"], ["better"], "loss", "better")]


def test_a_plan_of_looks_that_was_lost_is_said(tmp_path: Path) -> None:
    folders = {name: f"runs/{name}/seed-0-00000000" for name in VALUES}
    earlier = [{"seeds": [0, 1, 2, 3], "created": "", "folders": folders}]
    folder = make_study(tmp_path / "study", VALUES, 6, until_decided=LOOKS, earlier=earlier)
    for path in write_report(folder):
        assert "This plan of looks was written when 4 seeds had results" in path.read_text(), path
