"""One study is never written over another, and a run's result is taken for no other's."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.unit.report.conftest import make_study

from truelift.cli import main
from truelift.errors import InputError
from truelift.records import Run, leased, make_room, write_json
from truelift.studies.folders import is_finished
from truelift.studies.held import refuse_other, source_from
from truelift.studies.study_file import read_plan
from truelift.training.identity import write_config


def program_study(file: Path, value: float, args: str = "9") -> Path:
    """A study of a program that gives a number at once."""
    file.parent.mkdir(exist_ok=True)
    file.with_suffix(".sh").write_text(f'echo "{{\\"val_accuracy\\": $1.{value}}}" > "$2/metrics.json"\n')
    script = os.path.relpath(file.with_suffix(".sh"))
    file.write_text(
        f'command = "sh {script} {{args}}{{seed}} {{out}}"\nmetric = "val_accuracy"\nseeds = 2\n'
        f'[variants.a]\nargs = "{args}"\n[variants.b]\nargs = "8"\n'
    )
    return file


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["study", *map(str, arguments), "--jobs", "1"])
    return int(ended.value.code or 0)


def test_two_studies_of_one_name_keep_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first = program_study(Path("p/study.toml"), 1)
    second = program_study(Path("q/study.toml"), 2)
    assert run(first) == 0
    kept = {path: path.read_bytes() for path in Path("runs/study").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert run(second) == 2
    there = tmp_path / "p" / "study.toml"
    told = f"truelift: error: runs/study holds the study of {there}: give this one another --out.\n"
    assert capsys.readouterr().err == told
    assert kept == {path: path.read_bytes() for path in kept}
    assert run(second, "--out", "runs/other") == 0
    assert run(first, "--seeds", 1) == 0  # the same file with other seeds is the same study


def test_a_log_that_the_command_names_is_no_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is there from the second run on, and longer each time."""
    monkeypatch.chdir(tmp_path)
    file = program_study(Path("p/study.toml"), 1)
    file.write_text(file.read_text().replace("{out}", "{out} train.log"))
    script = file.with_suffix(".sh")
    script.write_text(script.read_text() + 'echo "$1 $2" >> "$3"\n')
    for _ in range(2):
        assert run(file) == 0
        said = capsys.readouterr()
        assert "changed" not in said.out + said.err
    script.write_text(script.read_text() + "# another\n")
    assert run(file, "--seeds", 3) == 0
    said = capsys.readouterr()
    assert "a: p/study.sh changed since seed 0, 1 ran." in said.err
    assert "train.log changed" not in said.out + said.err


def test_an_edited_program_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its finished runs are kept, and not mixed without a word: on the terminal and in the report."""
    monkeypatch.chdir(tmp_path)
    file = program_study(Path("p/study.toml"), 1)
    assert run(file) == 0
    assert "changed" not in capsys.readouterr().err
    program_study(file, 2)
    file.write_text(file.read_text().replace("seeds = 2", "seeds = 3"))
    assert run(file) == 0
    said = capsys.readouterr()
    assert "a: p/study.sh changed since seed 0, 1 ran." in said.err
    assert "p/study.sh changed between runs, which are not comparable then" in " ".join(said.out.split())
    report = Path("runs/study/report.md").read_text()
    assert "in a seeds 0, 1, b seeds 0, 1; " in report
    assert report.count("p/study.sh changed between runs") == 1


def test_a_damaged_result_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = program_study(Path("study.toml"), 1)
    assert run(file) == 0
    table = Path("runs/study/report.csv").read_text()
    folders = sorted(path.parent for path in Path("runs/study").rglob("result.json"))
    (folders[0] / "result.json").write_text("{")
    (folders[1] / "config.toml").write_text("= x")
    (folders[2] / "result.json").unlink()
    (folders[2] / "result.json").mkdir()
    (folders[2] / "log.txt").unlink()
    os.mkfifo(folders[2] / "log.txt")
    shutil.copyfile(folders[2] / "config.toml", folders[3] / "config.toml")  # another run's
    capsys.readouterr()
    assert run(file) == 0
    said = capsys.readouterr()
    assert said.err.count("truelift: warning: ") == 5
    assert f"{folders[0]}/result.json cannot be read as JSON" in said.err
    assert f"{folders[2]}/log.txt is no regular file: it is log.txt.unusable now." in said.err
    assert said.out.count("\n[") + said.out.startswith("[") == 4
    assert Path("runs/study/report.csv").read_text() == table


def test_a_damaged_plan_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = program_study(Path("study.toml"), 1)
    assert run(file) == 0
    Path("runs/study/study.json").write_text("{")
    capsys.readouterr()
    assert run(file) == 0
    assert "It is written anew." in capsys.readouterr().err
    assert json.loads(Path("runs/study/study.json").read_text())["source"] == "../../study.toml"


def test_whose_folder_it_is(tmp_path: Path) -> None:
    folder, file, other = tmp_path / "out", tmp_path / "a.toml", tmp_path / "b.toml"
    program = program_study(file, 1)
    shutil.copyfile(program, other)
    plan = read_plan(file)
    runs = [planned.folder for planned in plan.runs()]
    assert refuse_other(folder, file, None, runs) is None
    record = plan.record("truelift study a.toml", "2026-01-01T00:00:00+00:00")
    write_json(folder / "study.json", record)
    assert refuse_other(folder, other, None, runs) is None  # version 0.1 did not say
    write_json(folder / "study.json", record | {"source": source_from(folder, file)})
    assert refuse_other(folder, file, None, []) is None
    with pytest.raises(InputError, match=r"holds the study of .*a\.toml: give this one another --out"):
        refuse_other(folder, other, None, runs)
    with pytest.raises(InputError, match="holds the study at scale paper"):
        refuse_other(folder, file, "quick", runs)
    file.unlink()  # renamed, if it has runs in common
    assert refuse_other(folder, other, None, runs) is None
    with pytest.raises(InputError, match="holds the study of"):
        refuse_other(folder, other, None, ["runs/a/seed-0-00000000"])


def test_the_folder_of_a_comparison_is_no_study_s(tmp_path: Path) -> None:
    file = program_study(tmp_path / "a.toml", 1)
    record = read_plan(file).record("truelift.compare(…)", "2026-01-01T00:00:00+00:00")
    write_json(tmp_path / "out/study.json", record | {"shared": {"function": "mine.train"}})
    with pytest.raises(InputError, match=r"holds the comparison of mine\.train: give this one another --out"):
        refuse_other(tmp_path / "out", file, None, [])


def test_a_folder_whose_runs_are_being_made_with_other_settings_is_no_place_for_these(tmp_path: Path) -> None:
    file, folder = tmp_path / "a.toml", tmp_path / "runs" / "a"
    file.touch()
    plan = json.loads((make_study(folder, {"base": [90.0], "b": [91.0]}, 1) / "study.json").read_text())
    write_json(folder / "study.json", plan | {"scale": None, "source": source_from(folder, file)})
    runs = [run["folder"] for run in plan["runs"]]
    others = [runs[0], "runs/b/seed-0-11111111"]
    assert refuse_other(folder, file, None, others) is None
    with leased(folder / runs[1]):
        assert refuse_other(folder, file, None, runs) is None, "a part of the same runs"
        with pytest.raises(InputError, match="a is being run with other settings: b seed 0 is not over"):
            refuse_other(folder, file, None, others)


def test_runs_that_a_command_has_still_to_make_are_not_taken_out_of_its_plan(tmp_path: Path) -> None:
    file, folder = tmp_path / "a.toml", tmp_path / "runs" / "a"
    file.touch()
    plan = json.loads((make_study(folder, {"base": [90.0] * 3, "b": [91.0] * 3}, 3) / "study.json").read_text())
    write_json(folder / "study.json", plan | {"scale": None, "source": source_from(folder, file)})
    runs = [run["folder"] for run in plan["runs"]]
    last = [run for run in runs if "seed-2" in run]
    for run in last:
        shutil.rmtree(folder / run)
    fewer = [run for run in runs if run not in last]
    assert refuse_other(folder, file, None, fewer) is None, "nobody makes any"
    with leased(folder / runs[0]):
        assert refuse_other(folder, file, None, [*runs, "runs/b/seed-3-11111111"]) is None, "nothing is dropped"
        with pytest.raises(InputError, match="a is being run with other settings: base seed 2 is not over"):
            refuse_other(folder, file, None, fewer)
        for run in last:
            write_json(folder / run / "failure.json", {"reason": "it failed"})
        assert refuse_other(folder, file, None, fewer) is None, "they have ended"


@pytest.mark.parametrize("place", ["file", "folder"])
def test_names_that_no_record_can_hold_are_told_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = program_study(Path("study.toml"), 1)
    odd = os.fsdecode(b"st\xfc")
    if place == "file":
        file = file.rename(f"{odd}.toml")
    assert run(file, "--out", f"runs/{odd if place == 'folder' else 'study'}") == 2
    assert "names of files and folders must be UTF-8, got " in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_dry_run_refuses_what_the_study_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = program_study(Path("study.toml"), 1)
    text = file.read_text()
    file.write_text(text.replace("command = ", 'inputs = ["gone.csv"]\ncommand = '))
    assert run(file, "--dry-run") == 2
    assert "inputs must be existing files and folders, got gone.csv" in capsys.readouterr().err
    file.write_text(text.replace('command = "sh ', 'command = "nosuchshell '))
    assert run(file, "--dry-run") == 2
    assert "command must begin with a program that is there and may be run, got nosuchshell" in capsys.readouterr().err
    file.write_text(text)
    assert run(file, "--seeds", 3) == 0
    capsys.readouterr()
    assert run(file, "--dry-run", "--until-decided", "--max-seeds", 5) == 2
    assert "runs/study was planned with a fixed number of 3 seeds" in capsys.readouterr().err


def test_a_plan_that_another_command_has_changed_meanwhile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = program_study(Path("study.toml"), 1)
    script = Path("study.sh")
    script.write_text(script.read_text() + "test -e fewer.json && cp fewer.json runs/study/study.json || true\n")
    assert run(file, "--seeds", 1) == 0
    assert "another command" not in capsys.readouterr().err
    shutil.copyfile("runs/study/study.json", "fewer.json")
    assert run(file) == 0
    told = "has changed the plan of runs/study meanwhile: 2 of this one's 4 runs are no part of it"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"metric": "val_loss", "higher_is_better": False}, "its metric, higher_is_better are no longer this one's"),
        ({"baseline": "b"}, "its baseline is no longer this one's"),
        ({"metric_scale": "points"}, "its scale is no longer this one's"),
        ({"smallest_effect": 0.5}, "its smallest_effect is no longer this one's"),
        ({"until_decided": {"max_seeds": 3, "looks": [3], "alpha": 0.05}}, "its until_decided is no longer this one's"),
        ({"question": "?", "created": "2026-01-01T00:00:00+00:00"}, None),
    ],
)
def test_a_study_that_another_command_judges_otherwise_meanwhile_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, object],
    told: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = program_study(Path("study.toml"), 1)
    script = Path("study.sh")
    script.write_text(script.read_text() + "test -e other.json && cp other.json runs/study/study.json || true\n")
    assert run(file, "--seeds", 3, "--out", "runs/other") == 0
    write_json(Path("other.json"), json.loads(Path("runs/other/study.json").read_text()) | change)
    capsys.readouterr()
    run(file, "--seeds", 3)
    said = capsys.readouterr().err
    if told is None:
        assert "another command" not in said
    else:
        assert f"another command has changed the plan of runs/study meanwhile: {told}. The report is of that" in said


def test_a_result_without_its_config_must_be_the_runs_own(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("[experiment]\nepochs = 1\n[variants.a]\n[variants.b]\nepochs = 2\n")
    a, b, *_ = read_plan(tmp_path / "study.toml").runs()
    folder = tmp_path / a.folder
    result = {"metrics": {"test_accuracy": 1.0}}
    write_json(folder / "result.json", result)
    assert not is_finished(folder, a)
    for planned, finished in ((a, True), (b, False)):
        write_json(folder / "result.json", {**result, "fingerprint": planned.folder[-8:]})
        assert is_finished(folder, a) is finished
    assert a.experiment is not None
    assert b.experiment is not None
    write_config(folder, a.experiment)
    assert is_finished(folder, a)
    write_config(folder, b.experiment)
    assert not is_finished(folder, a)
    assert "another run's" in make_room(folder)[0]
    assert Run("a", 0, folder).status == "unfinished"
    assert (folder / "result.json.unusable").exists()
