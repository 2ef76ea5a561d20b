"""A user's program: what it leaves is taken up as far as it is of use, and never from an earlier try."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from truelift.errors import InputError
from truelift.records import Run, read_failure
from truelift.studies.executors.base import has_ended
from truelift.studies.folders import is_finished
from truelift.studies.plan import PlannedRun
from truelift.studies.program_metrics import MOST_METRICS_BYTES, read_metrics
from truelift.studies.sources import check_inputs
from truelift.studies.worker import main, run_command


def left(tmp_path: Path, content: str | bytes, metric: str | None = "a") -> dict[str, float]:
    path = tmp_path / "metrics.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_metrics(path, metric)[0]


@pytest.mark.parametrize(
    "stray",
    ['"text"', "NaN", "-Infinity", "1e999", "null", "true", "[1]", '{"c": 1}', str(10**400), "1e200", "[[[[]]]]"],
)
def test_a_stray_value_is_left_out(tmp_path: Path, stray: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert left(tmp_path, f'{{"a": 1.5, "b": {stray}, "c": 3}}') == {"a": 1.5, "c": 3}
    assert "metrics.json: 'b' is left out" in capsys.readouterr().out
    assert left(tmp_path, f'{{"a": 1.5, "b": {stray}}}', metric=None) == {"a": 1.5}
    with pytest.raises(InputError, match=r"^metrics.json must have a finite number b, got b: "):
        left(tmp_path, f'{{"a": 1.5, "b": {stray}}}', metric="b")


def test_names_that_cannot_be_written_are_left_out(tmp_path: Path) -> None:
    assert left(tmp_path, '{"a": 1, "\\ud800": 2, "ß": 3}') == {"a": 1, "ß": 3}
    assert read_metrics(tmp_path / "metrics.json") == ({"a": 1, "ß": 3}, ["\\ud800"])
    assert left(tmp_path, b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "metrics.json is not JSON: "),
        ("{", "metrics.json is not JSON: "),
        (b'{"a": "\xff"}', "metrics.json is not UTF-8"),
        ("[" * 100_000, "metrics.json is nested too deeply"),
        ("[1]", "metrics.json must be one JSON object of finite numbers by name, got [1]"),
        ("3", "metrics.json must be one JSON object of finite numbers by name, got 3"),
        ('{"b": 1, "c": 2}', "metrics.json must have a finite number a, got only ['b', 'c']"),
        ('{"A": 1}', "metrics.json must have a finite number a, got only ['A']"),
    ],
)
def test_what_is_no_metrics(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError) as raised:
        left(tmp_path, content)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_what_has_no_number_at_all(tmp_path: Path) -> None:
    for content in ("{}", '{"a": "x"}'):
        with pytest.raises(InputError, match="must be one JSON object of finite numbers"):
            left(tmp_path, content, metric=None)


def test_only_regular_files_of_a_sane_size(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    with pytest.raises(InputError, match=r"^the command left no metrics.json in \{out\}$"):
        read_metrics(path)
    os.mkfifo(path)
    with pytest.raises(InputError, match="no regular file"):
        read_metrics(path)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(MOST_METRICS_BYTES + 1)
    with pytest.raises(InputError, match="more than the 1,048,576 that it may have"):
        read_metrics(path)


def config(tmp_path: Path, program: str) -> dict[str, Any]:
    (tmp_path / "program.py").write_text(f"import sys, json, pathlib\nout = pathlib.Path(sys.argv[1])\n{program}")
    return {"command": f"{sys.executable} {tmp_path / 'program.py'} {{out}}", "args": "", "seed": 0}


def test_what_a_failed_try_left_is_not_counted_for_the_next(tmp_path: Path) -> None:
    program = (
        '(out / "metrics.json").write_text(json.dumps({"a": 1})) if not (out / "x").exists() else None\n'
        '(out / "metrics.jsonl").open("a").write("{}")\n'
        'sys.exit(0 if (out / "x").exists() else (out / "x").touch() or 1)'
    )
    run = tmp_path / "run"
    run.mkdir()
    for name in ("predictions.npz", "features.npz"):
        np.savez(run / name, labels=np.arange(3))
    with pytest.raises(InputError, match="ended with status 1"):
        run_command(config(tmp_path, program), run)
    assert (run / "metrics.json").exists()
    with pytest.raises(InputError, match=r"left no metrics\.json"):
        run_command(config(tmp_path, program), run)
    assert {path.name for path in run.iterdir()} == {"x", "metrics.jsonl", "environment.json"}
    assert (run / "metrics.jsonl").read_text() == "{}{}"  # the program's own affair


def test_a_failed_programs_own_result_is_none(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(InputError, match="ended with status 3"):
        run_command(config(tmp_path, '(out / "result.json").write_text("{}"); sys.exit(3)'), run)
    assert Run("a", 0, run).status == "unfinished"
    run_command(config(tmp_path, '(out / "metrics.json").write_text(json.dumps({"a": 1, "b": "x"}))'), run, "a")
    assert Run("a", 0, run).result()["metrics"] == {"a": 1}


def test_a_programs_own_result_does_not_end_its_run(tmp_path: Path) -> None:
    """It writes one each epoch; the study, and with it the worker, was killed after the first."""
    run = tmp_path / "run"
    run.mkdir()
    program = (
        'half = {"metrics": {"a": 10.0}}\n'
        'assert not (out / "result.json").exists()\n'
        '(out / "result.json").write_text(json.dumps(half))\n'
        '(out / "metrics.json").write_text(json.dumps({"a": 90.0}))'
    )
    content = config(tmp_path, program)
    (run / "config.toml").write_text(tomli_w.dumps(content))
    (run / "result.json").write_text('{"metrics": {"a": 10.0}}')
    assert not is_finished(run, PlannedRun("a", 0, None, content), metric="a")
    assert main(run, 30.0, "a") == 0
    assert is_finished(run, PlannedRun("a", 0, None, content), metric="a")
    assert Run("a", 0, run).result()["metrics"] == {"a": 90.0}


OWN_CONFIG = '(out / "config.toml").write_text("epochs = 1\\n")\n'


@pytest.mark.parametrize("fails", [False, True])
def test_a_programs_own_config_takes_no_place(tmp_path: Path, fails: bool) -> None:
    run = tmp_path / "run"
    run.mkdir()
    ends = "sys.exit(3)" if fails else '(out / "metrics.json").write_text(json.dumps({"a": 90.0}))'
    content = config(tmp_path, OWN_CONFIG + ends)
    (run / "config.toml").write_text(tomli_w.dumps(content))
    assert main(run, 30.0, "a") == int(fails)
    assert (run / "config.toml").read_text() == tomli_w.dumps(content)
    assert not list(run.glob(".*"))
    assert is_finished(run, PlannedRun("a", 0, None, content), metric="a") is not fails
    (run / "config.toml").write_text("epochs = 1\n")  # as runs of earlier versions have it
    assert is_finished(run, PlannedRun("a", 0, None, content), metric="a") is not fails


def test_a_killed_programs_own_config_is_not_what_is_run_next(tmp_path: Path) -> None:
    """Its worker was killed too: else a program's file would be trained by."""
    run = tmp_path / "run"
    run.mkdir()
    kills = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)\n"
    half = '(out / "result.json").write_text(json.dumps({"metrics": {"a": 1}}))\n'
    content = config(tmp_path, OWN_CONFIG + half + kills)
    (run / "config.toml").write_text(tomli_w.dumps(content))
    arguments = [sys.executable, "-m", "truelift.studies.worker", str(run), "30", "a"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as worker:  # the pipe's end would end it
        assert worker.wait() == -9
    assert (run / "config.toml").read_text() == "epochs = 1\n"
    assert not has_ended(run)
    assert Run("a", 0, run).status == "unfinished"
    program = (tmp_path / "program.py").read_text().replace(kills, '(out / "metrics.json").write_text(\'{"a": 90.0}\')')
    (tmp_path / "program.py").write_text(program)
    assert main(run, 30.0, "a") == 0
    assert Run("a", 0, run).result()["metrics"] == {"a": 90.0}
    assert (run / "config.toml").read_text() == tomli_w.dumps(content)


def test_a_run_folder_that_is_removed_is_not_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    content = config(tmp_path, 'import shutil; (out / "metrics.json").write_text("{}"); shutil.rmtree(out)')
    (run / "config.toml").write_text(f'command = "{content["command"]}"\nargs = ""\nseed = 0\n')
    assert main(run, 30.0) == 1
    assert not run.exists()
    assert "left no metrics.json" in capsys.readouterr().err


def test_a_failure_is_one_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_bytes(b"\xff")
    assert main(run, 30.0) == 1
    assert "config.toml cannot be read as TOML" in read_failure(run)["reason"]


def test_what_a_program_took_and_where_it_ran(tmp_path: Path) -> None:
    run = tmp_path / "run"
    program = 'import time; x = b"x" * 2**27; time.sleep(1.5)\n(out / "metrics.json").write_text(json.dumps({"a": 1}))'
    began = time.monotonic()
    run_command(config(tmp_path, program), run, "a")
    took = time.monotonic() - began
    result = Run("a", 0, run).result()
    assert 1.5 <= result["wall_seconds"] <= took
    assert 2**27 < result["peak_bytes"] < 2**31
    environment = Run("a", 0, run).environment()
    assert environment["command"][1:] == [str(tmp_path / "program.py"), str(run)]
    assert len(environment["commit"]) == 40  # of the folder in which the tests run


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    run = tmp_path / "run"
    slow = config(tmp_path, "import time; time.sleep(1000)") | {"timeout": 0.5}  # the test's own limit is 300 s
    with pytest.raises(InputError, match=r"^the command took longer than timeout, 0.5 s; log.txt has what it printed$"):
        run_command(slow, run)


def test_a_failed_try_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = (
        'tries = len((out / "tries").read_text()) if (out / "tries").exists() else 0\n'
        '(out / "tries").write_text("x" * (tries + 1))\n'
        "if tries < 2: sys.exit(4)\n"
        '(out / "metrics.json").write_text(json.dumps({"a": tries}))'
    )
    run = tmp_path / "run"
    with pytest.raises(InputError, match="ended with status 4"):
        run_command(config(tmp_path, program) | {"retries": 1}, run, "a")
    assert (run / "tries").read_text() == "xx"
    assert "try 1 failed: the command ended with status 4" in capsys.readouterr().out
    (run / "tries").unlink()
    run_command(config(tmp_path, program) | {"retries": 2}, run, "a")
    assert Run("a", 0, run).result()["metrics"] == {"a": 2}


def test_inputs_are_part_of_a_result(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "a.bin").write_bytes(b"\0\1")
    (tmp_path / "b.csv").write_text("1")
    program = config(tmp_path, '(out / "metrics.json").write_text(json.dumps({"a": 1}))')
    program["inputs"] = [str(data), str(tmp_path / "b.csv")]
    digests = []
    file = data / "deep" / "a.bin"
    for change in (lambda: None, file.touch, lambda: file.write_bytes(b"\0\2")):
        change()
        (tmp_path / "run" / "result.json").unlink(missing_ok=True)  # else the run is done
        run_command(program, tmp_path / "run", "a")
        digests.append(Run("a", 0, tmp_path / "run").result()["sources"])
    assert digests[0] == digests[1]
    assert {name for name in digests[0] if digests[0][name] != digests[2][name]} == {str(data)}
    assert str(tmp_path / "b.csv") in digests[0]
    with pytest.raises(InputError, match="inputs must be existing files and folders, got /no/such"):
        check_inputs(["/no/such"])


def test_a_metric_that_the_predictions_give(tmp_path: Path) -> None:
    def predicted(**more: Any) -> None:
        arrays = {"labels": [0, 0, 1, 1], "predicted": [0, 0, 1, 0], "probability": np.empty(0, np.float32), **more}
        np.savez(tmp_path / "predictions.npz", **arrays)

    with pytest.raises(
        InputError, match=r"a finite number test_macro_f1, got only .*; nor does predictions.npz give it"
    ):
        left(tmp_path, '{"a": 1}', "test_macro_f1")
    predicted()
    for name in ("test_macro_f1", "test_balanced_accuracy", "test_1_recall"):
        assert left(tmp_path, '{"a": 1}', name) == {"a": 1}
    assert left(tmp_path, '{"a": 1, "test_macro_f1": NaN}', "test_macro_f1") == {"a": 1}
    for name, why in (
        ("test_log_loss", "the predictions have no probabilities$"),
        ("test_top5_accuracy", "top-5 needs more than 5 classes, got 2$"),
        ("test_7_recall", "no test image is of class 7$"),
        ("macro_f1", r"got only \['a'\]$"),
    ):
        with pytest.raises(InputError, match=rf"^metrics.json must have a finite number {name}, .*{why}"):
            left(tmp_path, '{"a": 1}', name)
    predicted(predicted=[0, 1])
    with pytest.raises(InputError, match=r"predictions.npz give it: .*predicted must have the shape of labels"):
        left(tmp_path, '{"a": 1}', "test_macro_f1")
