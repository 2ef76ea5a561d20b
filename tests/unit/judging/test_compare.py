"""Any function as a training: recorded, resumed after a kill, judged."""

import functools
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import truelift
from truelift.errors import FailedError, InputError
from truelift.judging import InUseError
from truelift.judging.train_source import source_of
from truelift.records import Study
from truelift.report import summarise
from truelift.report.predicted import judged_by

VARIANTS: dict[str, dict[str, Any]] = {"plain": {}, "mixup": {"alpha": 0.2}}
Calls = list[tuple[int, float]]


def counting(calls: Calls) -> Callable[..., dict[str, float]]:
    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        calls.append((seed, alpha))
        noise = random.Random(seed).random() + 0.1 * random.Random(1000 * alpha + seed).random()
        return {"accuracy": 90 + noise + 5 * alpha, "train_loss": 1 - alpha}

    return train


def test_every_variant_runs_under_every_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls: Calls = []
    judged = truelift.compare(counting(calls), variants=VARIANTS, seeds=4, folder=tmp_path / "s", smallest_effect=0.5)
    assert calls == [(s, a) for s in range(4) for a in (0.0, 0.2)]
    assert judged.verdicts == {"mixup": "helps"}
    assert judged.summary.metric.name == "accuracy"
    assert "[8/8] mixup seed 3: accuracy" in capsys.readouterr().out
    # The records alone give the same.
    assert summarise(Study.read(tmp_path / "s")).rows == judged.summary.rows
    assert judged.write() == tmp_path / "s" / "report.html"


def test_what_is_finished_is_not_run_again(tmp_path: Path) -> None:
    calls: Calls = []
    train = counting(calls)
    first = truelift.compare(train, variants=VARIANTS, seeds=3, folder=tmp_path, quiet=True)
    again = truelift.compare(train, variants=VARIANTS, seeds=3, folder=tmp_path, quiet=True)
    assert len(calls) == 6
    assert again.summary.rows == first.summary.rows
    more = truelift.compare(train, variants={**VARIANTS, "b": {"alpha": 0.4}}, seeds=4, folder=tmp_path, quiet=True)
    assert calls[6:] == [(0, 0.4), (1, 0.4), (2, 0.4), (3, 0.0), (3, 0.2), (3, 0.4)]
    assert list(more.verdicts) == ["mixup", "b"]


def test_another_setting_or_another_source_is_another_run(tmp_path: Path) -> None:
    calls: Calls = []
    truelift.compare(counting(calls), variants=VARIANTS, seeds=3, folder=tmp_path, quiet=True)
    changed = {**VARIANTS, "mixup": {"alpha": 0.3}}
    truelift.compare(counting(calls), variants=changed, seeds=3, folder=tmp_path, quiet=True)
    assert calls[6:] == [(s, 0.3) for s in range(3)]

    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        return {"accuracy": 80 + seed + alpha}

    judged = truelift.compare(train, variants=VARIANTS, seeds=3, folder=tmp_path, quiet=True)
    assert judged.summary.rows[0].values == (80, 81, 82)


def test_a_function_that_changes_its_settings_changes_nobody_else_s(tmp_path: Path) -> None:
    def train(seed: int, layers: list[int], more: dict[str, list[int]]) -> dict[str, float]:
        layers.append(1)
        more["of"].append(seed)
        return {"accuracy": 50 + sum(layers) + len(more["of"])}

    variants = {"plain": {"layers": [10], "more": {"of": []}}, "deep": {"layers": [10, 5], "more": {"of": []}}}
    judged = truelift.compare(train, variants=variants, seeds=3, folder=tmp_path, quiet=True)
    assert [row.values for row in judged.summary.rows] == [(62, 62, 62), (67, 67, 67)]
    assert variants["deep"] == {"layers": [10, 5], "more": {"of": []}}
    planned = json.loads((tmp_path / "study.json").read_text())["variants"]
    assert {name: found["settings"] for name, found in planned.items()} == variants
    for result in tmp_path.glob("runs/deep/*/result.json"):
        assert json.loads(result.read_text())["settings"] == variants["deep"]


def offset(value: float) -> Callable[..., dict[str, float]]:
    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        return {"accuracy": 80 + seed + alpha + value}

    return train


def shifted(seed: int, alpha: float = 0.0, *, by: float, data: object = None) -> dict[str, float]:
    return {"accuracy": 80 + seed + alpha + by}


class Counting:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, seed: int, alpha: float = 0.0) -> dict[str, float]:
        self.calls += 1
        return {"accuracy": 80 + seed + alpha}


class Otherwise(Counting):
    def __call__(self, seed: int, alpha: float = 0.0) -> dict[str, float]:
        self.calls += 1
        return {"accuracy": 70 + seed + alpha}


def test_an_object_is_told_by_its_class_and_not_by_what_it_counts(tmp_path: Path) -> None:
    counting, otherwise = Counting(), Otherwise()
    for train in (counting, counting, counting.__call__, otherwise):
        truelift.compare(train, variants=VARIANTS, seeds=3, folder=tmp_path / str(type(train) is type(counting)))
    assert (counting.calls, otherwise.calls) == (6 + 6, 6)


@pytest.mark.parametrize(
    "bound",
    [offset, lambda value: functools.partial(shifted, by=value, data=object())],
    ids=["closure", "partial"],
)
def test_other_values_bound_to_the_function_are_another_run(
    tmp_path: Path, bound: Callable[[float], Callable[..., dict[str, float]]], capsys: pytest.CaptureFixture[str]
) -> None:
    for value, runs in ((0.0, 6), (0.0, 0), (7.0, 6)):
        judged = truelift.compare(bound(value), variants=VARIANTS, seeds=3, folder=tmp_path)
        assert judged.summary.rows[0].values == (80 + value, 81 + value, 82 + value)
        assert capsys.readouterr().out.count(": accuracy") == runs


def test_a_lambda_may_hold_others_and_a_name_that_is_bound_later(tmp_path: Path) -> None:
    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        return {"accuracy": later + seed + alpha}

    largest = lambda seed, alpha=0.0: {"accuracy": 50 + max(seed, alpha, key=lambda value: value)}  # noqa: E731
    truelift.compare(largest, variants=VARIANTS, seeds=3, folder=tmp_path / "a", quiet=True)
    first = source_of(train)
    later = 80
    assert source_of(train) != first


WITH_TEXT = """
{around}:
    def train(seed, shift=0.0):
        '''
lr: 0.1
'''
        return {{"accuracy": 50 + seed}}
{after}
"""
NO_STATEMENTS = (
    WITH_TEXT.format(around="def around()", after="    return train\ntrain = around()"),
    WITH_TEXT.format(around="class Around", after="train = Around.train"),
    WITH_TEXT.format(around="class Around", after="    __call__ = train\ntrain = Around().train"),
    "train = [1,\n  2, lambda seed: {'accuracy': 50}][2]",
    "if True:\n  train = [1,\n    lambda seed: {'accuracy': 50, 'text': '''\nlr: 0.1\n'''}, 2][1]",
)


def from_file(path: Path, source: str) -> Any:
    """The `train` of a module of that source."""
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("own", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.train


@pytest.mark.parametrize("source", NO_STATEMENTS, ids=["inner", "function", "method", "lambda", "indented"])
def test_a_source_that_is_no_statement_by_itself_counts(tmp_path: Path, source: str) -> None:
    one, same = (from_file(tmp_path / f"{name}.py", source) for name in "ab")
    other = from_file(tmp_path / "c.py", source.replace("50", "70"))
    assert source_of(one) == source_of(same)
    assert source_of(one) != source_of(other)


def test_one_of_several_lambdas_in_an_incomplete_statement_is_refused(tmp_path: Path) -> None:
    train = from_file(tmp_path / "a.py", "train = [1,\n  lambda seed: {}, lambda seed: {'accuracy': seed}][2]")
    with pytest.raises(InputError, match="got one of several lambdas in a statement: use def"):
        source_of(train)


def test_one_of_several_lambdas_is_refused(tmp_path: Path) -> None:
    one, _ = lambda seed, alpha=0.0: {"accuracy": seed}, lambda seed, alpha=0.0: {"accuracy": alpha}
    with pytest.raises(InputError, match="got one of several lambdas in a statement: use def"):
        truelift.compare(one, variants=VARIANTS, seeds=3, folder=tmp_path)


def test_a_damaged_result_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls: Calls = []
    first = truelift.compare(counting(calls), variants=VARIANTS, seeds=3, folder=tmp_path, quiet=True)
    damaged = next(tmp_path.glob("runs/mixup/seed-1-*/result.json"))
    damaged.write_text('{"metrics": {"accu')
    again = truelift.compare(counting(calls), variants=VARIANTS, seeds=3, folder=tmp_path)
    assert calls[6:] == [(1, 0.2)]
    assert again.summary.rows == first.summary.rows
    assert "The run is made again; the file is result.json.unusable now." in capsys.readouterr().out


def test_numbers_of_other_libraries(tmp_path: Path) -> None:
    def train(seed: int, alpha: float = 0.0) -> Mapping[str, Any]:
        return {"loss": np.float32(seed + alpha), "steps": np.int64(3)}

    judged = truelift.compare(train, variants=VARIANTS, seeds=[5, 2, 9], folder=tmp_path, quiet=True)
    assert judged.summary.rows[0].values == (5, 2, 9)
    assert judged.summary.metric.higher_is_better is False


@pytest.mark.parametrize("more", [{"seeds": 4}, {"until_decided": True, "max_seeds": 4}])
def test_a_metric_that_was_no_number_when_another_was_judged_is_told(tmp_path: Path, more: dict[str, Any]) -> None:
    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        return {"accuracy": 80.0 + seed + alpha, "train_loss": float("nan") if seed == 0 else seed + alpha}

    truelift.compare(train, variants=VARIANTS, folder=tmp_path, metric="accuracy", quiet=True, seeds=2)
    with pytest.raises(InputError) as caught:
        truelift.compare(train, variants=VARIANTS, folder=tmp_path, metric="train_loss", quiet=True, **more)
    assert str(caught.value).startswith(f"{tmp_path}/runs/plain/seed-0-")
    assert str(caught.value).endswith(
        " has a result without train_loss, only accuracy: if it was no finite number, judge by it in another folder, "
        "where such a run counts as failed."
    )
    with pytest.raises(InputError, match=r"unknown metric .* Known: accuracy"):
        truelift.compare(train, variants=VARIANTS, folder=tmp_path, metric="train_los_loss", quiet=True, **more)


def test_a_plan_until_decided_by_another_metric_is_another_plan(tmp_path: Path) -> None:
    calls: Calls = []
    more: dict[str, Any] = {"variants": VARIANTS, "folder": tmp_path, "until_decided": True, "max_seeds": 5}
    first = truelift.compare(counting(calls), metric="accuracy", **more)
    before = (tmp_path / "study.json").read_bytes()
    with pytest.raises(
        InputError, match=r"planned until decided with metric accuracy, and 3 seeds have results.*\(folder=\)"
    ):
        truelift.compare(counting(calls), metric="train_loss", **more)
    assert (tmp_path / "study.json").read_bytes() == before
    with pytest.raises(
        InputError, match=r"with at most 5 seeds until decided.* another folder \(folder=\) for a fixed"
    ):
        truelift.compare(counting(calls), metric="accuracy", variants=VARIANTS, folder=tmp_path)
    assert truelift.compare(counting(calls), metric="accuracy", **more).verdicts == first.verdicts


def test_runs_that_fail_are_recorded_and_tried_again(tmp_path: Path) -> None:
    broken = {"on": True}

    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        if broken["on"] and seed == 1 and alpha:
            raise RuntimeError("out of\nmemory")
        return {"accuracy": 80.0 if seed != 2 or alpha else float("nan"), "train_loss": float("inf")}

    judged = truelift.compare(train, variants=VARIANTS, seeds=4, folder=tmp_path, quiet=True)
    failed, diverged = judged.summary.problems
    assert failed.startswith("mixup, seed 1: failed: raised RuntimeError: out of memory (test_compare")
    assert diverged == "plain, seed 2: failed: accuracy is no finite number"
    broken["on"] = False
    judged = truelift.compare(train, variants=VARIANTS, seeds=4, folder=tmp_path, quiet=True)
    assert judged.summary.problems == ("plain, seed 2: failed: accuracy is no finite number",)


UNTIL: dict[str, Any] = {"until_decided": True, "max_seeds": 6}


def fractions(calls: Calls) -> Callable[..., dict[str, float]]:
    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        accuracy = counting(calls)(seed, alpha)["accuracy"] / 100
        return {"val_accuracy": accuracy, "test_accuracy": accuracy - 0.01, "train_loss": 3.0 + alpha}

    return train


@pytest.mark.parametrize("more", [{"seeds": 6}, UNTIL])
def test_fractions_are_asked_about_at_the_first_result(tmp_path: Path, more: dict[str, Any]) -> None:
    calls: Calls = []
    train = fractions(calls)
    asked: dict[str, Any] = {
        "variants": VARIANTS,
        "metric": "val_accuracy",
        "smallest_effect": 0.5,
        "folder": tmp_path,
        "quiet": True,
        **more,
    }
    for _ in range(2):
        with pytest.raises(InputError, match=r"^results of val_accuracy look like fractions, 0\.9\d+") as caught:
            truelift.compare(train, **asked)
        assert len(calls) == 1
    assert str(caught.value).endswith(
        ': give scale="fraction", and their differences are in points; or scale="points" if they are percent. Finished '
        "runs are kept."
    )
    fraction = truelift.compare(train, **asked, scale="fraction")
    assert len(set(calls)) == len(calls)  # what ran is kept
    percent = truelift.compare(counting([]), **{**asked, "folder": tmp_path / "p", "metric": "accuracy"})
    assert fraction.verdicts == percent.verdicts == {"mixup": "helps"}
    assert fraction["mixup"].difference == pytest.approx(percent["mixup"].difference)
    assert fraction.summary.metric.unit == "points"
    (_, other) = fraction.summary.others["test_accuracy"]  # taken for such too, as judge takes it
    assert other.comparison is not None
    assert other.comparison.difference == pytest.approx(fraction["mixup"].difference)
    (_, again) = summarise(Study.read(tmp_path)).others["test_accuracy"]
    assert again.comparison == other.comparison
    if "seeds" in more:
        (_, afterwards) = summarise(judged_by(Study.read(tmp_path), "test_accuracy", None)).rows
        assert afterwards.comparison is not None
        assert afterwards.comparison.difference == pytest.approx(fraction["mixup"].difference)
    if "seeds" in more:
        none = truelift.compare(train, **asked, scale="none")
        assert none["mixup"].difference == pytest.approx(0.01, rel=0.3)
        assert none.summary.metric.unit == ""


def test_a_result_of_0_is_0_in_any_scale(tmp_path: Path) -> None:
    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        return {"test_error": 2.0 * seed + 10 * alpha}

    judged = truelift.compare(train, variants=VARIANTS, seeds=3, folder=tmp_path, quiet=True)
    assert judged.summary.metric.unit == "points"


def test_finished_runs_are_looked_at_together(tmp_path: Path) -> None:
    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        return {"test_error": 0.8 + seed + alpha}

    asked: dict[str, Any] = {"variants": VARIANTS, "seeds": 3, "folder": tmp_path, "quiet": True}
    first = truelift.compare(train, **asked, scale="points")
    assert truelift.compare(train, **asked).summary.rows == first.summary.rows


@pytest.mark.parametrize("scale", ["points", "fraction", "none"])
def test_a_scale_is_heeded_as_judge_heeds_it(tmp_path: Path, scale: Any) -> None:
    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        return {"iou": (91 + seed + alpha) / (100 if scale == "fraction" else 1), "loss": 1 + seed + alpha}

    asked: dict[str, Any] = {"metric": "iou", "better": "higher", "scale": scale}
    judged = truelift.compare(train, variants=VARIANTS, seeds=3, folder=tmp_path, quiet=True, **asked)
    rows = [{"variant": v, "seed": s, **train(s, a.get("alpha", 0))} for v, a in VARIANTS.items() for s in range(3)]
    of_table = truelift.judge(rows, **asked)
    assert judged.summary.metric.unit == of_table.summary.metric.unit == ("" if scale == "none" else "points")
    assert judged["mixup"].difference == pytest.approx(of_table["mixup"].difference)
    if scale != "none":
        with pytest.raises(InputError, match=f'^scale="{scale}" is for accuracies, errors and the like, got loss'):
            truelift.compare(train, variants=VARIANTS, folder=tmp_path / "l", quiet=True, metric="loss", scale=scale)
        assert not (tmp_path / "l").exists()


def test_fractions_are_no_percent(tmp_path: Path) -> None:
    calls: Calls = []
    with pytest.raises(InputError, match=r'^scale="fraction" needs results of accuracy within 0 and 1, got 90\.'):
        truelift.compare(counting(calls), variants=VARIANTS, folder=tmp_path, quiet=True, scale="fraction")
    assert len(calls) == 1


def test_another_metric_of_a_function_has_a_scale_of_its_own(tmp_path: Path) -> None:
    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        accuracy = counting([])(seed, alpha)["accuracy"]
        return {"val_accuracy": accuracy, "test_accuracy": accuracy / 100 - 0.01}

    judged = truelift.compare(
        train, variants=VARIANTS, seeds=3, folder=tmp_path, metric="val_accuracy", scale="points", quiet=True
    )
    assert "test_accuracy" not in judged.summary.others
    (told,) = (line for line in judged.summary.cautions if "left out" in line)
    assert "test_accuracy is left out of the other metrics: all results of test_accuracy lie between 0 and 1" in told
    assert "study file" not in told
    afterwards = judged_by(Study.read(tmp_path), "test_accuracy", 0.5)
    with pytest.raises(InputError, match=r"all results of test_accuracy lie between 0 and 1.*truelift\.compare"):
        summarise(afterwards)


@pytest.mark.parametrize("planned", [{"seeds": 3}, {"until_decided": True, "max_seeds": 3, "metric": "accuracy"}])
def test_a_function_may_change_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: dict[str, Any]
) -> None:
    calls: Calls = []

    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        own = tmp_path / "work" / f"{seed}-{alpha}"
        own.mkdir(parents=True)
        os.chdir(own)
        return counting(calls)(seed, alpha)

    monkeypatch.chdir(tmp_path)
    truelift.compare(train, variants=VARIANTS, folder="s", quiet=True, **planned)
    assert len(calls) == 6
    assert not list((tmp_path / "work").rglob("*.json"))
    monkeypatch.chdir(tmp_path)
    again = truelift.compare(train, variants=VARIANTS, folder="s", quiet=True, **planned)
    assert len(calls) == 6
    assert again["mixup"].seeds == 3
    assert json.loads((tmp_path / "s" / "study.json").read_text())["repeat"].endswith("folder='s')")


@pytest.mark.parametrize("more", [{"seeds": 3}, {"until_decided": True, "max_seeds": 5, "metric": "accuracy"}])
def test_the_folder_of_another_study_is_left_alone(tmp_path: Path, more: dict[str, Any]) -> None:
    calls: Calls = []
    truelift.compare(counting(calls), variants=VARIANTS, seeds=3, folder=tmp_path, quiet=True)
    path = tmp_path / "study.json"
    of_study = {**json.loads(path.read_text()), "shared": {"epochs": 8}}
    with_source = {**of_study, "source": "../../demo.toml"}
    for held, told in ((with_source, "the study of ../../demo.toml"), (of_study, "another study")):
        path.write_text(json.dumps(held))
        with pytest.raises(InputError) as caught:
            truelift.compare(counting(calls), variants=VARIANTS, folder=tmp_path, quiet=True, **more)
        assert str(caught.value) == f"{tmp_path} holds {told}: give this comparison another folder."
        assert json.loads(path.read_text()) == held
    assert len(calls) == 6


def test_all_runs_fail(tmp_path: Path) -> None:
    def train(seed: int) -> dict[str, float]:
        raise KeyError(seed)

    for metric in (None, "accuracy"):  # one that is given is no result
        with pytest.raises(FailedError, match="all 4 runs failed; the first: raised KeyError: 0"):
            truelift.compare(train, variants={"a": {}, "b": {}}, seeds=2, folder=tmp_path, quiet=True, metric=metric)


def test_a_function_that_takes_no_seed_is_told_what_comes_first(tmp_path: Path) -> None:
    def train(alpha: float = 0.0) -> dict[str, float]:
        return {"accuracy": 90 + alpha}

    with pytest.raises(InputError, match=r"multiple values for argument 'alpha'; the first parameter is the seed\.$"):
        truelift.compare(train, variants=VARIANTS, seeds=2, folder=tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"variants": {"plain": {}}}, "at least one other, got plain"),
        ({"variants": ["plain", "mixup"]}, "variants must be a dict of settings by name, got ['plain', 'mixup']"),
        ({"better": "up", "metric": "accuracy"}, 'unknown better "up". Known: higher, lower'),
        ({"better": "up"}, 'unknown better "up". Known: higher, lower'),
        ({"scale": "percent"}, 'unknown scale "percent". Known: points, fraction, none'),
        ({"scale": "fraction", "until_decided": True, "metric": "train_loss"}, 'scale="fraction" is for accuracies'),
        ({"variants": {"plain": {}, "a/b": {}}}, "a variant's name must be of letters"),
        ({"variants": {"plain": {}, "b": {"alhpa": 1}}}, 'variant "b": train(seed, **settings) does not take them'),
        ({"variants": {"plain": {}, "b": {"seed": 1}}}, 'variant "b" must not set seed'),
        ({"variants": {"plain": {}, "b": {"alpha": {1}}}}, "settings must be what JSON has"),
        ({"variants": {"plain": {}, "b": 3}}, 'variant "b" must be a dict'),
        ({"seeds": 0}, "seeds must be a number of at least 1"),
        ({"seeds": [1, 1]}, "seeds must be"),
        ({"seeds": True}, "seeds must be"),
        ({"baseline": "plian"}, 'Did you mean "plain"?'),
        ({"smallest_effect": -1}, "smallest_effect must be finite and at least 0"),
        ({"metric": "score"}, "--better must be higher or lower"),
        ({"train": 3}, "train must be a function"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    calls: Calls = []
    asked = {"train": counting(calls), "variants": VARIANTS, "folder": tmp_path / "s", **changed}
    with pytest.raises(InputError) as caught:
        truelift.compare(asked.pop("train"), **asked)
    assert words in str(caught.value)
    assert calls == []
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "train must return a dict of numbers by name, got None"),
        ({}, "got {}"),
        ({"accuracy": "high"}, "train must return numbers, got accuracy: 'high'"),
        ({"accuracy": [1, 2]}, "train must return numbers, got accuracy: [1, 2]"),
        ({"x": 1.0, "y": 2.0}, "metric must name what is judged, one of x, y"),
    ],
)
def test_what_train_returns(tmp_path: Path, returned: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        truelift.compare(lambda seed: returned, variants={"a": {}, "b": {}}, seeds=2, folder=tmp_path, quiet=True)
    assert words in str(caught.value)


SCRIPT = """
import sys, time, pathlib, truelift
log = pathlib.Path("calls.log")
def train(seed, alpha=0.0):
    with log.open("a") as file:
        file.write(f"{seed} {alpha}\\n")
    time.sleep(float(sys.argv[1]))
    return {"accuracy": 90 + (seed * 7919 % 13) / 10 + alpha + (seed * 104729 % 7) * alpha / 100}
judged = truelift.compare(train, variants={"plain": {}, "mixup": {"alpha": 2.0}}, seeds=4, folder="study")
print(judged)
"""


def test_a_killed_comparison_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, "script.py"]
    process = subprocess.Popen([*command, "0.3"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    log = tmp_path / "calls.log"
    deadline = time.monotonic() + 60
    while not log.exists() or len(log.read_text().split("\n")) < 5:  # the fourth run is under way
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path.parent for path in (tmp_path / "study").rglob("result.json")}
    assert 2 <= len(finished) <= 4
    before = log.read_text().splitlines()
    done = subprocess.run([*command, "0"], cwd=tmp_path, capture_output=True, text=True, check=True)
    after = log.read_text().splitlines()[len(before) :]
    assert len(after) == 8 - len(finished)
    assert not set(before[: len(finished)]) & set(after)
    assert "helps" in done.stdout
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "script.py").write_text((tmp_path / "script.py").read_text())
    at_once = subprocess.run([*command, "0"], cwd=whole, capture_output=True, text=True, check=True)
    assert at_once.stdout.split("Which of")[1] == done.stdout.split("Which of")[1]


HOLDER = """
import sys
from pathlib import Path
from truelift.records import leased
with leased(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("more", [{"seeds": 3}, {"until_decided": True, "max_seeds": 3, "metric": "accuracy"}])
def test_a_folder_that_another_process_compares_in_is_told_with_a_way_on(tmp_path: Path, more: dict[str, Any]) -> None:
    """As where two searches propose the same candidate."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "runs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InUseError, match=r"in use by another process.* a search goes on with its next candidate"):
            truelift.compare(counting([]), variants=VARIANTS, folder=tmp_path / "runs", quiet=True, **more)
        holder.communicate(b"")
    truelift.compare(counting([]), variants=VARIANTS, folder=tmp_path / "runs", quiet=True, **more)


def test_numbers_too_large_to_be_judged_are_named(tmp_path: Path) -> None:
    def train(seed: int, alpha: float = 0.0) -> dict[str, float]:
        return {"loss": 10**400 if seed == 2 and alpha else 1e200 if seed == 1 else seed + alpha, "train_loss": 1e200}

    judged = truelift.compare(train, variants=VARIANTS, seeds=5, folder=tmp_path, quiet=True)
    assert judged.summary.problems == (
        "plain, seed 1: failed: loss is beyond 1e+100",
        "mixup, seed 1: failed: loss is beyond 1e+100",
        "mixup, seed 2: failed: loss is no finite number",
    )
    assert judged.summary.rows[0].values[0] == 0
    result = next(tmp_path.glob("**/result.json"))
    found = json.loads(result.read_text())
    assert list(found["metrics"]) == ["loss"]
    result.write_text(json.dumps({**found, "metrics": {"loss": 1e200}}))  # as earlier versions took it
    again = truelift.compare(train, variants=VARIANTS, seeds=5, folder=tmp_path, quiet=True)
    assert any("the result has no loss" in problem for problem in again.summary.problems)
