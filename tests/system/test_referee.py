"""A search under a referee, as a user runs it."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from tests.commands.started import begin
from tests.system.conftest import Truelift

from truelift.records import Study
from truelift.referee import Ledger

PROGRAM = """
import argparse, json, pathlib, random, time
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int); parser.add_argument("--out")
parser.add_argument("--lift", type=float, default=0); parser.add_argument("--wait", type=float, default=0)
a = parser.parse_args()
time.sleep(a.wait)
value = 80 + random.Random(a.seed).random() + a.lift + random.Random(f"{a.seed} {a.lift}").random() / 10
metrics = {"val_accuracy": value, "test_accuracy": value - 1}
pathlib.Path(a.out, "metrics.json").write_text(json.dumps(metrics))
"""


def write_study(folder: Path, variants: str, metric: str = "val_accuracy", name: str = "study.toml") -> Path:
    (folder / "train.py").write_text(PROGRAM)
    study = folder / name
    study.write_text(
        f'command = "{sys.executable} train.py --seed {{seed}} --out {{out}} {{args}}"\n'
        f'metric = "{metric}"\nseeds = 3\n[variants.plain]\n{variants}'
    )
    return study


LIFTED = '[variants.lifted]\nargs = "--lift 2"\n'


def test_a_study_in_a_ledger(truelift: Truelift, tmp_path: Path) -> None:
    assert truelift("ledger", "l.jsonl", "--candidates", "100").returncode == 0
    study = write_study(tmp_path, LIFTED)
    done = truelift("study", study, "--ledger", "l.jsonl", "--require", "helps")
    assert done.returncode == 0, done.stderr
    state = Ledger(tmp_path / "l.jsonl").state()
    (lifted,) = state.candidates.values()
    records = Study.read(tmp_path / "runs/study")
    assert tuple(records.plan["seeds"]) == lifted.seeds
    assert lifted.decision is not None
    assert lifted.decision.passed
    assert "lifted: passed; candidate 1 of the ledger" in " ".join(done.stdout.split())
    for form in ("report.md", "report.html"):
        assert "lifted: passed; candidate 1 of the ledger" in (tmp_path / "runs/study" / form).read_text()
    assert lifted.registered.images == "validation images"
    # Once more: the same runs, the same verdict, no level; from the records alone likewise.
    content = (tmp_path / "l.jsonl").read_bytes()
    again = truelift("study", study, "--ledger", "l.jsonl", "--json")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "l.jsonl").read_bytes() == content
    forms = [json.loads(out.stdout) for out in (again, truelift("report", "runs/study", "--json"))]
    assert forms[0]["variants"] == forms[1]["variants"]
    assert forms[0]["variants"][1]["interval_confidence"] == 1 - 2 * 0.05 / 100
    # Another look is on other seeds, at another level.
    assert truelift("study", study, "--ledger", "l.jsonl", "--again").returncode == 0
    state = Ledger(tmp_path / "l.jsonl").state()
    assert [one.look for one in state.candidates.values()] == [1, 2]
    assert not set(state.candidates[2].seeds) & set(lifted.seeds)
    shown = truelift("ledger", "l.jsonl")
    assert "2 candidates, 2 passed; 0.02 of the budget" in shown.stdout
    as_json = json.loads(truelift("ledger", "l.jsonl", "--json").stdout)
    assert (as_json["spent"], as_json["passed"], len(as_json["candidates"])) == (0.02, 2, 2)


def test_a_winner_is_promoted_and_confirmed(truelift: Truelift, tmp_path: Path) -> None:
    study = write_study(tmp_path, LIFTED)
    assert truelift("study", study, "--ledger", "l.jsonl").returncode == 0
    refused = truelift("study", study, "--ledger", "l.jsonl", "--confirm")
    assert refused.returncode == 2
    assert "has judged by the validation images since line 2" in refused.stderr
    assert truelift("ledger", "l.jsonl", "--promote", "1").returncode == 0
    new = write_study(tmp_path, '[variants.more]\nargs = "--lift 4"\n', name="new.toml")
    wrong = truelift("study", new, "--ledger", "l.jsonl")
    assert wrong.returncode == 2
    assert 'compares with the baseline "lifted", got "plain"' in wrong.stderr
    assert not (tmp_path / "runs/new").exists()
    last = write_study(tmp_path, LIFTED, metric="test_accuracy", name="last.toml")
    confirmed = truelift("study", last, "--ledger", "l.jsonl", "--confirm")
    assert confirmed.returncode == 0, confirmed.stderr
    assert "lifted: passed; confirmation 1" in " ".join(confirmed.stdout.split())
    one = Ledger(tmp_path / "l.jsonl").state().candidates[2]
    assert (one.level, one.registered.images) == (0.025, "test images")


def test_killed_between_registration_and_verdict(truelift: Truelift, tmp_path: Path) -> None:
    study = write_study(tmp_path, '[variants.slow]\nargs = "--lift 2 --wait 1"\n')
    process = begin(["study", study, "--ledger", "l.jsonl", "--jobs", "1"], cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/study/runs/slow/*/result.json")):
        time.sleep(0.05)
        assert process.poll() is None
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = Ledger(tmp_path / "l.jsonl").state().candidates
    assert [one.decision for one in before.values()] == [None]
    assert "registered" in truelift("ledger", "l.jsonl").stdout
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/study/runs/*/*/result.json")}
    assert truelift("study", study, "--ledger", "l.jsonl").returncode == 0
    (one,) = Ledger(tmp_path / "l.jsonl").state().candidates.values()
    assert (one.seeds, one.level) == (before[1].seeds, before[1].level)
    assert one.decision is not None
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_how_a_study_cannot_run_costs_no_level(truelift: Truelift, tmp_path: Path) -> None:
    study = write_study(tmp_path, LIFTED)
    (tmp_path / "file").touch()
    other = write_study(tmp_path, LIFTED, name="other.toml")
    assert truelift("study", other, "--out", "of-other").returncode == 0
    misspelt = tmp_path / "misspelt.toml"
    misspelt.write_text(other.read_text().replace(sys.executable, "pyhton"))
    for arguments, told in (
        ((study, "--jobs", "0"), "jobs must be at least 1, got 0"),
        ((study, "--checkpoint-seconds", "-1"), "checkpoint_seconds must be"),
        ((study, "--out", "file/x"), "file/x must be a folder: a file is in its way"),
        ((study, "--out", "of-other"), "of-other holds the study of"),
        ((misspelt,), "command must begin with a program that is there"),
    ):
        refused = truelift("study", *arguments, "--ledger", "l.jsonl")
        assert refused.returncode == 2, told
        assert told in refused.stderr
        assert not (tmp_path / "l.jsonl").exists(), told
        assert not (tmp_path / "runs").exists(), told


def test_what_cannot_run_costs_no_level(truelift: Truelift, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(
        'metric = "no_accuracy"\nhigher_is_better = true\nseeds = 3\n[variants.a]\n[variants.b]\nepochs = 2\n'
    )
    assert truelift("study", "study.toml", "--ledger", "l.jsonl").returncode == 2
    assert not (tmp_path / "l.jsonl").exists()
    (tmp_path / "empty.jsonl").touch()
    for arguments, told in (
        (("study", "study.toml", "--again"), "again needs --ledger"),
        (("study", "digits", "--ledger", "l.jsonl", "--seeds", "2"), "needs 3 seeds or more"),
        (("ledger", "l.jsonl"), "l.jsonl does not exist"),
        (("ledger", "empty.jsonl"), "empty.jsonl has no rule yet: give --rule to begin a ledger"),
        (("ledger", "l.jsonl", "--rule", "lord", "--candidates", "3"), "left out with the rule lord"),
    ):
        refused = truelift(*arguments)
        assert refused.returncode == 2
        assert told in refused.stderr


def test_trainings_judged_by_validation_images_keep_the_test_images_unseen(truelift: Truelift, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(
        'metric = "validation_accuracy"\nseeds = 3\n[experiment]\nmodel.name = "small-cnn"\nepochs = 1\n'
        "data.train_images = 200\n[variants.a]\n[variants.b]\noptimizer.lr = 0.0001\n"
    )
    done = truelift("study", "study.toml", "--ledger", "l.jsonl")
    assert done.returncode == 0, done.stderr
    one = Ledger(tmp_path / "l.jsonl").state().candidates[1]
    assert one.registered.images == "validation images of digits"
    form = json.loads(truelift("report", "runs/study", "--json").stdout)
    assert "train_loss" in form["other_metrics"]
    assert not any("test" in name for name in form["other_metrics"])
    for report in ("report.md", "report.html"):
        page = (tmp_path / "runs/study" / report).read_text()
        assert "test error" not in page
        assert "Not shown, for a confirmation is to be judged by it: test_accuracy" in page


def test_judge_with_a_ledger(truelift: Truelift, tmp_path: Path) -> None:
    rows = [f"{name},{k},{80 + k + lift + k % 3 / 10}" for name, lift in (("plain", 0), ("good", 3)) for k in range(5)]
    rows[7] += "1"
    (tmp_path / "r.csv").write_text("variant,seed,val_accuracy\n" + "\n".join(rows) + "\n")
    judged = truelift("judge", "r.csv", "--ledger", "l.jsonl")
    assert judged.returncode == 0, judged.stderr
    assert "The runs were there before the ledger knew of them" in judged.stderr
    assert "helps, passed (runs were there before)" in " ".join(truelift("ledger", "l.jsonl").stdout.split())
    lord = truelift("ledger", "m.jsonl", "--rule", "lord")
    assert lord.returncode == 0
    refused = truelift("judge", "r.csv", "--ledger", "m.jsonl")
    assert refused.returncode == 2
    assert "needs seeds that the ledger draws" in refused.stderr
