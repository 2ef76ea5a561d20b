"""The table for a paper is sound LaTeX, and says by itself what a reader of the paper needs."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.report.conftest import ACCURACY, make_study

import truelift
from truelift.records import Study, read_json, write_json
from truelift.report import summarise
from truelift.report.latex import latex_table
from truelift.report.legend import PAIRS_LEGEND
from truelift.report.summary import Summary

GUARDS = {
    "train_seconds": {"limit": 10.0, "unit": "percent of baseline", "higher_is_better": False, "relative": True},
    "test_loss": {"limit": 0.1, "unit": "", "higher_is_better": False, "relative": False},
}


def check(latex: str) -> None:
    """What pdflatex would stumble over, without it: braces, environments, special characters, cells, labels."""
    lines = [line for line in latex.splitlines() if not line.startswith("%")]
    text = "\n".join(lines)
    depth, open_ones = 0, []
    for found in re.finditer(r"\\(begin|end)\{(\w+)\}|\\.|[{}]", text, re.DOTALL):
        if found[1] == "begin":
            open_ones.append(found[2])
        elif found[1] == "end":
            assert open_ones.pop() == found[2]
        elif found[0] in "{}":
            depth += 1 if found[0] == "{" else -1
            assert depth >= 0
    assert (depth, open_ones) == (0, [])
    plain = re.sub(r"\\.", "", text, flags=re.DOTALL)
    assert plain.count("$") % 2 == 0
    assert not re.search(r"[#%~^]", plain)
    tables = re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.DOTALL)
    assert not any(re.search(r"\n\s*\n", table) for table in tables)
    assert "_" not in re.sub(r"\\label\{[^}]*\}", "", plain)
    labels = re.findall(r"\\label\{([^}]*)\}", text)
    assert labels
    assert len(set(labels)) == len(labels) == len(tables)
    assert all(re.fullmatch(r"tab:[A-Za-z0-9-]+", label) for label in labels)
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert len(rows) > 1
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1
    for caption in (line for line in lines if r"\caption" in line):
        assert "&" not in caption.replace(r"\&", "")


def compiled(latex: str, folder: Path) -> None:
    """By pdflatex, where it is installed."""
    if shutil.which("pdflatex") is None:
        return
    document = (
        rf"\documentclass{{article}}\usepackage[utf8]{{inputenc}}\usepackage{{booktabs}}\begin{{document}}{latex}"
    )
    (folder / "table.tex").write_text(rf"{document}\end{{document}}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout


def table_of(folder: Path) -> tuple[Summary, str]:
    summary = summarise(Study.read(folder))
    latex = latex_table(summary)
    check(latex)
    compiled(latex, folder)
    return summary, latex


def caption_of(latex: str) -> str:
    found = re.search(r"\\caption\{(.*)\}$", latex, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_caption_says_what_a_reader_needs(tmp_path: Path) -> None:
    _, latex = table_of(make_study(tmp_path / "made", ACCURACY, 5, name="made_of 50 %"))
    caption = caption_of(latex)
    assert "Test accuracy, higher is better; differences to base in points." in caption
    assert "over 5 seeds" in caption
    assert r"97.5 \% paired-t interval" in caption
    assert (
        "No effect: shown by two one-sided tests to be smaller than 0.5 points, the smallest that matters." in caption
    )
    assert r"\label{tab:made-of-50}" in latex
    assert "Guards" not in caption


def test_one_variant_has_95_percent_and_no_correction(tmp_path: Path) -> None:
    two = {name: ACCURACY[name] for name in ("base", "better")}
    _, latex = table_of(make_study(tmp_path / "made", two, 5, smallest_effect=0.0))
    caption = caption_of(latex)
    assert r"95 \% paired-t interval" in caption
    assert "correct" not in caption
    assert PAIRS_LEGEND not in caption
    assert "smallest effect" not in caption


def test_where_confidences_or_seeds_differ_each_row_has_its_own(tmp_path: Path) -> None:
    """By Holm's correction what is decided first has the smallest level."""
    values: dict[str, Sequence[float | None]] = {**ACCURACY, "worse": [89.0, None, 90.9, 90.1, 89.0]}
    summary, latex = table_of(make_study(tmp_path / "made", values, 5))
    shown = {c.interval_confidence for c in summary.comparisons.values()}
    assert len(shown) > 1
    caption = caption_of(latex)
    assert "Behind each interval stands its confidence." in caption
    assert "over 4 to 5 seeds" in caption
    assert PAIRS_LEGEND in caption
    rows = {row.split(" & ")[0].strip(): row.split(" & ") for row in latex.splitlines() if row.endswith(r" \\")}
    assert rows["variant"][1] == "seeds"
    assert [rows[name][1] for name in ("base", "better", r"worse")] == ["5", "5", "4"]
    for name, c in summary.comparisons.items():
        cell = next(cell for cell in rows[name.replace("_", r"\_")] if " to " in cell)
        assert cell.endswith(rf"({100 * c.interval_confidence:.3g} \%)")


def test_a_baseline_that_lost_a_run_has_fewer_pairs_than_its_variants_runs(tmp_path: Path) -> None:
    values: dict[str, Sequence[float | None]] = {"base": [*ACCURACY["base"][:4], None], "better": ACCURACY["better"]}
    _, latex = table_of(make_study(tmp_path / "made", values, 5))
    assert "over 4 to 5 seeds" in caption_of(latex)
    assert [row.split(" & ")[1] for row in latex.splitlines() if row.endswith(r" \\")] == ["seeds", "4", "4"]


def test_guards_are_columns_with_their_state(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "made", ACCURACY, 5, guards=GUARDS)
    for i, path in enumerate(sorted(folder.glob("runs/*/*/result.json"))):
        metrics = read_json(path)["metrics"]
        noise = 0.01 * (i * i % 7)
        times = {"train_seconds": metrics["train_seconds"] * (1 + 0.3 * ("better" in path.parts) + noise)}
        write_json(path, {"metrics": metrics | times | {"test_loss": 0.3 + noise}})
    _, latex = table_of(folder)
    caption = caption_of(latex)
    assert r"Guards: train seconds at most 10 \% worse, test loss at most 0.1 worse" in caption
    header = next(line for line in latex.splitlines() if line.strip().startswith("variant"))
    assert header.endswith(r"& verdict & train seconds & test loss \\")
    row = next(line for line in latex.splitlines() if line.strip().startswith("better"))
    assert re.search(r"& \+\d\d \\%, broken & \S+, held \\\\$", row)


def test_long_notes_are_comments_and_a_short_sentence(tmp_path: Path) -> None:
    folders = {name: f"runs/{name}/seed-0-00000000" for name in ACCURACY}
    earlier = [{"seeds": [0, 1, 2], "created": "2026-01-01T00:00:00+00:00", "folders": folders}]
    folder = make_study(tmp_path / "made", {**ACCURACY, "broken": [None] * 5}, 5, earlier=earlier)
    summary, latex = table_of(folder)
    caption = caption_of(latex)
    assert "Second look at these results: p-values and intervals hold for one." in caption
    assert "With five seeds and then" not in caption
    comments = [line for line in latex.splitlines() if line.startswith("% note: ")]
    assert any("With five seeds and then" in line for line in comments)
    assert any(line.startswith("% note: broken, seeds 0, 1, 2, 3, 4: failed") for line in comments)
    assert len(caption) < 900
    assert summary.asked.earlier


@pytest.mark.parametrize("name", ["made", "数", "a_b/../%c d"])
def test_a_label_of_any_name(tmp_path: Path, name: str) -> None:
    table_of(make_study(tmp_path / "made", ACCURACY, 5, name=name))


def test_every_kind_of_study(tmp_path: Path) -> None:
    """Without pairs, over folds, at a ledger's level, until decided."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = [
        {"variant": name, "seed": seed + 10 * (name == "b"), "val_accuracy": 90 + rng.normal()}
        for name in ("a", "b")
        for seed in range(5)
    ]
    unpaired = latex_table(truelift.judge(rows, baseline="a", paired=False).summary)
    check(unpaired)
    assert r"Welch's 95 \% interval" in caption_of(unpaired)
    _, latex = table_of(make_study(tmp_path / "folds", ACCURACY, 5, folds=5, replicates="folds"))
    assert "over 5 folds" in caption_of(latex)
    plan = {"max_seeds": 5, "looks": [3, 4, 5], "alpha": 0.05}
    _, latex = table_of(make_study(tmp_path / "until", ACCURACY, 5, until_decided=plan))
    assert r"innermost 97.5 \% interval of all looks" in caption_of(latex)
