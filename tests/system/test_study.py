"""Whole studies, as a user starts them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score
from tests.commands.started import begin
from tests.system.conftest import Truelift
from tests.system.processes import TRUELIFT

from truelift.records import Study

SMALL = """
[experiment]
model.name = "resnet8"
model.width = 8
epochs = 6
data.train_images = 400
batch_size = 32
precision = "fp32"
"""


def numbers(folder: Path) -> dict[tuple[str, int], object]:
    """Everything a table is made of, but times."""
    found: dict[tuple[str, int], object] = {}
    for run in Study.read(folder).runs:
        predictions = run.predictions()
        assert predictions is not None
        metrics = {k: v for k, v in run.result()["metrics"].items() if "second" not in k}
        curve = [{k: v for k, v in line.items() if "second" not in k} for line in run.metrics()]
        found[run.variant, run.seed] = (metrics, curve, np.asarray(predictions.probability).tolist())
    return found


def test_killed_at_random_moments_a_study_ends_the_same(truelift: Truelift, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(SMALL + "[variants.a]\n[variants.b]\nmodel.last_relu = false\n")
    options = ["--seeds", "2", "--checkpoint_seconds", "0", "--epochs", "3", "--model.width", "4"]
    # Not forked, as the killed ones are: what a set's order decides would be the same in all that share a hash seed.
    command = [*TRUELIFT, "study", str(study), "--out", "whole", *options]
    environment = {**os.environ, "PYTHONHASHSEED": "random"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=250)

    def lines() -> int:
        return sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("killed/runs/*/*/metrics.jsonl"))

    every = sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("whole/runs/*/*/metrics.jsonl"))
    rng = random.Random(1)
    for share in (0.0, 0.3, 0.6):
        process = begin(["study", study, "--out", "killed", *options], cwd=tmp_path)
        last, deadline = every * (share + rng.uniform(0.0, 0.3)), time.monotonic() + 120
        while lines() <= last:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert truelift("study", study, "--out", "killed", *options).returncode == 0
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")


def test_a_known_effect_is_found_and_nothing_is_repeated(truelift: Truelift, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(SMALL + "[variants.a]\n[variants.slow]\noptimizer.lr = 0.0001\n[variants.twin]\n")
    first = truelift("study", study, "--seeds", "3")
    assert first.returncode == 0, first.stderr
    verdicts = {line.split()[0]: line.split()[-1] for line in first.stdout.splitlines() if line.strip()}
    assert (verdicts["slow"], verdicts["twin"]) == ("hurts", "undecided")
    results = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/study/runs/*/*/result.json")}
    assert len(results) == 9
    again = truelift("study", study, "--seeds", "3")
    assert "[" not in again.stdout.splitlines()[0]  # no run was reported
    assert {path: path.stat().st_mtime_ns for path in results} == results
    page = (tmp_path / "runs/study/report.html").read_bytes()
    (tmp_path / "runs/study/report.html").unlink()
    assert truelift("report", "runs/study").returncode == 0
    assert len((tmp_path / "runs/study/report.html").read_bytes()) == len(page)


PROGRAM = """
import argparse, json, pathlib, random
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int); parser.add_argument("--out")
parser.add_argument("--lift", type=float, default=0)
a = parser.parse_args()
if a.lift < 0 and a.seed == 1: raise SystemExit("out of luck")
value = 80 + random.Random(a.seed).random() + a.lift + random.Random(a.seed + 100).random() / 10 * (a.lift != 0)
pathlib.Path(a.out, "metrics.json").write_text(json.dumps({"my_accuracy": value}))
"""


def test_a_users_own_program(truelift: Truelift, tmp_path: Path) -> None:
    (tmp_path / "my train.py").write_text(PROGRAM)
    study = tmp_path / "study.toml"
    study.write_text(
        f"command = \"{sys.executable} 'my train.py' --seed {{seed}} --out {{out}} {{args}}\"\n"
        'metric = "my_accuracy"\nseeds = 4\nsmallest_effect = 0.1\n'
        '[variants.plain]\n[variants.lifted]\nargs = "--lift 1.5"\n[variants.unlucky]\nargs = "--lift -2"\n'
    )
    done = truelift("study", study, "--out", "with space")
    assert done.returncode == 1  # one run failed, the others went on
    assert "unlucky seed 1: failed: the command ended with status 1" in done.stdout
    records = Study.read(tmp_path / "with space")
    assert [run.status for run in records.runs].count("done") == 11
    assert (
        "out of luck"
        in next(run for run in records.runs if run.status == "failed").folder.joinpath("log.txt").read_text()
    )
    lifted = next(line for line in done.stdout.splitlines() if line.strip().startswith("lifted"))
    assert lifted.split()[-1] == "helps"
    (tmp_path / "my train.py").write_text(PROGRAM.replace("if a.lift < 0", "if False"))
    again = truelift("study", study, "--out", "with space")
    assert again.returncode == 0  # only the failed run is tried again
    why = "the command ended with status 1; log.txt has what it printed"
    assert f"1 failed run is tried again: unlucky, seed 1: {why}" in again.stdout


def test_a_scale_has_its_own_folder_and_the_report_names_it(truelift: Truelift, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    study = tmp_path / "study.toml"
    study.write_text(
        f'command = "{sys.executable} train.py --seed {{seed}} --out {{out}} {{args}}"\nmetric = "my_accuracy"\n'
        '[variants.plain]\n[variants.lifted]\nargs = "--lift 1.5"\n[scales.small]\nseeds = 2\n'
    )
    assert truelift("study", study, "--scale", "small").returncode == 0
    assert truelift("study", study, "--scale", "paper", "--seeds", "1").returncode == 0
    scaled, whole = tmp_path / "runs/study-small", tmp_path / "runs/study"
    assert (len(Study.read(scaled).runs), len(Study.read(whole).runs)) == (4, 2)
    for form in ("report.md", "report.html"):
        assert "at the scale" in (scaled / form).read_text()
        assert "at the scale" not in (whole / form).read_text()
    assert "truelift study · study-small<" in (scaled / "report.html").read_text()
    unknown = truelift("study", study, "--scale", "smal")
    assert unknown.returncode == 2
    assert 'unknown scale "smal". Did you mean "small"?' in unknown.stderr


PREDICTING = """
import json, sys, numpy
out, seed, right = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
labels = numpy.arange(400) % 4
is_right = numpy.random.default_rng(seed).uniform(size=400) < right
predicted = numpy.where(is_right, labels, (labels + 1) % 4)
if right < 0.8 or seed != 2:
    numpy.savez(out + "/predictions.npz", labels=labels, predicted=predicted, probability=numpy.empty(0))
json.dump({"seen": 400}, open(out + "/metrics.json", "w"))
"""


def test_an_own_program_is_judged_by_a_metric_of_its_predictions(truelift: Truelift, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PREDICTING)
    text = (
        f'command = "{sys.executable} train.py {{out}} {{seed}} {{args}}"\nmetric = "test_macro_f1"\n'
        'smallest_effect = 2.0\nseeds = 3\n[variants.plain]\nargs = "0.6"\n[variants.better]\nargs = "RIGHT"\n'
    )
    study = tmp_path / "study.toml"
    study.write_text(text.replace("RIGHT", "0.75"))
    done = truelift("study", study, "--out", "s")
    assert done.returncode == 0
    assert "helps · better: test macro f1 +" in done.stdout
    assert "missing" not in done.stdout
    runs = Study.read(tmp_path / "s").runs
    of_plain = [run.predictions() for run in runs if run.variant == "plain"]
    mean = np.mean([f1_score(p.labels, p.predicted, average="macro") for p in of_plain if p is not None])
    assert f"plain    {100 * mean:.1f} ±" in done.stdout
    assert "all 6 runs are done" in truelift("study", study, "--out", "s").stdout
    study.write_text(text.replace("RIGHT", "0.9"))
    failed = truelift("study", study, "--out", "t")
    assert failed.returncode == 1
    assert "must have a finite number test_macro_f1, got only ['seen']; nor does predictions.npz give it" in (
        failed.stdout
    )


def test_two_commands_at_once_share_the_runs_out(truelift: Truelift, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import json, pathlib, sys, time\nout = pathlib.Path(sys.argv[1])\n"
        '(out / "begun").open("a").write("once\\n")\ntime.sleep(2)\n'
        '(out / "metrics.json").write_text(json.dumps({"x_loss": int(sys.argv[2])}))\n'
    )
    study = tmp_path / "study.toml"
    study.write_text(
        f'command = "{sys.executable} train.py {{out}} {{seed}} {{args}}"\nmetric = "x_loss"\n'
        '[variants.a]\n[variants.b]\nargs = "b"\n'
    )
    options = ["--out", "one", "--seeds", "2", "--jobs", "1"]
    first = begin(["study", study, *options], cwd=tmp_path)
    while not any((tmp_path / "one").glob("runs/*/*/begun")):
        time.sleep(0.05)
        assert first.poll() is None
    second = truelift("study", study, *options)
    assert second.returncode == 0, second.stderr
    assert first.wait(60) == 0
    begun = [path.read_text() for path in (tmp_path / "one").glob("runs/*/*/begun")]
    assert begun == ["once\n"] * 4
    assert not list((tmp_path / "one").rglob(".lease-*"))


def test_a_killed_study_leaves_no_orphans(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    marker = tmp_path / "pid"
    program = tmp_path / "sleep.py"
    program.write_text(f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    study.write_text(f'command = "{sys.executable} {program} {{seed}} {{out}}"\n[variants.a]\n[variants.b]\n')
    process = begin(["study", study, "--jobs", "1"], cwd=tmp_path)
    while not (marker.exists() and marker.read_text()):
        time.sleep(0.05)
        assert process.poll() is None
    process.kill()
    process.wait()
    pid = int(marker.read_text())
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if "Z" in Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0]:
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} outlived its study")


def test_train_config_goes_round(truelift: Truelift, tmp_path: Path) -> None:
    options = ["--model", "resnet8", "--model.last_relu", "false", "--schedule", "step"]
    printed = truelift("train", *options, "--schedule.milestones_epochs", "1", "2", "--print-config")
    assert printed.returncode == 0, printed.stderr
    (tmp_path / "mine.toml").write_text(printed.stdout)
    again = truelift("train", "--config", "mine.toml", "--print-config")
    assert again.stdout == printed.stdout
    changed = truelift("train", "--config", "mine.toml", "--epochs", "7", "--print-config")
    assert changed.stdout == printed.stdout.replace("epochs = 30", "epochs = 7", 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.toml"]


def test_train_prints_plain_lines_without_a_terminal(truelift: Truelift, tmp_path: Path) -> None:
    done = truelift("train", "--model", "resnet8", "--epochs", "2", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert "epoch 2: validation accuracy" in done.stdout
    assert "images/s" in done.stdout
    assert json.loads((tmp_path / "run" / "result.json").read_text())["epochs"] == 2


def test_help_and_recipes(truelift: Truelift) -> None:
    options = truelift("train", "--help").stdout
    for option in ("--data.train_images", "--model.last_relu", "--optimizer.lr", "--epochs"):
        assert option in options
    recipes = truelift("recipes").stdout
    assert "building-blocks-20" in recipes
    assert "With --scale quick: about 10 minutes on two cores" in recipes
    assert "5 seeds" in truelift("plan", "--effect", "0.5", "--sd", "0.25").stdout
