"""Verdicts for tables: the numbers of `compare`, whatever the order of the rows, and what is said beside them."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import truelift
from truelift.errors import InputError
from truelift.report.json_form import report_form, to_json
from truelift.verdicts import compare, welch

ACCURACY = {
    "plain": [90.1, 90.4, 90.2, 90.6, 90.3],
    "mixup": [91.2, 91.6, 91.3, 91.5, 91.4],
    "noise": [90, 91, 90, 90.2, 91],
}


def rows(accuracy: dict[str, list[float]] = ACCURACY, metric: str = "test_accuracy") -> list[dict[str, Any]]:
    return [{"method": v, "seed": s, metric: x} for v, values in accuracy.items() for s, x in enumerate(values)]


def epochs(metric: str = "test_accuracy", **more: Any) -> list[dict[str, Any]]:
    """Two variants, three seeds, four epochs; the validation set is best in epoch 2, the test set in epoch 3."""
    curve = {1: (80, 70), 2: (90, 80), 3: (85, 90), 4: (84, 85)}
    return [
        {"variant": v, "seed": s, "epoch": e, "val_accuracy": val + s, metric: test + s + 2 * (v == "mixup"), **more}
        for v in ("plain", "mixup")
        for s in range(3)
        for e, (val, test) in curve.items()
    ]


def test_the_numbers_are_those_of_paired_seeds_in_any_order() -> None:
    expected = compare(
        ACCURACY["plain"], {n: ACCURACY[n] for n in ("mixup", "noise")}, higher_is_better=True, unit="points"
    )
    shuffled = rows()
    random.Random(0).shuffle(shuffled)
    judged = truelift.judge(shuffled, baseline="plain", metric="test_accuracy")
    assert {name: judged[name].difference for name in expected} == {n: c.difference for n, c in expected.items()}
    assert judged["mixup"].p_adjusted == expected["mixup"].p_adjusted
    assert judged.verdicts == {name: c.verdict for name, c in expected.items()}
    assert judged.verdicts["mixup"] == "helps"


def test_what_is_found_by_itself_is_told() -> None:
    judged = truelift.judge(rows())
    assert judged.summary.asked.baseline == "plain"
    assert judged.summary.metric.name == "test_accuracy"
    assert judged.notes == ("Read 15 runs from the table: variant from the column method, seed from the column seed.",)


def test_the_baseline_must_be_told_where_no_name_says_it() -> None:
    accuracy = {"a": [1.0, 2.0], "b": [1.0, 2.0]}
    with pytest.raises(InputError, match=r"which variant is the baseline\? Name it with --baseline \(a, b\)"):
        truelift.judge(rows(accuracy))
    with pytest.raises(InputError, match='Did you mean "plain"'):
        truelift.judge(rows(), baseline="plan")


def test_missing_pairs_and_numbers_are_named() -> None:
    table = [row for row in rows() if (row["method"], row["seed"]) not in (("mixup", 1), ("plain", 4))]
    table[0]["test_accuracy"] = float("nan")
    judged = truelift.judge(table, baseline="plain")
    assert judged.summary.problems == (
        "plain, seed 0: failed: test_accuracy is no number (NaN)",
        "plain, seed 4: there is no such run",
        "mixup, seed 1: there is no such run",
    )
    assert judged["mixup"].seeds == 2


def test_an_empty_cell_is_no_failed_run_in_any_form_of_the_table(tmp_path: Path) -> None:
    wide = "seed,plain,mixup,bad\n0,90.1,91.2,80\n1,90.4,91.6,81\n2,90.2,,80\n3,90.6,91.5,80\n4,90.3,91.4,81\n"
    head, *lines = [line.split(",") for line in wide.split()]
    tall = [(line[0], name, cell) for line in lines for name, cell in zip(head[1:], line[1:], strict=True)]
    texts = {
        "wide": wide,
        "tall": "seed,method,accuracy\n" + "".join(f"{s},{v},{x}\n" for s, v, x in tall),
        "without": "seed,method,accuracy\n" + "".join(f"{s},{v},{x}\n" for s, v, x in tall if x),
    }
    told = set()
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text)
        judged = truelift.judge(tmp_path / f"{name}.csv", baseline="plain", metric="accuracy", smallest_effect=0.5)
        assert judged.verdicts == {"mixup": "helps", "bad": "hurts"}, name
        assert judged["mixup"].seeds == 4
        told |= set(judged.summary.problems)
    assert told == {"mixup, seed 2: there is no such run", "mixup, seed 2: there is no accuracy"}
    rows = [{"seed": int(s), "method": v, "accuracy": float(x) if x else None, "state": "ok"} for s, v, x in tall]
    crashed = [row | {"state": "crashed" if row["accuracy"] is None else "ok"} for row in rows]
    assert truelift.judge(rows, baseline="plain", smallest_effect=0.5).verdicts["mixup"] == "helps"
    assert truelift.judge(crashed, baseline="plain", smallest_effect=0.5).verdicts["mixup"] == "undecided"


def test_a_variant_without_a_number_is_told() -> None:
    table = [row | {"test_accuracy": None} if row["method"] == "mixup" else row for row in rows()]
    judged = truelift.judge(table, baseline="plain", metric="test_accuracy")
    assert judged.verdicts["mixup"] == "undecided"
    assert judged.summary.problems == ("mixup, seeds 0, 1, 2, 3, 4: there is no test_accuracy",)
    unpaired = truelift.judge(table, baseline="plain", metric="test_accuracy", paired=False)
    assert unpaired.verdicts["mixup"] == "undecided"
    assert unpaired.summary.problems == judged.summary.problems


def test_an_empty_cell_without_a_seed_is_named_by_its_place() -> None:
    table = [{**row, "seed": 10 + row["seed"]} for row in rows()]
    table[6]["test_accuracy"] = table[8]["test_accuracy"] = None
    unpaired = truelift.judge(table, baseline="plain", metric="test_accuracy", paired=False)
    assert unpaired.summary.problems == ("mixup, seeds 11, 13: there is no test_accuracy",)
    for name, places in ((None, "row 7, row 9"), ("run", "r7, r9")):
        without = [{k: v for k, v in row.items() if k != "seed"} for row in table]
        for number, row in enumerate(without, start=1):
            row |= {name: f"r{number}"} if name else {}
        judged = truelift.judge(without, baseline="plain", metric="test_accuracy")
        assert judged.summary.problems == (f"mixup, {places}: there is no test_accuracy",)


def test_a_failed_run_without_a_seed_is_named_by_its_place() -> None:
    table = [{"method": row["method"], "acc": row["test_accuracy"], "state": "ok"} for row in rows()]
    table[3] |= {"acc": float("nan")}
    table[7] |= {"state": "crashed"}
    judged = truelift.judge(table, baseline="plain", metric="acc")
    assert judged.summary.problems == (
        "plain, row 4: failed: acc is no number (NaN)",
        "mixup, row 8: failed: its state is crashed",
    )


def test_seeds_that_are_names() -> None:
    table = [{**row, "seed": f"fold-{row['seed']}"} for row in rows()]
    judged = truelift.judge(table, baseline="plain")
    assert judged["mixup"].difference == truelift.judge(rows(), baseline="plain")["mixup"].difference
    assert "0 is fold-0, 1 is fold-1" in judged.notes[-1]


FOLDS = {"plain": [90.1, 91.4, 89.2, 90.6, 90.9], "mixup": [90.5, 91.5, 89.7, 90.7, 91.3]}


@pytest.mark.parametrize(
    "table",
    [
        [{"method": v, "fold": s, "test_accuracy": x} for v, of in FOLDS.items() for s, x in enumerate(of)],
        [{"method": v, "cv-fold": s, "test_accuracy": x} for v, of in FOLDS.items() for s, x in enumerate(of)],
        [{"method": v, "seed": f"fold_{s}", "test_accuracy": x} for v, of in FOLDS.items() for s, x in enumerate(of)],
        [{"fold": s, "plain": FOLDS["plain"][s], "mixup": FOLDS["mixup"][s]} for s in range(5)],
        [{"method": v, **{f"fold_{s}": x for s, x in enumerate(of)}} for v, of in FOLDS.items()],
    ],
)
def test_folds_are_no_independent_pairs(table: list[dict[str, Any]]) -> None:
    seed = "cv-fold" if "cv-fold" in table[0] else None
    judged = truelift.judge(table, baseline="plain", metric="test_accuracy", seed=seed)
    expected = compare(FOLDS["plain"], {"mixup": FOLDS["mixup"]}, higher_is_better=True, unit="points", held_out=1 / 4)
    assert judged["mixup"].p_value == expected["mixup"].p_value
    assert judged.verdicts == {"mixup": "undecided"}
    column = next((name for name in table[0] if name in ("fold", "cv-fold", "seed")), None)
    told_by = f"the column {column}" if column else "the columns' names"
    assert f"as told by {told_by}, and judged by Nadeau and Bengio's corrected t" in judged.notes[1]
    with pytest.raises(InputError, match=r"folds of one data set are compared in pairs.*leave out --unpaired"):
        truelift.judge(table, baseline="plain", metric="test_accuracy", seed=seed, paired=False)


def test_folds_that_no_variant_shares_with_the_baseline_are_refused() -> None:
    table = [
        {"method": v, "fold": s + 5 * (v == "mixup"), "acc": x} for v, of in FOLDS.items() for s, x in enumerate(of)
    ]
    with pytest.raises(InputError, match=r"no variant shares a fold with the baseline.*call these seeds") as caught:
        truelift.judge(table, baseline="plain")
    assert "--unpaired" not in str(caught.value)
    seeds = [{"seed" if key == "fold" else key: value for key, value in row.items()} for row in table]
    assert not truelift.judge(seeds, baseline="plain").summary.asked.paired


@pytest.mark.parametrize("ids", ["0", "fold_0"])
@pytest.mark.parametrize("word", ["mean", "Average", "std", "all", "mean of 5 folds", "fold-mean", "mean ± std"])
def test_a_row_that_sums_up_others_is_no_run(ids: str, word: str) -> None:
    table = [
        {"method": v, "seed": ids.replace("0", str(s)), "acc": x} for v, of in FOLDS.items() for s, x in enumerate(of)
    ]
    summaries = [{"method": v, "seed": word, "acc": sum(of) / len(of)} for v, of in FOLDS.items()]
    wide = [{"seed": ids.replace("0", str(s)), **{v: of[s] for v, of in FOLDS.items()}} for s in range(5)]
    wide += [{"seed": word, **{v: sum(of) / len(of) for v, of in FOLDS.items()}}]
    for rows, place in ((table + summaries, "row 11"), (wide, "row 6")):
        with pytest.raises(InputError) as caught:
            truelift.judge(rows, baseline="plain", metric="acc")
        assert f'the table, {place}: "{word}" is no run but a summary of others' in str(caught.value)
        assert "leave it out" in str(caught.value)
    runs = [{"run" if key == "seed" else key: value for key, value in row.items()} for row in table + summaries]
    with pytest.raises(InputError, match="is no run but a summary of others"):
        truelift.judge(runs, baseline="plain", metric="acc")


@pytest.mark.parametrize("head", ["", "seed"])
def test_a_row_of_means_under_no_name_is_no_run_either(tmp_path: Path, head: str) -> None:
    """As pandas writes `frame.loc["mean"] = frame.mean()`."""
    path = tmp_path / "a.csv"
    path.write_text(f"{head},plain,mixup\n0,90.1,91.2\n1,90.4,91.6\nmean,90.25,91.4\n")
    with pytest.raises(InputError, match=r'a\.csv, line 4: "mean" is no run'):
        truelift.judge(path, baseline="plain", metric="accuracy")


def test_seeds_that_are_words_may_be_any_words() -> None:
    table = [{**row, "seed": ("best", "all", "min", "max", "sum")[row["seed"]]} for row in rows()]
    assert truelift.judge(table, baseline="plain")["mixup"].seeds == 5


def test_folds_beside_what_is_none_are_refused() -> None:
    table = [
        {"method": v, "seed": f"fold_{s}" if s else "held", "acc": x}
        for v, of in FOLDS.items()
        for s, x in enumerate(of)
    ]
    with pytest.raises(
        InputError, match=r'the table: some rows are of folds, such as "fold_1", and others not, such as "held"'
    ):
        truelift.judge(table, baseline="plain")


def test_seeds_are_no_folds() -> None:
    assert truelift.judge(rows(), baseline="plain").summary.asked.folds is None


def test_folds_within_seeds_are_named() -> None:
    table = [row | {"fold": fold, "test_accuracy": row["test_accuracy"] + fold} for row in rows() for fold in range(3)]
    with pytest.raises(InputError, match=r"They differ in fold: give a table for each, or the mean over fold\.$"):
        truelift.judge(table, baseline="plain")


def test_a_ledger_takes_no_folds(tmp_path: Path) -> None:
    table = [{"method": v, "fold": s, "test_accuracy": x} for v, of in FOLDS.items() for s, x in enumerate(of)]
    with pytest.raises(
        InputError, match=r"^a ledger needs pairs that are independent, and folds of one data set are not"
    ):
        truelift.judge(table, baseline="plain", ledger=tmp_path / "l.jsonl")
    assert not (tmp_path / "l.jsonl").exists()


def test_runs_without_seeds_are_compared_by_welch() -> None:
    table = [{k: v for k, v in row.items() if k != "seed"} for row in rows()][:-2]
    judged = truelift.judge(table, baseline="plain")
    expected = welch(ACCURACY["plain"], ACCURACY["mixup"])
    assert not judged.summary.asked.paired
    assert judged["mixup"].p_value == pytest.approx(expected.p_value)
    assert "Welch's test" in judged.notes[-1]
    assert "Welch's test" in judged.to_json()


def test_seeds_that_nobody_shares_are_no_pairs() -> None:
    table = [
        {**row, "seed": row["seed"] + 10 * (row["method"] == "mixup")} for row in rows() if row["method"] != "noise"
    ]
    judged = truelift.judge(table, baseline="plain")
    assert judged.notes[-1].startswith("No variant shares a seed with the baseline")
    assert truelift.judge(rows(), baseline="plain", paired=False).summary.asked.paired is False


@pytest.mark.parametrize(
    ("at", "difference", "mean"),
    [
        (None, 2, 86.0),
        ("last", 2, 86.0),
        ("best-validation", 2, 81.0),
        ("best=val_accuracy", 2, 81.0),
        ("best=test_accuracy", 2, 91.0),
        ("step=1", 2, 71.0),
    ],
)
def test_the_step_that_counts(at: str | None, difference: float, mean: float) -> None:
    judged = truelift.judge(epochs(), metric="test_accuracy", at=at)
    assert judged.summary.rows[0].mean == pytest.approx(mean)
    assert judged["mixup"].difference == difference


@pytest.mark.parametrize("at", ["best-validation", "best=val_miou", "best=val_MIoU"])
def test_the_direction_that_is_given_is_that_of_the_validation_metric_too(at: str) -> None:
    table = [{**row, "val_miou": row.pop("val_accuracy")} for row in epochs("test_miou")]
    judged = truelift.judge(table, metric="test_miou", better="higher", at=at)
    assert judged.summary.rows[0].mean == pytest.approx(81)
    lower = truelift.judge(table, metric="test_miou", better="lower", at=at)
    assert lower.summary.rows[0].mean == pytest.approx(71)


def test_what_chooses_the_step_and_tells_no_direction_is_refused() -> None:
    table = [{**row, "val_score": row["val_accuracy"]} for row in epochs("test_miou")]
    with pytest.raises(InputError, match=r"name tells which way is better, got val_score"):
        truelift.judge(table, metric="test_miou", better="higher", at="best=val_score")
    # One that tells it keeps it, whatever the judged metric's.
    assert truelift.judge(table, metric="test_miou", better="lower", at="best=val_accuracy").summary.rows[0].mean == 81


def test_the_best_on_the_test_set_is_warned_about() -> None:
    warned = "flatters every variant"
    assert warned in " ".join(truelift.judge(epochs(), metric="test_accuracy", at="best=test_accuracy").notes)
    assert warned in " ".join(truelift.judge(rows(metric="best_test_accuracy"), metric="best_test_accuracy").notes)
    assert warned not in " ".join(truelift.judge(epochs(), metric="test_accuracy", at="best-validation").notes)
    of_itself = truelift.judge(epochs(), metric="val_accuracy", at="best-validation").notes
    assert "looks better than it is" in of_itself[-1]


def test_runs_without_seeds_that_end_early_are_told() -> None:
    table = [
        {"variant": variant, "run": f"{variant}{run}", "epoch": epoch, "test_accuracy": 70.0 + run + epoch / 10}
        for variant in ("plain", "mixup")
        for run in range(4)
        for epoch in range(1, 5 - (run == 1))
    ]
    told = " ".join(truelift.judge(table, baseline="plain").notes)
    assert "Most runs end at 4, but" in told
    assert told.count(" at 3") == 2


def test_a_run_that_ends_early_is_named() -> None:
    table = [row for row in epochs() if (row["variant"], row["seed"]) != ("mixup", 1) or row["epoch"] < 3]
    assert 'Most runs end at 4, but variant "mixup", seed 1 at 2.' in truelift.judge(table).notes
    judged = truelift.judge(table, metric="test_accuracy", at="step=4")
    assert judged.summary.problems == ("mixup, seed 1: failed: there is no test_accuracy at epoch 4",)


def test_a_step_that_no_run_has_is_no_failure_of_the_runs() -> None:
    with pytest.raises(InputError, match=r"^--at step must be one at which test_accuracy is there \(.*\), got 99\.$"):
        truelift.judge(epochs(), metric="test_accuracy", at="step=99")


def test_best_validation_needs_a_validation_set() -> None:
    with pytest.raises(InputError, match="needs the metric of the validation set that belongs to test_accuracy"):
        truelift.judge(rows(), at="best-validation")
    table = [{**row, "val_loss": -row["val_accuracy"]} for row in epochs()]
    for row in table:
        del row["val_accuracy"]
    with pytest.raises(InputError, match="name one, as in --at best=val_loss"):
        truelift.judge(table, metric="test_accuracy", at="best-validation")
    # The lowest loss is the best.
    assert truelift.judge(table, metric="test_accuracy", at="best=val_loss").summary.rows[0].mean == 81


def test_names_of_metrics_that_others_use() -> None:
    for name in ("acc", "Val/Acc", "eval_accuracy", "test-acc", "top1"):
        assert truelift.judge(rows(metric=name), metric=name).verdicts["mixup"] == "helps"
    with pytest.raises(InputError, match="--better must be higher or lower"):
        truelift.judge(rows(metric="bleu"), metric="bleu")
    assert truelift.judge(rows(metric="bleu"), metric="bleu", better="lower").verdicts["mixup"] == "hurts"


FRACTIONS = {name: [value / 100 for value in values] for name, values in ACCURACY.items()}


@pytest.mark.parametrize("smallest_effect", [0.0, 0.5, 2.0])
def test_fractions_are_never_taken_for_points(smallest_effect: float) -> None:
    with pytest.raises(InputError, match=r"look like fractions, 0\.9 to 0\.916: give --scale fraction"):
        truelift.judge(rows(FRACTIONS), smallest_effect=smallest_effect)
    asked: dict[str, Any] = {"smallest_effect": smallest_effect}
    in_points = truelift.judge(rows(), **asked)
    fraction = truelift.judge(rows(FRACTIONS), **asked, scale="fraction")
    assert fraction.verdicts == in_points.verdicts
    assert fraction["mixup"].difference == pytest.approx(in_points["mixup"].difference)
    assert fraction.summary.metric.unit == "points"


def test_scales_that_are_told() -> None:
    assert truelift.judge(rows(FRACTIONS), scale="points")["mixup"].difference == pytest.approx(0.0108)
    none = truelift.judge(rows(FRACTIONS), scale="none")
    assert none.summary.metric.unit == ""
    assert none["mixup"].difference == pytest.approx(0.0108)
    other: dict[str, Any] = {"table": rows(FRACTIONS, metric="iou"), "metric": "iou", "better": "higher"}
    assert truelift.judge(**other)["mixup"].difference == pytest.approx(0.0108)  # nothing is known of its name
    assert truelift.judge(**other, scale="fraction")["mixup"].difference == pytest.approx(1.08)
    with pytest.raises(InputError, match=r"--scale fraction needs results of test_accuracy within 0 and 1, got 90 to"):
        truelift.judge(rows(), scale="fraction")


def of_both(validation: float, test: float) -> list[dict[str, Any]]:
    """Runs whose accuracy is logged twice, each in a scale of its own: 1 for percent, 0.01 for fractions."""
    return [
        {"method": name, "seed": seed, "val_accuracy": x * validation, "test_accuracy": (x - 1) * test}
        for name, values in ACCURACY.items()
        for seed, x in enumerate(values)
    ]


@pytest.mark.parametrize("scale", [None, "points"])
def test_another_metric_whose_results_look_like_fractions_is_left_out(scale: Any) -> None:
    judged = truelift.judge(of_both(1, 0.01), metric="val_accuracy", smallest_effect=0.5, scale=scale)
    assert judged.verdicts["mixup"] == "helps"
    assert "test_accuracy" not in judged.summary.others
    (told,) = (line for line in judged.summary.cautions if "left out" in line)
    assert "all results of test_accuracy lie between 0 and 1" in told
    assert "study file" not in told


@pytest.mark.parametrize("test", [1, 0.01])
def test_another_metric_is_judged_in_points_beside_fractions(test: float) -> None:
    judged = truelift.judge(of_both(0.01, test), metric="val_accuracy", smallest_effect=0.5, scale="fraction")
    (mixup,) = (row for row in judged.summary.others["test_accuracy"] if row.variant == "mixup")
    assert mixup.comparison is not None
    assert mixup.comparison.difference == pytest.approx(1.08)
    assert mixup.comparison.verdict == judged.verdicts["mixup"] == "helps"


def test_a_failed_runs_number_says_nothing_of_the_scale() -> None:
    table = [{**row, "state": "finished"} for row in rows(FRACTIONS)]
    table[7] |= {"test_accuracy": 10.0, "state": "crashed"}
    with pytest.raises(InputError, match=r"look like fractions, 0\.9 to 0\.916: give --scale fraction"):
        truelift.judge(table, baseline="plain")
    judged = truelift.judge(table, baseline="plain", scale="fraction")
    assert judged["mixup"].seeds == 4
    assert judged["noise"].difference == pytest.approx(0.12)


def test_variants_in_two_scales_are_told_in_the_words_of_judge() -> None:
    table = rows({"plain": FRACTIONS["plain"], "mixup": ACCURACY["mixup"]})
    with pytest.raises(
        InputError, match=r"results of test_accuracy are not of one scale.*It is given as --scale"
    ) as told:
        truelift.judge(table, baseline="plain")
    assert "study file" not in str(told.value)


WORSE = {"plain": ACCURACY["plain"], "mixup": [x - 1.5 for x in ACCURACY["plain"][::-1]]}


def guarded(metric: str, values: dict[str, list[float]], guard: float) -> list[dict[str, Any]]:
    """Runs of two variants, with a test accuracy that mixup makes 1.5 points worse, in percent times `guard`."""
    table = rows({name: values[name] for name in WORSE}, metric=metric)
    return [{**row, "test_accuracy": WORSE[row["method"]][row["seed"]] * guard} for row in table]


LOSS = {"plain": [0.35, 0.351, 0.353, 0.352, 0.354], "mixup": [0.341, 0.34, 0.342, 0.344, 0.343]}
SECONDS = {"plain": [30.1, 30.2, 30.4, 30.3, 30.5], "mixup": [20.2, 20.4, 20.3, 20.1, 20.6]}


@pytest.mark.parametrize(
    ("metric", "values"), [("val_accuracy", ACCURACY), ("test_loss", LOSS), ("train_seconds", SECONDS)]
)
def test_a_guard_has_a_scale_of_its_own(metric: str, values: dict[str, list[float]]) -> None:
    """The verdict is the same however the guard is written, and the judged metric stays as it is."""
    asked: dict[str, Any] = {"metric": metric, "baseline": "plain"}
    percent = truelift.judge(guarded(metric, values, 1), **asked, guards={"test_accuracy": 0.5})
    assert percent["mixup"].ground == "guard broken"
    table = guarded(metric, values, 0.01)
    for scale in (None, "none") if metric != "val_accuracy" else (None, "points", "none"):
        with pytest.raises(InputError, match=r"look like fractions, 0\.8.*: give its limit as 0\.5:fraction"):
            truelift.judge(table, **asked, guards={"test_accuracy": 0.5}, scale=scale)
    fraction = truelift.judge(table, **asked, guards={"test_accuracy": "0.5:fraction"})
    assert fraction.verdicts == percent.verdicts == {"mixup": "hurts"}
    assert fraction["mixup"].guards[0].worse == pytest.approx(percent["mixup"].guards[0].worse)
    assert fraction["mixup"].difference == pytest.approx(percent["mixup"].difference)
    assert fraction.summary.metric == percent.summary.metric
    assert fraction.summary.trade_off == percent.summary.trade_off or metric == "train_seconds"
    relative = truelift.judge(table, **asked, guards={"test_accuracy": "1 %"})
    assert relative["mixup"].guards[0].worse == pytest.approx(1.66, abs=0.01)
    plain = truelift.judge(table, **asked, guards={"test_accuracy": "0.005:none"})
    assert plain["mixup"].guards[0].broken
    assert plain["mixup"].guards[0].unit == ""
    points = truelift.judge(table, **asked, guards={"test_accuracy": "0.5:points"})  # as told
    assert points["mixup"].guards[0].holds


def test_a_guard_of_fractions_beside_a_metric_of_fractions() -> None:
    table = guarded("val_accuracy", FRACTIONS, 0.01)
    judged = truelift.judge(table, metric="val_accuracy", guards={"test_accuracy": 0.5}, scale="fraction")
    assert judged["mixup"].difference == pytest.approx(1.08)
    assert judged["mixup"].guards[0].worse == pytest.approx(1.5)
    mixed = truelift.judge(
        guarded("val_accuracy", FRACTIONS, 1), metric="val_accuracy", guards={"test_accuracy": 0.5}, scale="fraction"
    )
    assert mixed["mixup"].guards[0].worse == pytest.approx(1.5)


@pytest.mark.parametrize(("metric", "values"), [("test_loss", LOSS), ("train_seconds", SECONDS)])
@pytest.mark.parametrize("scale", ["points", "fraction"])
def test_a_loss_or_a_time_is_not_in_points(metric: str, values: dict[str, list[float]], scale: Any) -> None:
    with pytest.raises(InputError, match=f"--scale {scale} is for accuracies, errors and the like, got {metric}"):
        truelift.judge(rows({name: values[name] for name in WORSE}, metric=metric), metric=metric, scale=scale)


@pytest.mark.parametrize("limit", ["0.5:percent", "3 %:fraction", ":fraction", "0.5:", "-1:points"])
def test_limits_that_are_none(limit: str) -> None:
    table = guarded("val_accuracy", ACCURACY, 0.01)
    with pytest.raises(InputError, match="guard test_accuracy must have a limit of at least 0"):
        truelift.judge(table, metric="val_accuracy", guards={"test_accuracy": limit})


def test_a_frame_of_mlflows_search() -> None:
    table = [
        {
            "run_id": str(i),
            "status": "FAILED" if i == 4 else "FINISHED",
            "params.method": row["method"],
            "params.seed": str(row["seed"]),
            "metrics.val_accuracy": row["test_accuracy"],
            "tags.mlflow.user": "a",
        }
        for i, row in enumerate(rows())
    ]
    judged = truelift.judge(table, baseline="plain", metric="val_accuracy", seed="seed")
    assert judged.verdicts["mixup"] == "helps"
    assert judged.summary.problems == ("plain, seed 4: failed: its status is FAILED",)
    assert "variant from the column params.method, seed from the column params.seed" in judged.notes[0]


def test_a_direction_against_the_name_is_told() -> None:
    told = [
        [
            note
            for note in truelift.judge(rows(), baseline="plain", metric="test_accuracy", better=better).notes
            if "opposite" in note
        ]
        for better in (None, "higher", "lower")
    ]
    assert told == [
        [],
        [],
        ["test_accuracy is judged as better where it is lower, as asked; its name says the opposite."],
    ]


@pytest.mark.parametrize(
    ("metric", "better", "told"), [("top1", "lower", 1), ("val_err", "higher", 1), ("acc", "higher", 0)]
)
def test_a_direction_against_a_short_name_is_told_too(metric: str, better: Any, told: int) -> None:
    notes = truelift.judge(rows(metric=metric), baseline="plain", metric=metric, better=better).notes
    sentence = f"{metric} is judged as better where it is {better}, as asked; its name says the opposite."
    assert notes.count(sentence) == told
    assert len(notes) == 1 + told


def test_guards(tmp_path: Path) -> None:
    table = [
        {**row, "test_loss": 0.3 + row["seed"] / 50 + 0.2 * (row["method"] == "noise"), "other": 1.0} for row in rows()
    ]
    noise = random.Random(1)
    for row in table:
        row["test_loss"] += noise.random() / 50
    asked: dict[str, Any] = {"baseline": "plain", "metric": "test_accuracy"}
    judged = truelift.judge(table, **asked, guards={"test_loss": 0.1})
    assert judged.verdicts == {"mixup": "helps", "noise": "hurts"}
    assert [judged["mixup"].guards[0].holds, judged["noise"].guards[0].broken] == [True, True]
    by_name = json.loads(to_json(report_form(judged.summary)))["variants"]
    assert [guard["metric"] for variant in by_name for guard in variant["guards"]] == ["test_loss", "test_loss"]
    relative = truelift.judge(table, **asked, guards={"test_loss": "10 %"})
    assert relative["mixup"].guards[0].unit == "percent of baseline"
    assert truelift.judge(table, **asked, guards={"test_loss": 1e-5})["mixup"].guards[0].limit == 1e-5
    for guards, words in (
        ({"loss": 1}, 'unknown guard "loss"'),
        ({"other": 1}, "cannot be a guard"),
        ({"test_accuracy": 1}, "another metric than the one that is judged"),
        ({"test_loss": "much"}, "must have a limit of at least 0"),
        ({"test_loss": -1}, "must have a limit of at least 0"),
    ):
        with pytest.raises(InputError, match=words):
            truelift.judge(table, **asked, guards=guards)
    with pytest.raises(InputError, match="guards need runs that are pairs"):
        truelift.judge(table, **asked, guards={"test_loss": 1}, paired=False)


def test_two_guards_of_one_metric_and_two_metrics_of_one_label() -> None:
    table = [
        {
            **row,
            "test loss": 0.3 + 0.2 * (row["method"] == "mixup") + row["seed"] ** 2 / 1e3,
            "test_loss": 1 + i / 1e3,
            "val/loss": 1.0,
        }
        for i, row in enumerate(rows({name: ACCURACY[name] for name in ("plain", "mixup")}))
    ]
    asked: dict[str, Any] = {"baseline": "plain", "metric": "test_accuracy"}
    with pytest.raises(InputError, match='guard val/loss is given twice, as "val/loss" and "val_loss"'):
        truelift.judge(table, **asked, guards={"val/loss": 0.0001, "val_loss": 5})
    judged = truelift.judge(table, **asked, guards={"test loss": 0.05, "test_loss": 0.05})
    by_name = {guard["metric"]: guard["worse"] for guard in json.loads(judged.to_json())["variants"][1]["guards"]}
    assert by_name == {"test loss": pytest.approx(0.2), "test_loss": pytest.approx(0.005)}
    assert "test loss gets 0.2 worse" in judged["mixup"].reason


def test_a_variant_a_run_is_no_study() -> None:
    table = [{"method": f"m{i}", "seed": i, "accuracy": i} for i in range(5)]
    with pytest.raises(InputError, match="every variant has one run, with the variants from the column method"):
        truelift.judge(table, baseline="m0")


def exported(default: str = "", **more: Any) -> list[dict[str, Any]]:
    """Runs as a tracker's table has them: each has a name of its own, and a setting at its default is not logged."""
    return [
        {
            "Name": f"fox-{i}",
            "Status": "FINISHED",
            "aug": default if row["method"] == "plain" else row["method"],
            "lr": 0.1 if i < 7 else 0.2,
            "wd": 0.01,
            "seed": row["seed"],
            "acc": row["test_accuracy"],
            **more,
        }
        for i, row in enumerate(rows())
    ]


def test_names_of_runs_are_no_variants() -> None:
    table = exported()
    table[8]["Status"] = "FAILED"
    for baseline in (None, "fox-0"):
        with pytest.raises(InputError) as caught:
            truelift.judge(table, metric="acc", baseline=baseline)
        assert str(caught.value) == (
            "the table: every variant has one run, with the variants from the column Name: name the column or setting "
            "that tells them apart with --variant (aug, lr)."
        )
    with pytest.raises(InputError, match=r'no column holds the baseline "none".* with --variant \(aug, lr\)\.$'):
        truelift.judge(table, metric="acc", baseline="none")


STEPS = " If these are steps of one run, name their column with --step."
RERUN = " If it was run again, leave one of the two out, chosen by anything but its result."


@pytest.mark.parametrize("step", [{}, {"step": 99}])
def test_a_run_that_was_made_twice_is_not_told_to_be_a_variant_of_its_own(step: dict[str, int]) -> None:
    table = exported("plain", **step)
    table += [{**table[7], "Name": "retry-1", "acc": 91.31}]
    with pytest.raises(InputError) as caught:
        truelift.judge(table, metric="acc", baseline="plain")
    assert str(caught.value).endswith(
        f"in row 8 and row 16: a variant has one run a seed.{'' if step else STEPS}{RERUN}"
    )
    table = [{**row, "data": "a" if i < 15 else "b"} for i, row in enumerate(table)]
    with pytest.raises(InputError, match=r"They differ in data: make it part of the variant \(--variant\), or give a"):
        truelift.judge(table, metric="acc", baseline="plain")


def test_a_column_of_runs_is_no_variant_of_a_row_a_seed() -> None:
    table = [{"run": 100 + i, "plain": 90.0 + i % 3, "mixup": 91.0 + i % 2} for i in range(6)]
    assert truelift.judge(table, baseline="plain", metric="accuracy").verdicts.keys() == {"mixup"}


def test_folds_that_a_column_of_runs_names_are_refused() -> None:
    table = [
        {"method": method, "run": f"fold_{i}", "accuracy": base + i}
        for method, base in (("plain", 90.0), ("mixup", 93.0))
        for i in range(4)
    ]
    with pytest.raises(InputError, match="--seed"):
        truelift.judge(table, baseline="plain", metric="accuracy")


def test_a_seed_that_never_changes_gives_way_to_folds_in_a_row_a_seed() -> None:
    table = [{"seed": 7, "fold": i, "plain": 90.0 + i, "mixup": 91.5 + i * 1.1} for i in range(5)]
    assert truelift.judge(table, baseline="plain", metric="accuracy").summary.asked.folds == 5


def test_a_seed_that_never_changes_gives_way_to_folds() -> None:
    table = [{"method": v, "seed": 42, "fold": s, "acc": x} for v, of in FOLDS.items() for s, x in enumerate(of)]
    judged = truelift.judge(table, baseline="plain")
    assert judged.summary.asked.folds == 5


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_cell_of_a_column_that_is_named_is_a_variant(empty: Any) -> None:
    judged = truelift.judge(exported(empty), metric="acc", variant="aug")
    expected = truelift.judge(rows(), metric="test_accuracy")
    assert judged.summary.asked.baseline == "none"
    assert judged.verdicts == expected.verdicts
    assert judged["mixup"].difference == expected["mixup"].difference
    assert 'Runs without a value of aug are the variant "none".' in judged.notes
    assert truelift.judge(exported(empty), metric="acc", variant="aug", baseline="mixup").verdicts["none"] == "hurts"


def test_an_empty_variant_beside_one_of_that_name_is_refused() -> None:
    table = exported()
    table[3]["aug"] = "None"
    with pytest.raises(InputError, match=r"^the table, row 1 has no variant in aug, where another has \"None\"\.$"):
        truelift.judge(table, metric="acc", variant="aug")


def test_an_empty_variant_in_a_column_that_was_found_is_asked_about() -> None:
    table = [{**row, "method": "" if row["method"] == "noise" else row["method"]} for row in rows()]
    wide = [{"method": v, **{f"seed_{s}": x for s, x in enumerate(of)}} for v, of in ACCURACY.items()]
    wide[2]["method"] = None
    for source, place in ((table, "row 11"), (wide, "row 3")):
        with pytest.raises(InputError) as caught:
            truelift.judge(source, baseline="plain", metric="test_accuracy")
        assert str(caught.value) == (
            f'the table, {place} has no variant in method. If it is one of its own, to be called "none", say so with '
            "--variant method."
        )
        judged = truelift.judge(source, baseline="plain", metric="test_accuracy", variant="method")
        assert judged["none"].seeds == 5


def test_it_shows_itself(tmp_path: Path) -> None:
    hostile = {"plain": ACCURACY["plain"], "<script>&\x1b[31m": ACCURACY["mixup"]}
    judged = truelift.judge(rows(hostile), baseline="plain", question="Is <i> better?")
    assert "helps" in str(judged)
    assert "\x1b" not in str(judged)
    html = judged._repr_html_()
    assert "&lt;script&gt;&amp;" in html
    assert "<script" not in html
    assert "Is &lt;i&gt; better?" in html
    assert "Read 10 runs" in html
    with pytest.raises(InputError, match="folder must be given"):
        judged.write()
    page = judged.write(tmp_path / "out")
    assert page.read_text().split("</head>")[0].count("<title>") == 1
    forms = {f"report.{e}" for e in ("html", "md", "csv", "tex")} | {"report-runs.csv"}
    assert {path.name for path in page.parent.iterdir()} == forms
    assert json.loads(judged.to_json())["variants"][1]["verdict"] == "helps"
    with pytest.raises(InputError, match='unknown variant "mix"'):
        judged["mix"]


def test_curves_of_other_runs_are_drawn() -> None:
    table = [{**row, "train_loss": 1 / row["epoch"]} for row in epochs()]
    judged = truelift.judge(table)
    picture = judged.summary.pictures[0]
    assert picture.drawn.name == "train_loss"
    assert np.asarray(picture.curves["plain"].values).shape[-1] == 4


def test_an_unpaired_report_says_so(tmp_path: Path) -> None:
    judged = truelift.judge(rows(), paired=False)
    page = judged.write(tmp_path).read_text()
    for form in (page, (tmp_path / "report.md").read_text(), (tmp_path / "report.tex").read_text()):
        assert "Welch" in form
        assert "paired-t" not in form
        assert "complete pairs" not in form


def test_the_report_tells_how_the_runs_were_read(tmp_path: Path) -> None:
    page = truelift.judge(epochs(), metric="test_accuracy", at="best=test_accuracy").write(tmp_path).read_text()
    for form in (page, (tmp_path / "report.md").read_text()):
        assert "How the runs were read" in form
        assert "flatters every variant" in form


def test_in_a_notebook_its_text_is_the_table_and_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """There rich would show the table at once, and leave print() nothing; and a kernel asks for colours."""
    judged = truelift.judge(rows(), baseline="plain")
    plain = str(judged)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert str(judged) == plain
    assert "mixup" in plain
    assert "\x1b" not in plain


def test_runs_of_which_a_reader_notes_nothing_are_none_of_truelifts() -> None:
    asked = truelift.judge(rows()).summary.asked
    assert asked.made_elsewhere
    assert replace(asked, notes=()).made_elsewhere


def test_a_verdict_has_one_symbol_on_the_page_and_in_a_notebook(tmp_path: Path) -> None:
    judged = truelift.judge(rows(), baseline="plain", smallest_effect=5)
    assert judged.verdicts["noise"] == "no effect"
    assert "■ no effect" in judged._repr_html_()
    assert "■ no effect" in judged.write(tmp_path).read_text()
