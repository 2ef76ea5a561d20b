"""What a study says of runs that fail: the end of a log once for each way to fail."""

from pathlib import Path

import pytest

from truelift.cli.study_lines import StudyLines
from truelift.records import Run, write_json
from truelift.studies.study_file import read_plan

FILE = """
baseline = "a"
metric = "accuracy"
command = "true {seed} {out} {args}"
[variants.a]
[variants.b]
args = "-x"
"""


def failed(folder: Path, variant: str, seed: int, last: str) -> Run:
    path = folder / f"{variant}-{seed}"
    path.mkdir()
    reason = "the command ended with status 1"
    (path / "log.txt").write_text(f"epoch 1 of seed {seed}\nTraceback\n{last}\ntruelift: {reason}\n")
    write_json(path / "failure.json", {"reason": reason})
    return Run(variant, seed, path)


def test_runs_that_fail_alike_show_one_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.toml").write_text(FILE)
    lines = StudyLines(read_plan(tmp_path / "study.toml"), quiet=False, json=False)
    runs = [
        failed(tmp_path, "a", 0, "RuntimeError: out of memory"),
        failed(tmp_path, "a", 1, "RuntimeError: out of memory"),
        failed(tmp_path, "b", 0, "KeyError: 'lr'"),
        failed(tmp_path, "b", 1, "RuntimeError: out of memory"),
        failed(tmp_path, "b", 2, "ValueError: no such layer\nthe program ends"),
        failed(tmp_path, "b", 3, "OSError: no such file\nthe program ends"),
    ]
    for ended, run in enumerate(runs, start=1):
        lines.report_run(run, ended, 10)
    told = capsys.readouterr().out.splitlines()
    why = "failed: the command ended with status 1"
    assert [line for line in told if line.startswith("[")] == [
        f"[1/10] a seed 0: {why}",
        f"[2/10] a seed 1: {why}; its log ends as that of a seed 0",
        f"[3/10] b seed 0: {why}",
        f"[4/10] b seed 1: {why}; its log ends as that of a seed 0",
        f"[5/10] b seed 2: {why}",
        f"[6/10] b seed 3: {why}",
    ]
    assert told[2:5] == ["  | epoch 1 of seed 0", "  | Traceback", "  | RuntimeError: out of memory"]
    assert len(told) == 6 + 4 + 4 + 5 + 5
