"""Metrics from kept predictions: against scikit-learn and hand-computed cases, and as what decides a study."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics

from truelift.cli import main
from truelift.errors import InputError
from truelift.metrics import Metric
from truelift.records import Inputs, Predictions, Study, write_json
from truelift.records import predicted as of
from truelift.report import summarise
from truelift.report.predicted import judged_by
from truelift.report.seen import seen
from truelift.training.evaluation import _rank


def some(n: int = 500, classes: int = 8, seed: int = 0) -> tuple[Predictions, np.ndarray]:
    """Predictions of random logits, and all their probabilities."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, n, p=generator.dirichlet(np.ones(classes)))
    logits = generator.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    exact = np.exp(logits - logits.max(1, keepdims=True))
    shares = exact / exact.sum(1, keepdims=True)
    rank = _rank(torch.from_numpy(logits), torch.from_numpy(labels)).numpy()
    of_true, largest = shares[np.arange(n), labels], shares.max(1)
    return Predictions(labels, logits.argmax(1), of_true.astype("f4"), largest.astype("f4"), rank), shares


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn(seed: int) -> None:
    p, shares = some(seed=seed)
    present = np.unique(p.labels)
    assert of.balanced_accuracy(p) == pytest.approx(100 * metrics.balanced_accuracy_score(p.labels, p.predicted))
    assert of.macro_f1(p) == pytest.approx(100 * metrics.f1_score(p.labels, p.predicted, average="macro"))
    assert of.log_loss(p) == pytest.approx(metrics.log_loss(p.labels, shares, labels=range(8)), rel=1e-5)
    top5 = metrics.top_k_accuracy_score(p.labels, shares, k=5, labels=range(8))
    assert of.top5_accuracy(p) == pytest.approx(100 * top5)
    recalls = metrics.recall_score(p.labels, p.predicted, average=None, labels=present)
    assert [of.recall(p, c) for c in present] == pytest.approx(list(100 * recalls))


def test_calibration_error_by_hand() -> None:
    right = np.array([1, 1, 0, 1, 0, 0])
    confidence = np.array([0.95, 0.99, 0.97, 0.58, 0.59, 0.05], np.float32)
    p = Predictions(np.zeros(6, int), 1 - right, confidence, confidence, 1 - right)
    # Bins of 1/15: three above 14/15, two in (8/15, 9/15], and one in the first.
    gaps = [abs(2 - (0.95 + 0.99 + 0.97)), abs(1 - (0.58 + 0.59)), abs(0 - 0.05)]
    assert of.calibration_error(p) == pytest.approx(100 * sum(gaps) / 6, rel=1e-5)


def test_calibration_error_of_calibrated_predictions_falls_with_their_number() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 200_000)
    right = generator.uniform(size=confidence.size) < confidence
    p = Predictions(np.zeros(right.size, int), (~right).astype(int), confidence, confidence.astype("f4"), 1 - right)
    assert of.calibration_error(p) < 0.5
    over = Predictions(p.labels, p.predicted, p.probability, np.full(right.size, 1, "f4"), p.rank)
    assert of.calibration_error(over) == pytest.approx(100 * (1 - right.mean()))


def test_equal_logits_rank_as_they_are_predicted() -> None:
    logits = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [2.0, 3.0, 3.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([0, 1, 2, 2])
    assert _rank(logits, labels).tolist() == [0, 1, 1, 2]
    assert ((_rank(logits, labels) == 0) == (logits.argmax(1) == labels)).all()
    spread = F.softmax(torch.randn(100, 12, generator=torch.Generator().manual_seed(0)), 1)
    targets = torch.arange(100) % 12
    expected = [row.argsort(descending=True).tolist().index(t) for row, t in zip(spread, targets.tolist(), strict=True)]
    assert _rank(spread, targets).tolist() == expected


def test_predictions_keep_confidence_and_rank(tmp_path: Path) -> None:
    p, _ = some()
    p.write(tmp_path / "predictions.npz")
    again = Predictions.read(tmp_path / "predictions.npz")
    for name in ("labels", "predicted", "probability", "confidence", "rank"):
        np.testing.assert_array_equal(getattr(again, name), getattr(p, name))
    Predictions(p.labels, p.predicted, p.probability).write(tmp_path / "old.npz")
    assert len(Predictions.read(tmp_path / "old.npz").rank) == 0
    bad = Predictions(p.labels, p.predicted, p.probability, p.confidence + 1, p.rank)
    bad.write(tmp_path / "bad.npz")
    with pytest.raises(InputError, match=r"confidence must be in \[0, 1\]"):
        Predictions.read(tmp_path / "bad.npz")


def study(folder: Path, *, classes: int = 8, plan: dict[str, Any] | None = None, names: bool = True) -> Path:
    """A finished study of two variants and four seeds; "rare" always predicts the rarest class rightly."""
    variants, seeds = ("plain", "rare"), range(4)
    runs: list[dict[str, Any]] = [
        {"variant": v, "seed": s, "folder": f"runs/{v}/seed-{s}-0000000{s}"} for v in variants for s in seeds
    ]
    write_json(
        folder / "study.json",
        {
            "name": "s",
            "question": "?",
            "metric": "test_accuracy",
            "unit": "points",
            "higher_is_better": True,
            "relative": False,
            "smallest_effect": 0.5,
            "baseline": "plain",
            "seeds": list(seeds),
            "shared": {},
            "variants": {v: {"settings": {}, "command": None} for v in variants},
            "runs": runs,
            "repeat": "truelift study s.toml",
            "created": "2026-01-01T00:00:00+00:00",
            **(plan or {}),
        },
    )
    labels = np.repeat(np.arange(classes), [200] * (classes - 1) + [20])
    for run in runs:
        generator = np.random.default_rng(run["seed"])
        wrong = generator.uniform(size=labels.size) < 0.2
        if run["variant"] == "rare":
            wrong[-20:] = False
        rank = np.where(wrong, generator.integers(1, classes, labels.size), 0)
        predicted = np.where(wrong, (labels + 1) % classes, labels)
        share = np.full(labels.size, 0.6, np.float32)
        place = folder / run["folder"]
        Predictions(labels, predicted, np.where(wrong, 0.2, share).astype("f4"), share, rank).write(
            place / "predictions.npz"
        )
        accuracy = 100 * float(np.mean(predicted == labels))
        write_json(place / "result.json", {"metrics": {"test_accuracy": accuracy}, "seed": run["seed"]})
        if names:
            shape = (1, 8, 8)
            Inputs(tuple(f"c{i}" for i in range(classes)), shape, (0.5,), (0.5,)).write(place)
    return folder


def test_a_metric_of_predictions_decides_after_the_fact(tmp_path: Path) -> None:
    found = study(tmp_path)
    planned = summarise(Study.read(found))
    assert [row.comparison.verdict for row in planned.compared if row.comparison] != ["helps"]
    other = summarise(judged_by(Study.read(found), "balanced_accuracy", None))
    [row] = other.compared
    assert row.comparison is not None
    assert row.comparison.verdict == "helps"
    expected = [of.balanced_accuracy(p) for run in Study.read(found).runs if (p := run.predictions())]
    assert [*other.rows[0].values, *row.values] == pytest.approx(expected)
    assert other.asked.smallest_effect == 0.5
    assert "planned with test_accuracy" in other.notes[0]
    assert "test_accuracy" in other.others


@pytest.mark.parametrize("given", ["c7_recall", "test_c7_recall"])
def test_recall_of_a_class_by_its_name(tmp_path: Path, given: str) -> None:
    other = summarise(judged_by(Study.read(study(tmp_path)), given, 1.0))
    assert other.metric.name == "test_c7_recall"
    assert other.rows[1].values == (100.0,) * 4
    assert other.compared[0].comparison is not None
    assert other.compared[0].comparison.verdict == "helps"


def test_the_step_of_a_recall_is_that_of_an_image_of_its_class(tmp_path: Path) -> None:
    for names, metric in ((True, "test_c7_recall"), (False, "test_7_recall")):
        left = seen(Study.read(study(tmp_path / metric, names=names))).left
        assert left.step(Metric.named(metric)) == 100 / 20
        assert left.step(Metric.named("test_accuracy")) == 100 / (7 * 200 + 20)


def test_recall_by_number_where_no_names_are_kept(tmp_path: Path) -> None:
    other = summarise(judged_by(Study.read(study(tmp_path, names=False)), "7_recall", 1.0))
    assert other.rows[1].values == (100.0,) * 4


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("balanced_acuracy", 'Did you mean "test_balanced_accuracy"'),
        ("c9_recall", "unknown metric"),
        ("test_accuracy", "is what the study is judged by"),
        ("top5_accuracy", "top-5 needs more than 5 classes, got 3"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line(tmp_path: Path, given: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        judged_by(Study.read(study(tmp_path, classes=3)), given, None)


def test_a_metric_without_a_direction_cannot_judge(tmp_path: Path) -> None:
    found = study(tmp_path)
    for run in Study.read(found).runs:
        result = json.loads((run.folder / "result.json").read_text())
        write_json(run.folder / "result.json", {**result, "metrics": {**result["metrics"], "counted_saving": 1.0}})
    with pytest.raises(InputError, match="counted_saving cannot judge: its name does not say which way is better"):
        judged_by(Study.read(found), "counted_saving", None)
    with pytest.raises(InputError, match="unknown metric") as told:
        judged_by(Study.read(found), "zzz", None)
    assert "counted_saving" not in str(told.value)


def test_plans_whose_levels_are_for_their_metric_are_refused(tmp_path: Path) -> None:
    looks = {"until_decided": {"max_seeds": 4, "looks": [3, 4], "alpha": 0.05}}
    with pytest.raises(InputError, match="cannot judge a study until decided"):
        judged_by(Study.read(study(tmp_path, plan=looks)), "macro_f1", None)


def test_predictions_without_probabilities(tmp_path: Path) -> None:
    found = study(tmp_path)
    for run in Study.read(found).runs:
        p = run.predictions()
        assert p is not None
        Predictions(p.labels, p.predicted, np.empty(0, np.float32)).write(run.folder / "predictions.npz")
    reasons = {"log_loss": "no probabilities", "top5_accuracy": "no ranks", "calibration_error": "no probabilities"}
    for name, why in reasons.items():
        with pytest.raises(InputError, match=why):
            judged_by(Study.read(found), name, None)
    assert judged_by(Study.read(found), "macro_f1", None).plan["metric"] == "test_macro_f1"


def test_a_study_planned_by_such_a_metric(tmp_path: Path) -> None:
    """Guards of predictions too; and a metric that a run wrote itself is left as it is."""
    guard = {"limit": 50.0, "unit": "points", "higher_is_better": False, "relative": False, "scale": None}
    plan = {"metric": "test_macro_f1", "guards": {"test_calibration_error": guard}}
    summary = summarise(Study.read(study(tmp_path, plan=plan)))
    assert summary.metric.scale == "points"
    [row] = summary.compared
    assert row.comparison is not None
    assert row.comparison.seeds == 4
    assert [one.seeds for one in row.comparison.guards] == [4]
    [first, *_] = [run for run in Study.read(tmp_path).runs if run.variant == "plain"]
    write_json(first.folder / "result.json", {"metrics": {"test_macro_f1": 12.5}, "seed": 0})
    assert summarise(Study.read(tmp_path)).rows[0].values[0] == 12.5


@pytest.mark.parametrize(("scale", "wrote", "shown"), [("points", 12.5, 12.5), ("fraction", 0.125, 12.5)])
def test_where_one_run_wrote_the_metric_the_others_predictions_give_it(
    tmp_path: Path, scale: str, wrote: float, shown: float
) -> None:
    before = summarise(Study.read(study(tmp_path, plan={"metric": "test_macro_f1"}))).rows[0].values
    plan = json.loads((tmp_path / "study.json").read_text())
    write_json(tmp_path / "study.json", {**plan, "metric_scale": scale})
    [first, *_] = [run for run in Study.read(tmp_path).runs if run.variant == "plain"]
    write_json(first.folder / "result.json", {"metrics": {"test_macro_f1": wrote}, "seed": 0})
    assert summarise(Study.read(tmp_path)).rows[0].values == pytest.approx((shown, *before[1:]))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path), "--metric", "balanced_accuracy", "--json", "--require", "helps"])
    assert ended.value.code == 0
    form = json.loads(capsys.readouterr().out)
    assert form["metric"]["name"] == "test_balanced_accuracy"
    assert (tmp_path / "by-test_balanced_accuracy" / "report.html").is_file()
    assert not (tmp_path / "report.html").exists()
    for wrong in (["--smallest_effect", "1"], ["--metric", "macro_f1", "--serve"]):
        with pytest.raises(SystemExit) as ended:
            main(["report", str(tmp_path), *wrong])
        assert ended.value.code == 2


def test_metrics_of_any_name_have_a_report_each(tmp_path: Path) -> None:
    study(tmp_path)
    names = ("精度_accuracy", "回率_accuracy", "val/accuracy", "val:accuracy")
    for number, run in enumerate(Study.read(tmp_path).runs):
        found = dict.fromkeys(names, 80.0 + number)
        write_json(run.folder / "result.json", {**run.result(), "metrics": {**run.result()["metrics"], **found}})
    for name in names:
        with pytest.raises(SystemExit) as ended:
            main(["report", str(tmp_path), "--metric", name])
        assert ended.value.code == 0
    folders = {report.parent.name for report in tmp_path.glob("by-*/report.html")}
    assert {f"by-{name}" for name in names[:2]} < folders
    assert [name[:-6] for name in folders if "val" in name] == ["by-val-accuracy-"] * 2
