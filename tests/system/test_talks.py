"""What a study says, and the commands around it."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.conftest import Truelift
from tests.system.test_study import PROGRAM, SMALL

from truelift.records import log_tail


def program(folder: Path, variants: str = '[variants.plain]\n[variants.lifted]\nargs = "--lift 1.5"\n') -> Path:
    (folder / "train.py").write_text(PROGRAM.replace('"my_accuracy": value', '"my_accuracy": value, "zest": 3.5'))
    study = folder / "study.toml"
    study.write_text(
        f'question = "Does it lift?"\ncommand = "{sys.executable} train.py --seed {{seed}} --out {{out}} {{args}}"\n'
        f'metric = "my_accuracy"\nscale = "points"\nseeds = 3\n{variants}'
    )
    return study


def test_a_programs_study_from_the_first_line_to_the_list(truelift: Truelift, tmp_path: Path) -> None:
    study = program(tmp_path)
    dry = truelift("study", study, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "6 runs, " in dry.stdout
    assert "plain: 3 runs to come, not known before one has ended" in dry.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"train.py", "study.toml"}
    done = truelift("study", study, "--jobs", "1")
    lines = done.stdout.splitlines()
    assert lines[0] == "study: Does it lift?"
    assert lines[1] == "6 runs, one at a time"
    assert lines[2] == "begins: plain seed 0"
    assert re.fullmatch(r"\[1/6\] plain seed 0: my_accuracy 8\d\.\d+", lines[3])
    assert "all 6 runs are done" in truelift("study", study).stdout
    [entry] = json.loads(truelift("list", "--json").stdout)["entries"]
    assert (entry["folder"], entry["done"], entry["all"]) == ("runs/study", 6, 6)
    assert entry["verdicts"] == {"lifted": "helps"}
    assert "runs/study" in truelift("list").stdout
    found = json.loads((truelift("report", "runs/study", "--json")).stdout)["other_metrics"]["zest"]
    assert [(row["verdict"], row["mean"]) for row in found] == [("baseline", 3.5), ("not judged", 3.5)]
    for form in ("report.md", "report.csv", "report.html"):
        assert "zest" in (tmp_path / "runs/study" / form).read_text()
    dry = truelift("study", study, "--seeds", "5", "--dry-run", "--jobs", "1")
    assert "6 of 10 runs are done" in dry.stdout
    assert "time: about " in dry.stdout


def test_a_failed_run_shows_the_end_of_its_log(truelift: Truelift, tmp_path: Path) -> None:
    study = program(tmp_path, '[variants.plain]\n[variants.unlucky]\nargs = "--lift -2"\n')
    done = truelift("study", study)
    assert done.returncode == 1
    at = done.stdout.index("unlucky seed 1: failed: the command ended with status 1")
    told = done.stdout[at:].splitlines()
    assert re.fullmatch(r"  the end of runs/study/runs/unlucky/seed-1-[0-9a-f]{8}/log\.txt:", told[1])
    assert told[2] == "  | out of luck"
    quiet = truelift("study", study, "--quiet")
    assert "unlucky seed 1" not in quiet.stdout.split("Does it lift?")[0]
    assert "begins:" not in quiet.stdout
    (folder,) = (tmp_path / "runs/study/runs/unlucky").glob("seed-1-*")  # both tries stand in it, the last is shown
    assert (folder / "log.txt").read_text().count("out of luck") == 2
    assert log_tail(folder).count("out of luck") == 1


def test_shell_syntax_is_told_before_anything_runs(truelift: Truelift, tmp_path: Path) -> None:
    study = program(tmp_path)
    study.write_text(study.read_text().replace("{args}", "{args} | tee log"))
    done = truelift("study", study)
    assert done.returncode == 2
    assert "| (a pipe)" in done.stderr
    assert "bash -c" in done.stderr
    assert not (tmp_path / "runs").exists()
    # The line that it proposes works.
    line = done.stderr.partition("with a shell: ")[2].splitlines()[0]
    study.write_text(re.sub(r"(?m)^command = .*$", lambda _: line, study.read_text()))
    assert truelift("study", study).returncode == 0


def test_clean_asks_first(truelift: Truelift, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(SMALL + "[variants.a]\n[variants.b]\noptimizer.lr = 0.2\n")
    options = ["--epochs", "1", "--seeds", "1"]
    dry = truelift("study", study, *options, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert re.search(r"time: about \d+", dry.stdout)
    assert re.search(r"memory: about \d+", dry.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]
    assert truelift("study", study, *options).returncode == 0
    report = truelift("report", "runs/study", "--json").stdout
    kept = {path for path in tmp_path.glob("runs/**/*") if path.name != "checkpoint.pt"}
    refused = truelift("clean")
    assert refused.returncode == 2
    assert "give --yes" in refused.stderr
    assert refused.stdout.count("checkpoint of a finished run: ") == 2
    assert len(list(tmp_path.glob("runs/**/checkpoint.pt"))) == 2
    assert truelift("clean", "--yes").returncode == 0
    assert set(tmp_path.glob("runs/**/*")) == kept
    assert truelift("report", "runs/study", "--json").stdout == report
    assert "all 2 runs are done" in truelift("study", study, *options).stdout


def test_on_a_terminal_a_table_is_drawn(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(SMALL + "[variants.a]\n[variants.b]\noptimizer.lr = 0.2\n")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "truelift", "study", str(study), "--seeds", "1", "--epochs", "20"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=theirs, env={**os.environ, "COLUMNS": "80"})
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal's end
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace"))
    assert "images/s" in text
    assert re.search(r"a seed 0 +\d+/220 +\d+%", text)
    assert "0 of 2 runs done" in text


@pytest.mark.parametrize("arguments", [("study", "--help"), ("study", "--help-all"), ("options",), ("train", "--help")])
def test_help_in_sections(truelift: Truelift, arguments: tuple[str, ...]) -> None:
    told = truelift(*arguments).stdout
    lines = told.splitlines()
    if arguments == ("study", "--help"):
        assert len(lines) < 90
        assert [title for title in ("What runs", "How it runs", "What it says") if f"─ {title} ─" in told] != []
        assert "--optimizer.lr" not in told
    else:
        assert "--optimizer.lr" in told
        assert "─ Learning rate ─" in told
    assert "--batch-size" not in told.replace("`--batch-size`", "")  # one spelling


def test_the_schema_is_printed(truelift: Truelift) -> None:
    schema = json.loads(truelift("schema").stdout)
    assert schema["properties"]["experiment"]["properties"]["epochs"]["description"].startswith("Passes over")
