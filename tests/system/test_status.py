"""The commands that look at a study, on a login node say: quick, and without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.conftest import Truelift

from truelift.records import Study

PROGRAM = """
import json, pathlib, sys
out, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2])
if seed == 1 and "b" in sys.argv: raise SystemExit("out of luck")
(out / "metrics.json").write_text(json.dumps({"accuracy": 80 + seed}))
"""


def study(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "study.toml").write_text(
        f'command = "{sys.executable} program.py {{out}} {{seed}} {{args}}"\nmetric = "accuracy"\nseeds = 3\n'
        '[variants.a]\n[variants.b]\nargs = "b"\n'
    )
    return tmp_path / "study.toml"


def test_status_watch_cancel_and_work(truelift: Truelift, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "study"
    assert truelift("study", study(tmp_path)).returncode == 1
    done = truelift("status", folder)
    assert done.stdout.splitlines() == [
        "study: 5 of 6 runs done, 1 failed",
        "  b seed 1: failed: the command ended with status 1; log.txt has what it printed",
    ]
    assert truelift("status").stdout == done.stdout  # the last one in runs/
    form = json.loads(truelift("status", folder, "--json").stdout)
    assert (form["kind"], form["done"], form["failed"], len(form["runs"])) == ("status", 5, 1, 6)
    assert truelift("cancel", folder).stdout == "nothing of this study is in a queue or runs\n"
    watched = truelift("watch", folder)
    assert watched.returncode == 0
    assert "5 of 6 runs done, 1 failed" in watched.stdout
    assert "accuracy (points)" in watched.stdout
    assert "look before the end" not in watched.stdout
    runs = [run.folder for run in Study.read(folder).runs]
    for run in (runs[0], runs[5]):
        (run / "result.json").unlink()
    early = truelift("report", folder, "--json", "--require", "not-hurts")
    form = json.loads(early.stdout)
    assert (early.returncode, form["complete"]) == (4, False)
    assert any(note.startswith("A look before the end") for note in form["notes"])
    worked = truelift("work", folder, "--runs", runs[5].relative_to(folder).as_posix())
    assert (worked.returncode, worked.stdout) == (0, "[1/1] b seed 2: done\n")
    assert truelift("work", folder).stdout == "[1/1] a seed 0: done\n"
    told = truelift("work", folder).stdout
    assert told.startswith("no run of this study is waiting; 1 failed, which truelift study tries again, and --runs")
    failed = ("work", folder, "--runs", runs[3].relative_to(folder).as_posix())
    again = truelift(*failed)
    lines = again.stdout.splitlines()
    assert lines[0].startswith("1 failed run is tried again: b, seed 1: the command ended")
    assert lines[1].startswith("[1/1] b seed 1: failed: the command ended with status 1")
    assert (again.returncode, len(lines)) == (1, 2)
    (tmp_path / "program.py").write_text(PROGRAM.replace('"b" in sys.argv', "False"))
    assert truelift(*failed).stdout.splitlines()[1:] == ["[1/1] b seed 1: done"]
    assert truelift(*failed).stdout.splitlines() == ["[1/1] b seed 1: done"]
    assert truelift("work", folder).stdout.startswith("no run of this study is waiting: truelift status")
    assert not list(folder.rglob(".lease-*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["status", "nowhere"], "nowhere must be the folder of a study"),
        (["status"], "folder must be given"),
        (["watch", "."], "study.json"),
        (["cancel", "."], "study.json"),
        (["work", "."], "study.json"),
        (["watch", ".", "--seconds", "0"], "seconds must be from 0.1 to 86,400"),
        (["work", ".", "--jobs", "0"], "jobs must be"),
        (["study", "study.toml", "--wait"], "wait needs --executor slurm"),
        (["study", "study.toml", "--executor", "slrum"], "slurm"),
        (["study", "study.toml", "--executor.partition", "gpu"], "left out without --executor slurm"),
        (["study", "study.toml", "--executor", "slurm", "--jobs", "2"], "jobs must be left out"),
    ],
)
def test_bad_input(truelift: Truelift, tmp_path: Path, arguments: list[str], message: str) -> None:
    study(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = truelift(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("truelift: error: ")
    assert message in line
    assert sorted(tmp_path.rglob("*")) == before


def test_none_of_them_needs_torch() -> None:
    names = ("status", "watch", "cancel", "work")
    script = f"import sys, {', '.join(f'truelift.cli.{name}' for name in names)}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100)


def test_a_check_whose_output_nobody_reads_has_not_passed(tmp_path: Path) -> None:
    rows = ["variant,seed,accuracy", *(f"{v},{s},{80 + s + (5 + s % 2) * (v == 'b')}" for v in "ab" for s in range(5))]
    (tmp_path / "runs.csv").write_text("\n".join(rows))
    command = [sys.executable, "-m", "truelift", "judge", "runs.csv", "--baseline", "a", "--require", "not-hurts"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""
