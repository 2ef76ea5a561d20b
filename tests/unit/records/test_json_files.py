"""Each record in JSON has one reader, which says in one line what is wrong with a damaged one."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report.conftest import make_study

from truelift.errors import InputError
from truelift.records import Study, read_environment, read_failure, read_json, read_plan, read_result, write_json


def told(read: Callable[[Path], Any], path: Path) -> str:
    """The error's message after the file's name."""
    with pytest.raises(InputError) as raised:
        read(path)
    message = str(raised.value)
    assert "\n" not in message
    assert str(path) in message
    return message.split(str(path), 1)[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read as JSON"),
        (b'{"a": 1', "cannot be read as JSON"),
        (b'{"a": NaN}', "NaN is no number in JSON"),
        (b'{"a": -Infinity}', "-Infinity is no number in JSON"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a": "\\ud800"}', "cannot be read as JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": 1} {"b": 2}', "cannot be read as JSON"),
        (b"\0" * 100, "cannot be read as JSON"),
    ],
)
def test_what_is_not_json(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert reason in told(read_json, tmp_path / "x.json")


def test_what_is_json(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, True, "ß\n"], "b": {"c": 10**30, "d": -1e-300}}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(value).encode())
    assert read_json(tmp_path / "x.json") == value


RESULTS: list[tuple[Any, str]] = [
    ([], "Expected `object`, got `array`"),
    ("done", "Expected `object`, got `str`"),
    (None, "Expected `object`, got `null`"),
    ({}, "missing required field `metrics`"),
    ({"metrics": []}, "Expected `object`, got `array` - at `$.metrics`"),
    ({"metrics": {"test_accuracy": "91"}}, "Expected `float`, got `str`"),
    ({"metrics": {"test_accuracy": True}}, "Expected `float`, got `bool`"),
    ({"metrics": {"test_accuracy": None}}, "Expected `float`, got `null`"),
    ({"metrics": {"test_accuracy": {"mean": 1}}}, "Expected `float`, got `object`"),
    ({"metrics": {"test_accuracy": 10**400}}, "out of range"),
    ({"metrics": {}, "test_images": "many"}, "$.test_images"),
    ({"metrics": {}, "skipped_images": -1}, "$.skipped_images"),
    ({"metrics": {}, "finished": 3}, "$.finished"),
]


@pytest.mark.parametrize(("content", "reason"), RESULTS)
def test_damaged_results(tmp_path: Path, content: Any, reason: str) -> None:
    (tmp_path / "result.json").write_text(json.dumps(content))
    message = told(lambda _: read_result(tmp_path), tmp_path / "result.json")
    assert reason in message
    assert message.startswith(" is damaged: ")


def test_a_result_is_given_back_as_it_is(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "metrics": {"test_accuracy": 91, "test_loss": 0.5},
        "steps": 10,
        "of_tomorrow": [1, {"a": None}],
    }
    write_json(tmp_path / "result.json", content)
    assert read_result(tmp_path) == content


def test_failures_and_environments(tmp_path: Path) -> None:
    write_json(tmp_path / "failure.json", {"reason": "two\nlines\x0b"})
    assert read_failure(tmp_path) == {"reason": "two lines", "diverged": False}
    failures: tuple[Any, ...] = ({}, {"reason": 3}, [], {"reason": ["a"]})
    for failure in failures:
        write_json(tmp_path / "failure.json", failure)
        assert "is damaged" in told(lambda _: read_failure(tmp_path), tmp_path / "failure.json")
    environment = {"torch": "2", "commit": None, "untracked": [], "threads": 1, "patched": False, "command": ["a"]}
    write_json(tmp_path / "environment.json", environment)
    assert read_environment(tmp_path) == environment
    damaged: tuple[Any, ...] = ([], {"torch": 2}, {"threads": "1"}, {"untracked": {"a": 1}}, {"device": None})
    for content in damaged:
        write_json(tmp_path / "environment.json", content)
        assert "is damaged" in told(lambda _: read_environment(tmp_path), tmp_path / "environment.json")


def _changed(plan: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**plan, **values}


RUN = {"variant": "base", "seed": 0, "folder": "runs/base/seed-0"}
PLANS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    *((lambda plan, key=key: {k: v for k, v in plan.items() if k != key}, f"missing required field `{key}`")
      for key in ("metric", "unit", "seeds", "variants", "runs", "baseline", "smallest_effect", "question")),
    (lambda plan: [plan], "Expected `object`, got `array`"),
    (lambda plan: _changed(plan, seeds=3), "$.seeds"),
    (lambda plan: _changed(plan, seeds=["0"]), "$.seeds[0]"),
    (lambda plan: _changed(plan, seeds=[0, 0]), "seeds must differ"),
    (lambda plan: _changed(plan, smallest_effect=-1), "$.smallest_effect"),
    (lambda plan: _changed(plan, higher_is_better="yes"), "$.higher_is_better"),
    (lambda plan: _changed(plan, baseline="none"), 'baseline must be one of the variants, got "none"'),
    (lambda plan: _changed(plan, variants=["base"]), "$.variants"),
    (lambda plan: _changed(plan, variants={"base": {"command": None}}), "missing required field `settings`"),
    (lambda plan: _changed(plan, published={"base": [{"value": "9", "source": "A"}]}), "$.published"),
    (lambda plan: _changed(plan, published={"base": [{"value": 9, "source": "A", "runs": None}]}), "$.published"),
    (lambda plan: _changed(plan, runs={"a": 1}), "$.runs"),
    (lambda plan: _changed(plan, runs=[{**RUN, "seed": None}]), "$.runs[0].seed"),
    (lambda plan: _changed(plan, runs=[{**RUN, "variant": "new"}]), "none of the study's"),
    (lambda plan: _changed(plan, runs=[{**RUN, "seed": 77}]), "none of the study's"),
    (lambda plan: _changed(plan, runs=[RUN, RUN]), "listed twice"),
    *((lambda plan, folder=folder: _changed(plan, runs=[{**RUN, "folder": folder}]), "must lie in the study's folder")
      for folder in ("/etc", "../x", "runs/../../x", "", ".", "C:/x", "..\\x", "a\0b")),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), PLANS)
def test_damaged_plans(study: Path, change: Callable[[dict[str, Any]], Any], reason: str) -> None:
    path = study / "study.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert reason in told(lambda _: read_plan(study), path)


def test_what_a_missing_key_of_a_plan_stands_for(study: Path) -> None:
    path = study / "study.json"
    plan = _changed(json.loads(path.read_text()), published={"base": [{"value": 9, "source": "A"}]}, extra=1)
    del plan["variants"]["base"]["command"]
    path.write_text(json.dumps(plan))
    found = read_plan(study)
    assert found["variants"]["base"]["command"] is None
    assert found["published"]["base"] == [{"value": 9.0, "source": "A", "runs": 1, "sd": None}]
    assert found["extra"] == 1


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return make_study(tmp_path / "made", {"base": [90.0, 91.0]}, 2)


def test_a_folder_without_a_plan(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be the folder of a study: it has no study\.json\.$"):
        Study.read(tmp_path)
    with pytest.raises(InputError, match=r"must be the folder of a study: there is no such folder\.$"):
        Study.read(tmp_path / "none")
    (tmp_path / "study.toml").touch()
    with pytest.raises(InputError, match=r"must be the folder of a study: it is a file\.$"):
        Study.read(tmp_path / "study.toml")


@pytest.mark.parametrize("given", ["mixup", "mixup.toml"])
def test_a_studys_name_or_file_in_place_of_its_folder(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mixup.toml").touch()
    (tmp_path / "runs" / "mixup").mkdir(parents=True)
    (tmp_path / "runs" / "mixup" / "study.json").touch()
    with pytest.raises(InputError, match=r"Did you mean runs/mixup\?$"):
        Study.read(Path(given))


def test_the_folder_above_studies_names_them(tmp_path: Path) -> None:
    for name in ("runs/b", "a"):
        make_study(tmp_path / name, {"base": [90.0, 91.0]}, 2)
    with pytest.raises(InputError, match=r"no study\.json\. Below it are .*/a, .*/runs/b\.$"):
        Study.read(tmp_path)


def test_a_thousand_runs_are_read_quickly(study: Path) -> None:
    plan = read_plan(study)
    plan["seeds"] = list(range(1000))
    plan["runs"] = [{**RUN, "seed": seed, "folder": f"runs/base/seed-{seed}"} for seed in range(1000)]
    write_json(study / "study.json", plan)
    for seed in range(1000):
        (study / f"runs/base/seed-{seed}").mkdir(parents=True)
        (study / f"runs/base/seed-{seed}" / "result.json").write_text('{"metrics": {"a": 1}}')
    began = time.process_time()
    assert {run.status for run in Study.read(study).runs} == {"done"}
    assert time.process_time() - began < 1


def test_the_ledgers_candidates_are_the_variants(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"base": [1.0, 2.0, 3.0], "other": [1.0, 2.0, 3.0]}, 3)
    plan = json.loads((study / "study.json").read_text())
    referee = {"ledger": "l.jsonl", "rule": "lord", "alpha": 0.05, "images": "", "unseen": [], "confirmation": 0}
    one = {"number": 1, "level": 0.01, "look": 1, "more": "is passed over"}
    for names, reason in ((["other"], None), ([], "got none"), (["base", "other"], "got base, other")):
        plan["referee"] = {**referee, "candidates": dict.fromkeys(names, one)}
        (study / "study.json").write_text(json.dumps(plan))
        if reason is None:
            assert read_plan(study)["referee"]["rule"] == "lord"
        else:
            assert reason in told(read_plan, study)
    plan["referee"]["candidates"] = {"other": {**one, "level": 0.5}}
    (study / "study.json").write_text(json.dumps(plan))
    assert "Expected `float` < 0.5" in told(read_plan, study)
