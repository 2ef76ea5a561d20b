"""A wrong metric's name and a scale that is not known show in the first results, before all others are made in vain."""

import shutil
from pathlib import Path

import pytest

from truelift.errors import InputError
from truelift.records import Study
from truelift.report.standing import decide
from truelift.studies.cost import study_cost
from truelift.studies.executors.local import Local
from truelift.studies.how import How
from truelift.studies.study import run_study
from truelift.studies.study_file import read_plan

LEAVES = 'echo "{\\"test_acc\\": 8$1.$3, \\"loss\\": 0.5}" > "$2/metrics.json"'
STUDY = """
command = "sh {program} {{seed}} {{out}} {{args}}"
{keys}
[variants.plain]
args = "1"
[variants.lifted]
args = "2"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def program(text: str, name: str = "p.sh") -> None:
    """A program that counts its starts, and leaves what the text says."""
    Path(name).write_text(f"echo $3 $1 >> starts\n{text}\n")


def study(keys: str, file: str = "study.toml", jobs: int = 1) -> list[str]:
    """Run it; what it says."""
    told: list[str] = []
    Path(file).write_text(STUDY.format(program="p.sh", keys=keys))
    run_study(
        read_plan(Path(file)),
        Path("out"),
        How(executor=Local(jobs, 1)),
        repeat="",
        report_run=lambda run, ended, total: None,
        warn=told.append,
        tell=told.append,
        decide=decide,
    )
    return told


def starts() -> int:
    return len(Path("starts").read_text().splitlines()) if Path("starts").exists() else 0


@pytest.mark.parametrize("seeds", ["seeds = 3", "until_decided = { max_seeds = 4 }"])
def test_a_wrong_name_ends_the_study_with_its_first_run(seeds: str) -> None:
    program(LEAVES)
    with pytest.raises(InputError) as raised:
        study(f'{seeds}\nmetric = "test_accuracy"')
    assert starts() == 1
    said = str(raised.value)
    assert said.startswith("plain seed 0 ended with status 0, but metrics.json must have a finite number test_accuracy")
    assert "'test_acc'" in said
    assert 'Did you mean "test_acc"?' in said
    assert "no further run is begun" in said
    assert "a status other than 0" in said


def test_with_the_name_mended_what_has_run_is_taken_as_it_is() -> None:
    program(LEAVES)
    for wrong in ("test_accuracy", "tset_acc"):
        with pytest.raises(InputError, match='Did you mean "test_acc"'):
            study(f'seeds = 2\nhigher_is_better = true\nmetric = "{wrong}"')
    Path("starts").unlink()
    mended = 'seeds = 2\nmetric = "test_acc"'
    Path("study.toml").write_text(STUDY.format(program="p.sh", keys=mended))
    assert study_cost(read_plan(Path("study.toml")), Path("out"), How(jobs=1)).to_run == {"plain": 1, "lifted": 2}
    told = study(mended)
    assert starts() == 3
    assert any(line == "plain, seed 0: taken as it ended, since metrics.json has test_acc" for line in told)
    runs = Study.read(Path("out")).runs
    assert {run.status for run in runs} == {"done"}
    assert runs[0].result()["metrics"] == {"test_acc": 80.1, "loss": 0.5}
    assert runs[0].result().keys() == runs[1].result().keys()
    assert not (runs[0].folder / "failure.json").exists()


def test_what_has_run_with_another_program_is_made_again() -> None:
    program(LEAVES)
    with pytest.raises(InputError, match="test_accuracy"):
        study('seeds = 2\nmetric = "test_accuracy"')
    program(LEAVES + "\n# another")
    study('seeds = 2\nmetric = "test_acc"')
    assert starts() == 5


def test_without_metrics_the_files_that_lie_there_are_named() -> None:
    program('echo "epoch,test_acc" > "$2/log.csv"; echo "{}" > "$2/final.json"; mkdir "$2/logs"; touch "$2/logs/x.csv"')
    with pytest.raises(InputError) as raised:
        study('seeds = 3\nmetric = "test_acc"')
    assert starts() == 1
    assert "left no metrics.json in {out}" in str(raised.value)
    assert "What lies there: final.json, log.csv, logs/x.csv" in str(raised.value)


def test_no_failures_record_is_lost_where_the_study_ends_early() -> None:
    program(LEAVES)
    for seeds in ("[0]", "[1]", "[0, 1]"):  # the last one begins seed 0 again, and not seed 1
        with pytest.raises(InputError, match="test_accuracy"):
            study(f'seeds = {seeds}\nmetric = "test_accuracy"')
    assert starts() == 3
    study('seeds = [0, 1]\nmetric = "test_acc"')
    assert starts() == 5


def test_one_run_without_the_metric_among_others_stops_nothing() -> None:
    program(f'test "$3$1" = 20 || {LEAVES}')
    study('seeds = 2\nmetric = "test_acc"')
    assert starts() == 4
    assert [run.status for run in Study.read(Path("out")).runs] == ["done", "failed", "done", "done"]


def test_what_has_ended_beside_a_run_without_the_metric_is_judged() -> None:
    program(f'test "$3$1" = 10 || {{ sleep 1; {LEAVES}; }}')
    study('seeds = 2\nmetric = "test_acc"', jobs=4)
    assert sorted(run.status for run in Study.read(Path("out")).runs) == ["done", "done", "done", "failed"]


def test_an_empty_cell_in_the_last_row_ends_the_study_with_its_first_run() -> None:
    program('printf "epoch,test_acc\\n0,\\n" > "$2/log.csv"')
    with pytest.raises(InputError, match="no further run is begun"):
        study('seeds = 3\nmetric = "test_acc"\nresults = "log.csv"\nretries = 1')
    assert starts() == 1


def test_runs_of_another_file_are_made_again() -> None:
    program('printf "test_acc\\n51.$1\\n" > "$2/a.csv"; printf "test_acc\\n91.$1\\n" > "$2/b.csv"')
    study('seeds = 2\nmetric = "test_acc"\nresults = "a.csv"')
    study('seeds = 3\nmetric = "test_acc"\nresults = "b.csv"')
    results = [run.result() for run in Study.read(Path("out")).runs]
    assert {result["results"] for result in results} == {"b.csv"}
    assert {int(result["metrics"]["test_acc"]) for result in results} == {91}
    assert starts() == 4 + 6
    assert "results" in Study.read(Path("out")).plan["variants"]["plain"]


def test_a_number_that_is_none_and_a_failed_program_stop_nothing() -> None:
    program('echo "{\\"test_acc\\": NaN}" > "$2/metrics.json"; test "$1" = 0')
    study('seeds = 2\nmetric = "test_acc"')
    assert starts() == 4


def test_each_program_must_give_the_metric() -> None:
    program(LEAVES)
    program('echo "{\\"acc\\": 80}" > "$2/metrics.json"', "q.sh")
    with pytest.raises(InputError, match=r"^other seed 0 ended with status 0, but .*only ..acc..\."):
        study('seeds = 3\nmetric = "test_acc"\n[variants.other]\nargs = "3"\ncommand = "sh q.sh {seed} {out} {args}"')
    assert starts() == 1


def test_finished_runs_whose_program_gives_no_such_metric_are_not_made_again() -> None:
    program(LEAVES)
    study('seeds = 2\nmetric = "test_acc"')
    for keys in ('metric = "test_accuracy"', 'metric = "top1"\nhigher_is_better = true'):
        with pytest.raises(InputError, match=r"^plain seed 0 has ended, but .*got only.*'test_acc'"):
            study(f"seeds = 2\n{keys}")
        with pytest.raises(InputError, match=r"^plain seed 0 has ended"):
            study_cost(read_plan(Path("study.toml")), Path("out"), How(jobs=1))
    assert starts() == 4
    study('seeds = 2\nmetric = "loss"')
    assert starts() == 4
    program(LEAVES.replace("test_acc", "top1"))
    study('seeds = 2\nmetric = "top1"\nhigher_is_better = true')
    assert starts() == 8


@pytest.mark.parametrize("keys", ['metric = "test_acc"', 'metric = "loss"\nguards = { test_acc = 1 }'])
def test_fractions_are_asked_for_at_the_first_result(keys: str) -> None:
    program(LEAVES.replace("8$1.$3", "0.8$1$3"))
    with pytest.raises(InputError, match=r"^all results of test_acc lie between 0 and 1: .*No further run begins"):
        study(f"seeds = 3\n{keys}")
    assert starts() == 1
    study(f'seeds = 3\n{keys}\nscale = "fraction"')
    assert starts() == 6


def test_runs_ahead_of_the_question_for_a_scale_end_in_peace() -> None:
    """The look at the first seeds would ask too, and end what still runs."""
    program(LEAVES.replace("8$1.$3", "0.8$1$3").replace("echo", 'test "$1" = 0 || sleep 2; echo'))
    with pytest.raises(InputError, match="No further run begins"):
        study('until_decided = { max_seeds = 3 }\nmetric = "test_acc"', jobs=3)
    assert [run.status for run in Study.read(Path("out")).runs if run.folder.exists()] == ["done"] * 3


def test_results_that_show_their_scale_are_not_asked_about() -> None:
    program(LEAVES)
    study('seeds = 2\nmetric = "test_acc"')
    program('echo "{\\"test_acc\\": 0.8}" > "$2/metrics.json"')
    study('seeds = 3\nmetric = "test_acc"')
    assert starts() == 6
    shutil.rmtree("out")


def test_a_table_of_its_own_is_offered_and_what_has_run_is_taken_as_it_is() -> None:
    program('printf "epoch,test_acc\\n0,60.5\\n1,8$1.$3\\n" > "$2/log.csv"')
    with pytest.raises(InputError, match=r'or results = "log\.csv" in the study file'):
        study('seeds = 2\nmetric = "test_acc"')
    study('seeds = 2\nmetric = "test_acc"\nresults = "log.csv"')
    assert starts() == 4
    assert [run.result()["metrics"]["test_acc"] for run in Study.read(Path("out")).runs] == [80.1, 80.2, 81.1, 81.2]
