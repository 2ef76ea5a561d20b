"""Verdicts for runs that one already has, and what programs are told, as a user starts it."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.system.conftest import Truelift

from truelift.cli.judge import _place
from truelift.cli.ledger import form as ledger_form
from truelift.cli.predict import _form as predict_form
from truelift.cli.status import status_form
from truelift.records import Run, Study
from truelift.records.progress import RunProgress, StudyProgress
from truelift.referee import Ledger
from truelift.report import json_form

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = {"plain": [90.1, 90.4, 90.2, 90.6, 90.3], "mixup": [91.2, 91.6, 91.3, 91.5, 91.4]}


def write(folder: Path, results: dict[str, list[float]]) -> Path:
    lines = [f"{v},{s},{x}" for v, values in results.items() for s, x in enumerate(values)]
    path = folder / "results.csv"
    path.write_text("\n".join(["method,seed,val_accuracy", *lines]) + "\n")
    return path


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def test_the_lines_of_the_docs(truelift: Truelift, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(blocks("judge.md", "csv")[0])
    printed = ""
    for line in blocks("judge.md", "sh")[0].splitlines():
        done = truelift(*shlex.split(line)[1:])
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    (expected,) = blocks("judge.md", "text")
    assert [line.rstrip() for line in printed.splitlines()] == [line.rstrip() for line in expected.splitlines()]
    report = tmp_path / "runs" / "judge" / "results.csv"
    assert {path.name for path in report.iterdir()} == {
        "report-runs.csv",
        *(f"report.{ending}" for ending in ("html", "md", "csv", "tex")),
    }
    for script in blocks("judge.md", "python"):
        (tmp_path / "script.py").write_text(script)
        subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True, capture_output=True, timeout=100)
    assert (tmp_path / "report" / "report.html").exists()
    assert truelift("report", "runs/mixup").returncode == 0


def test_the_keys_of_the_docs_are_those_of_the_form(truelift: Truelift, tmp_path: Path) -> None:
    sections = re.split(r"^## ", (DOCS / "json.md").read_text(), flags=re.MULTILINE)[1:]
    told = {
        section.split("\n")[0].strip("`"): [
            key for cell in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", cell)
        ]
        for section in sections
    }
    forms: dict[str, Any] = {
        "report": json_form.ReportForm,
        "metric": json_form.MetricForm,
        "until decided": json_form.UntilDecidedForm,
        "earlier plan": json_form.EarlierForm,
        "variant": json_form.VariantForm,
        "look": json_form.LookForm,
        "stop": json_form.StopForm,
        "guard": json_form.GuardForm,
        "failures": json_form.FailuresForm,
        "referee": json_form.RefereeForm,
        "plan": json_form.PlanForm,
        "plan like": json_form.PlanLikeForm,
        "seeds": json_form.SeedsForm,
        "study plan": json_form.StudyPlanForm,
    }
    run = Run("plain", 0, tmp_path)
    state = status_form(
        Study(tmp_path, {"name": "nothing"}, (run,)), StudyProgress((RunProgress(run, "waiting"),), None)
    )
    (tmp_path / "study.json").write_text("{")
    (entry,) = json.loads(truelift("list", tmp_path, "--json").stdout)["entries"]
    trained: Any = SimpleNamespace(folder=tmp_path, inputs=SimpleNamespace(classes=("a", "b")))
    rest = {"list": list(entry), "status": list(state), "run state": list(state["runs"][0])}
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.register("mixup", baseline="plain", metric="val_accuracy")
    of_ledger = ledger_form(ledger.state(), ledger.head())
    rest |= {"ledger": list(of_ledger), "candidate": list(of_ledger["candidates"][0])}
    rest["predict"] = list(predict_form(trained, [], []))
    assert told == {name: list(form.__struct_fields__) for name, form in forms.items()} | rest
    assert f"| `schema` | {json_form.VERSION} |" in (DOCS / "json.md").read_text()


def test_json_alone_on_the_standard_output(truelift: Truelift, tmp_path: Path) -> None:
    import msgspec

    done = truelift("judge", write(tmp_path, RESULTS), "--baseline", "plain", "--at", "last", "--json")
    assert done.returncode == 0, done.stderr
    form = msgspec.json.decode(done.stdout, type=json_form.ReportForm)  # no other key, no other type
    assert [(v.name, v.verdict) for v in form.variants] == [("plain", "baseline"), ("mixup", "helps")]
    assert form.variants[0].values == RESULTS["plain"]
    assert (tmp_path / form.files[0]).exists()
    assert "Read 10 runs" in done.stderr
    planned = truelift("plan", "--effect", "0.5", "--sd", "0.25", "--json")
    plan = msgspec.json.decode(planned.stdout, type=json_form.PlanForm)
    assert [seeds.correlation for seeds in plan.needed] == [0, 0.5, 0.75]
    told = truelift("plan", "--effect", "0.5", "--sd", "0.25").stdout.splitlines()
    assert [int(line.split()[0]) for line in told[:3]] == [seeds.seeds for seeds in plan.needed]


def test_a_plan_by_a_measured_spread(truelift: Truelift) -> None:
    import msgspec

    from truelift.verdicts import seeds_needed

    options = ("plan", "--like", "cifar10/freezeout-short-narrow", "--effect", "0.5")
    plan = msgspec.json.decode(truelift(*options, "--json").stdout, type=json_form.PlanLikeForm)
    assert plan.seeds == seeds_needed(0.5, plan.sd) < plan.most_seeds == seeds_needed(0.5, plan.most_sd)
    told = truelift(*options).stdout
    assert told.startswith(f"{plan.seeds} seeds per variant, or {plan.most_seeds} with")
    assert "sd and like exclude each other" in truelift(*options, "--sd", "1").stderr
    for option in ("--like", "--effect", "--sd", "--power", "--alpha"):  # none is taken and left unused
        refused = truelift("plan", "digits", option, "0.9").stderr
        assert refused.endswith(f"{option[2:]} is for the number of seeds alone: give it without a study file.\n")
    assert "--effect is missing" in truelift(*options[:3]).stderr
    assert "effect must be above 0" in truelift(*options[:4], "0").stderr


@pytest.mark.parametrize(
    ("variant", "require", "status"),
    [
        ([91.2, 91.6, 91.3, 91.5, 91.4], "helps", 0),
        ([91.2, 91.6, 91.3, 91.5, 91.4], "not-hurts", 0),
        ([91.2, 91.6, 91.3, 91.5, 91.4], "no-effect", 3),
        ([89.2, 89.6, 89.3, 89.5, 89.4], "not-hurts", 3),
        ([90.2, 90.1, 90.9, 90.3, 90.0], "helps", 4),
    ],
)
def test_the_exit_status_says_whether_it_holds(
    truelift: Truelift, tmp_path: Path, variant: list[float], require: str, status: int
) -> None:
    path = write(tmp_path, {"plain": RESULTS["plain"], "mixup": variant})
    done = truelift("judge", path, "--baseline", "plain", "--smallest-effect", "0.1", "--require", require)
    assert done.returncode == status, done.stderr + done.stdout


def test_each_table_has_a_report_of_its_own(truelift: Truelift, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        table = write(tmp_path / folder, RESULTS)
        shown = truelift("judge", table).stdout.splitlines()[-1]
        assert shown == f"report: runs/judge/{folder}/results.csv/report.html"


def test_where_a_report_goes_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = tmp_path / "here"
    for folder in ("runs.1", "runs.2"):
        (here / folder).mkdir(parents=True)
    monkeypatch.chdir(here)
    given = (
        "results.csv",
        "results.tsv",
        "runs.1",
        "runs.2/",
        ".",
        "sqlite:///mlflow.db",
        "../x.csv",
        str(here / "x" / "y.csv"),
    )
    found = [_place(source).relative_to("runs/judge") for source in given]
    above = tmp_path.relative_to(tmp_path.anchor)
    names = ("results.csv", "results.tsv", "runs.1", "runs.2", "runs", "mlflow.db")
    assert found == [*map(Path, names), above / "x.csv", Path("x/y.csv")]


def test_options_that_are_wrong(truelift: Truelift, tmp_path: Path) -> None:
    path = write(tmp_path, RESULTS)
    for arguments, words in (
        (["--require", "better"], "require"),
        (["--better", "more"], "better"),
        (["--baseline", "plan"], 'Did you mean "plain"?'),
        (["--smallest-effect", "-1"], "smallest_effect must be finite and at least 0"),
        (["--basline", "plain"], "--baseline"),
    ):
        done = truelift("judge", path, *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("truelift: error: ")
        assert done.stderr.count("\n") == 1
        assert words in done.stderr
    assert not (tmp_path / "runs").exists()


PROGRAM = """
import json, pathlib, sys
seed, out, lift = int(sys.argv[1]), pathlib.Path(sys.argv[2]), float(sys.argv[3])
(out / "metrics.json").write_text(json.dumps({"accuracy": 90 + (seed * 7 % 5) / 10 + lift * (1 + seed % 2 / 50)}))
"""


def test_a_study_and_its_report_for_programs(truelift: Truelift, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "study.toml").write_text(
        f'command = "{sys.executable} program.py {{seed}} {{out}} {{args}}"\nmetric = "accuracy"\nseeds = 4\n'
        '[variants.plain]\nargs = "0"\n[variants.better]\nargs = "1"\n'
    )
    done = truelift("study", "study.toml", "--json", "--require", "helps")
    assert done.returncode == 0, done.stderr
    assert "[8/8]" in done.stderr
    of_study = json.loads(done.stdout)
    assert [variant["verdict"] for variant in of_study["variants"]] == ["baseline", "helps"]
    again = truelift("report", "runs/study", "--json", "--require", "no-effect")
    assert again.returncode == 3
    assert json.loads(again.stdout) == of_study


def test_judging_needs_no_torch_and_importing_needs_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, RESULTS)
    script = f"""
import sys, truelift
assert not {{"numpy", "scipy", "torch", "rich"}} & set(sys.modules), "import truelift is quick"
judged = truelift.judge({str(path)!r}, baseline="plain")
str(judged), judged._repr_html_(), judged.write({str(tmp_path / "out")!r})
assert not {{"torch", "pandas", "mlflow", "wandb", "tensorboard"}} & set(sys.modules), "none of them is needed"
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100)
