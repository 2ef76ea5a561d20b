"""Every run in the page, in report-runs.csv and in its downloads; the answer on top; logs of what failed."""

import base64
import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.report.conftest import ACCURACY, make_study

from truelift.records import Study, write_json
from truelift.report import summarise, write_forms
from truelift.report.sections import noises
from truelift.studies.study_file import read_plan
from truelift.verdicts.wording import Headline, answer

Values = dict[str, list[float | None]]


def written(folder: Path) -> tuple[str, list[dict[str, str]]]:
    """The page, and the tidy table."""
    page, *_, runs = write_forms(summarise(Study.read(folder)))
    return page.read_text(), list(csv.DictReader(io.StringIO(runs.read_text())))


def test_the_tidy_table_has_a_row_a_run_and_metric(tmp_path: Path) -> None:
    values: Values = {"base": [90.0, 91.0, 92.0], "=1+1": [92.5, 93.0, None]}
    folder = make_study(tmp_path / "made", values, 3)
    _, rows = written(folder)
    found = {(r["variant"], r["seed"], r["metric"]): (r["status"], r["value"]) for r in rows}
    assert len(found) == len(rows) == 5 * 3 + 1
    assert found["base", "1", "test_accuracy"] == ("done", "91.0")
    assert found["base", "1", "train_seconds"] == ("done", "11.0")
    assert found["'=1+1", "2", "test_accuracy"] == ("failed", "")


def test_the_page_lists_every_run_and_the_log_of_a_failed_one(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", {"base": [90.0, 91.0, 92.0], "other": [90.5, 91.5, None]}, 3)
    (folder / "runs/other/seed-2-00000000/log.txt").write_text("before\n<script>x</script>\x1b[1m no memory\n")
    page, _ = written(folder)
    table = page[page.index("<h2>All runs</h2>") :]
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)]
    assert cells[1] == ["base", "0", "done", "90.00", "10.0"]
    assert ["other", "2", "failed", "–", "–"] in cells
    assert "before\n&lt;script&gt;x&lt;/script&gt; no memory</pre>" in page


def test_downloads_hold_what_the_files_hold(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", dict(ACCURACY), 5)
    page, _ = written(folder)
    links = dict(re.findall(r'href="data:[^;]+;charset=utf-8;base64,([^"]+)" download="([^"]+)"', page))
    files = {name: base64.b64decode(content).decode() for content, name in links.items()}
    assert files["runs.csv"] == (folder / "report-runs.csv").read_text()
    assert files["table.tex"] == (folder / "report.tex").read_text()
    assert "study.toml" not in files  # it came from no study file


@pytest.mark.parametrize(
    "lines", ["seeds = [3, 5]\nvary_split = false", "[until_decided]\nmax_seeds = 6\nlooks = [3, 6]"]
)
def test_the_study_file_made_again_plans_the_same_runs(tmp_path: Path, lines: str) -> None:
    given = tmp_path / "asked.toml"
    given.write_text(
        f'question = "Does \\"it\\" help?"\nmetric = "test_error"\nsmallest_effect = 0.5\n'
        f'guards = {{ train_seconds = 5.0, test_loss = "3 %" }}\n{lines}\n'
        '[experiment]\nmodel.name = "resnet8"\ndata.name = "digits"\nepochs = 4\n'
        '[variants.plain]\n[variants.short]\nepochs = "50 %"\n[variants.no-relu]\nmodel.last_relu = false\n'
        '[variants.own]\ncommand = "python own.py {seed} {out} {args}"\nargs = "--x 1"\n'
    )
    plan = read_plan(given, overrides={"batch_size": 32})
    record = plan.record("truelift study asked.toml", "2026-01-01T00:00:00+00:00") | {"source": "../asked.toml"}
    write_json(tmp_path / "made/study.json", record)
    text = summarise(Study.read(tmp_path / "made")).study_file
    assert text is not None
    again_file = tmp_path / "asked again.toml"
    again_file.write_text(text)
    again = read_plan(again_file)
    assert [run.folder for run in again.runs()] == [run.folder for run in plan.runs()]
    for key in ("question", "metric", "unit", "guards", "seeds", "until_decided", "smallest_effect", "baseline"):
        assert again.record("", "")[key] == record[key], key


def test_how_to_repeat_it_names_folder_and_file(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", dict(ACCURACY), 3, source="../../made.toml", started_in="../../a b")
    page, _ = written(folder)
    section = page[page.index("<h2>How to repeat it</h2>") :]
    assert "cd &#39;../../a b&#39;\ntruelift study made.toml</pre>" in section
    assert "<code>../../made.toml</code>" in section


def test_a_recipe_is_named_and_not_where_it_lies(tmp_path: Path) -> None:
    places = {"source": "../../lib/truelift/recipes/demo.toml", "started_in": "..", "repeat": "truelift study demo"}
    page, _ = written(make_study(tmp_path / "made", dict(ACCURACY), 3, **places))
    assert "truelift study demo</pre>" in page
    assert "recipes" not in page


def test_a_program_has_no_empty_sections(tmp_path: Path) -> None:
    """What a program of the user's never tells is not spoken of, nor what only our trainings share."""
    folder = make_study(tmp_path / "made", dict(ACCURACY), 5)
    for path in [*folder.glob("runs/*/*/*.jsonl"), *folder.glob("runs/*/*/*.npz"), *folder.glob("*/*/*/env*.json")]:
        path.unlink()
    for path in folder.glob("runs/*/*/result.json"):
        write_json(path, {"metrics": {"test_accuracy": ACCURACY[path.parts[-3]][int(path.parts[-2].split("-")[1])]}})
    plan = Study.read(folder).plan
    own = {name: {"settings": {"args": ""}, "command": "python own.py"} for name in ACCURACY}
    write_json(folder / "study.json", plan | {"variants": own, "metric_scale": "points"})
    page, _ = written(folder)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert "Noise" in headings
    assert not {"Two noises", "Curves", "Cost", "Environment", "Other metrics"} & set(headings)
    assert "test images of the same kind" not in page
    assert "initial weights" not in page
    assert "was given the same seeds" in page


def test_the_noise_of_one_pair_is_spoken_of_where_there_is_one(tmp_path: Path) -> None:
    said = "With one pair of seeds the noise cannot be told."
    for name, results, holds in (("one", [91.0], True), ("failed", [None, None, None], False)):
        folder = make_study(tmp_path / name, {"base": [90.0, 91.0, 92.0][: len(results)], "b": results}, 3)
        page, _ = written(folder)
        assert (said in page, "<h2>Noise</h2>" in page) == (holds, holds), name


def test_an_estimate_that_is_cut_off_at_zero_is_not_told_as_a_noise_of_zero(tmp_path: Path) -> None:
    summary = summarise(Study.read(make_study(tmp_path, {"base": [90.0, 91.0, 90.5], "b": [91.0, 92.0, 91.8]}, 3)))
    none = "none over test images that so few seeds can tell."
    for error, told in ((0.0, none), (0.002, "± 0.004 points over test images.")):
        rows = [replace(row, example_error=None if row.comparison is None else error) for row in summary.rows]
        assert noises(replace(summary, rows=tuple(rows)))[0].endswith(f"interval), {told}")


def test_options_in_settings_are_kept_whole_and_escaped(tmp_path: Path) -> None:
    own = {"settings": {"args": "--a-b <i> -x=1 a--b"}, "command": "run --seed {seed}"}
    folder = make_study(tmp_path / "made", {"base": [90.0, 91.0], "b": [90.0, 91.0]}, 2)
    plan = Study.read(folder).plan
    write_json(folder / "study.json", plan | {"variants": {"base": own, "b": own}, "metric_scale": "points"})
    page, _ = written(folder)
    seed, option = (f'<span class="whole">{name}</span>' for name in ("--seed", "--a-b"))
    assert f"run {seed} {{seed}}; args = {option} &lt;i&gt; -x=1 a--b" in page


def test_the_answer_is_one_sentence() -> None:
    found = [Headline(name, "helps", "") for name in ("a", "b")] + [Headline("c", "no effect", "")]
    assert answer(found, metric="test error", baseline="plain", smallest="0.5 points") == (
        "Judged by test error against plain: a and b help; c has no effect as large as 0.5 points."
    )
    many = [Headline(str(i), "undecided", "") for i in range(7)]
    assert (
        answer(many, metric="m", baseline="0", so_far=True)
        == "So far, judged by m against 0: all 7 variants are undecided."
    )
    mixed = answer([*many, Headline("x", "hurts", "")], metric="m", baseline="p")
    assert mixed == "Judged by m against p: x hurts; 7 variants (0, 1, 2 and 4 more) are undecided."


def test_colours_of_differences_are_the_verdicts(tmp_path: Path) -> None:
    page, _ = written(make_study(tmp_path / "made", dict(ACCURACY), 5))
    section = page[page.index("<h2>Paired differences</h2>") :]
    picture = section[: section.index("</figure>")]
    assert "var(--helps," in picture  # better
    assert "var(--no-effect," in picture  # a_b
    assert "--series-" not in picture
    assert "<title>better, seed 2: +2.10 points</title>" in picture
    assert re.search(r"<title>better: mean \+2\.02 points, interval .*, helps</title>", picture)


def test_an_answer_while_runs_are_missing_says_so(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", dict(ACCURACY), 5)
    (folder / "runs/a_b/seed-4-00000000/result.json").unlink()
    assert summarise(Study.read(folder)).answer.startswith(
        "So far, judged by test accuracy against base: better helps;"
    )
