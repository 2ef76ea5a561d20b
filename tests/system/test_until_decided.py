"""Studies until decided, as a user starts them: killed in the middle they find the same."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.commands.started import begin
from tests.system.conftest import Truelift

PROGRAM = """
import argparse, json, pathlib, random, time
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int); parser.add_argument("--out")
parser.add_argument("--lift", type=float, default=0)
a = parser.parse_args()
time.sleep(0.3)
value = 80 + random.Random(a.seed).random() + a.lift + random.Random(a.seed + int(1000 * a.lift)).gauss(0, 0.3)
pathlib.Path(a.out, "metrics.json").write_text(json.dumps({"my_accuracy": value}))
"""
STUDY = f"""
command = "{sys.executable} train.py --seed {{seed}} --out {{out}} {{args}}"
metric = "my_accuracy"
[variants.plain]
[variants.strong]
args = "--lift 3"
[variants.weak]
args = "--lift 0.1"
"""
OPTIONS = ("--until-decided", "--max-seeds", "6")


def form(text: str) -> dict[str, Any]:
    """A report in JSON, without what holds for one folder or one moment alone."""
    found: dict[str, Any] = json.loads(text)
    assert found["kind"] == "report"
    return {key: value for key, value in found.items() if key not in ("files", "notes", "other_metrics")}


def path_of(truelift: Truelift, folder: str) -> dict[str, Any]:
    """The verdicts and paths that the records tell, but for times."""
    done = truelift("report", folder, "--json")
    assert done.returncode == 0, done.stderr
    return form(done.stdout)


def kill_after(command: list[str], folder: Path, results: int, tmp_path: Path) -> None:
    """Start a study and kill it as soon as so many runs have results."""
    process = begin(command, cwd=tmp_path)
    deadline = time.monotonic() + 200
    try:
        while len(list(folder.glob("runs/*/*/result.json"))) < results:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(PROGRAM)
    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    return study


def test_killed_and_started_again_it_finds_the_same(truelift: Truelift, program: Path, tmp_path: Path) -> None:
    done = truelift("study", program, "--out", "whole", "--jobs", "1", *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert "strong settled after" in done.stdout
    whole = path_of(truelift, "whole")
    stops = {variant["name"]: variant["stop"]["seeds"] for variant in whole["variants"][1:]}
    assert stops["strong"] < stops["weak"] <= 6
    ran = {name: len(list((tmp_path / "whole/runs" / name).glob("*/result.json"))) for name in ("plain", *stops)}
    assert ran == {"plain": stops["weak"], **stops}  # with one job nothing runs ahead
    plan = json.loads((tmp_path / "whole/study.json").read_text())
    assert plan["until_decided"] == {"max_seeds": 6, "looks": [3, 4, 5, 6], "alpha": 0.05}

    command = ["study", str(program), "--out", "killed", "--jobs", "2", *OPTIONS]
    for results in (4, 9):
        kill_after(command, tmp_path / "killed", results, tmp_path)
        written = json.loads((tmp_path / "killed/study.json").read_text())
        assert written["until_decided"] == plan["until_decided"]  # before the first run
    again = truelift("study", program, "--out", "killed", "--jobs", "3", *OPTIONS)
    assert again.returncode == 0, again.stderr
    assert path_of(truelift, "killed")["variants"][1:] == whole["variants"][1:]

    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("killed/runs/*/*/result.json")}
    once_more = truelift("study", program, "--out", "killed", *OPTIONS)
    assert once_more.returncode == 0, once_more.stderr
    assert "[" not in once_more.stdout.splitlines()[0]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("killed/runs/*/*/result.json")} == before

    for other in (("--seeds", "6"), ("--until-decided", "--max-seeds", "8"), (*OPTIONS, "--looks", "3,6")):
        refused = truelift("study", program, "--out", "killed", *other)
        assert refused.returncode == 2
        assert "planned with at most 6 seeds until decided, looks at 3 to 6" in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_a_second_look_at_a_fixed_plan_is_said(truelift: Truelift, program: Path, tmp_path: Path) -> None:
    assert truelift("study", program, "--seeds", "3").returncode == 0
    first = (tmp_path / "runs/study/report.md").read_text()
    assert "Second look" not in first
    program.write_text("seeds = 4\n" + STUDY)  # edited, in place of --seeds
    done = truelift("study", program)
    assert done.returncode == 0, done.stderr
    assert "Second look: its results could be judged before, with 3 seeds" in " ".join(done.stdout.split())
    for ending in ("html", "md", "csv", "tex"):
        assert (
            "Second look: its results could be judged before, with 3 seeds"
            in (tmp_path / f"runs/study/report.{ending}").read_text()
        )
    assert "Third look" in " ".join(truelift("study", program, "--seeds", "5").stdout.split())
    refused = truelift("study", program, *OPTIONS)
    assert refused.returncode == 2
    assert "planned with a fixed number of 5 seeds, and 5 seeds have results" in refused.stderr


def test_on_digits_killed_in_the_middle(truelift: Truelift, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(
        "[until_decided]\nmax_seeds = 4\n"
        '[experiment]\nmodel.name = "resnet8"\nmodel.width = 4\nepochs = 2\ndata.train_images = 200\n'
        'batch_size = 32\nprecision = "fp32"\n[variants.a]\n[variants.slow]\noptimizer.lr = 0.00001\n'
    )
    whole = truelift("study", study, "--out", "whole", "--jobs", "2")
    assert whole.returncode == 0, whole.stderr
    command = ["study", str(study), "--out", "killed", "--jobs", "2", "--checkpoint_seconds", "0"]
    kill_after(command, tmp_path / "killed", 3, tmp_path)
    done = truelift("study", study, "--out", "killed", "--jobs", "2")  # as many threads a run as before
    assert done.returncode == 0, done.stderr
    found, wanted = (path_of(truelift, folder)["variants"] for folder in ("killed", "whole"))
    assert found == wanted
    assert os.path.exists(tmp_path / "whole/report.html")


def test_the_plan_of_a_file_is_told(truelift: Truelift, program: Path) -> None:
    done = truelift("plan", program, *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert "until decided: at most 6 seeds each, 18 runs at most; looks at 3 to 6 pairs" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[4:8]] == ["3", "4", "5", "6"]
    as_json = json.loads(truelift("plan", program, *OPTIONS, "--json").stdout)
    assert as_json["until_decided"] == {"max_seeds": 6, "looks": [3, 4, 5, 6], "alpha": 0.05}
    assert truelift("plan", program, "--effect", "1").returncode == 2
    assert "--effect is missing" in truelift("plan").stderr
