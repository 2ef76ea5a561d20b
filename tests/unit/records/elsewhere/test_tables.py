"""Tables of every form, and what is read from them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from truelift.errors import InputError
from truelift.judging import judge
from truelift.records.elsewhere import RunTable, Wanted, read_runs
from truelift.records.elsewhere.cells import number, seed_of, text
from truelift.records.elsewhere.flat_yaml import read_flat_yaml
from truelift.records.elsewhere.names import find_variants, name_parts

RESULTS = {("plain", 0): 90.1, ("plain", 1): 90.4, ("mixup", 0): 91.0, ("mixup", 1): 91.3}
ROWS = [{"method": v, "seed": s, "val_accuracy": x} for (v, s), x in RESULTS.items()]
PLAIN = Wanted(baseline="plain")


def results(table: RunTable, metric: str = "val_accuracy") -> dict[tuple[str, int | str | None], float]:
    return {(run.variant, run.seed): float(run.series[metric].values[-1]) for run in table.runs}


def write(path: Path, separator: str, rows: list[dict[str, Any]] = ROWS, encoding: str = "utf-8") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    ("name", "separator", "encoding"),
    [
        ("a.csv", ",", "utf-8"),
        ("a.csv", ";", "utf-8"),
        ("a.csv", ",", "utf-8-sig"),
        ("a.tsv", "\t", "utf-8"),
        ("a.txt", "|", "utf-8"),
    ],
)
def test_separators_and_marks_of_utf_8(tmp_path: Path, name: str, separator: str, encoding: str) -> None:
    table = read_runs(write(tmp_path / name, separator, encoding=encoding), PLAIN)
    assert results(table) == RESULTS
    assert table.told.endswith(f"{name}: variant from the column method, seed from the column seed")


def test_json_lines_arrays_and_parquet(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text("\n".join(json.dumps({"config": {"method": r["method"]}, **r}) for r in ROWS))
    array = tmp_path / "a.json"
    array.write_text(json.dumps(ROWS))
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    for path in (lines, array, tmp_path / "a.parquet"):
        assert results(read_runs(path, PLAIN)) == RESULTS
    assert results(read_runs(columns, PLAIN)) == RESULTS
    assert results(read_runs(pa.table(columns), PLAIN)) == RESULTS
    assert results(read_runs(ROWS, PLAIN)) == RESULTS


def test_a_short_row_ends_in_empty_cells(tmp_path: Path) -> None:
    """As pandas reads it."""
    path = tmp_path / "a.csv"
    path.write_text("method,seed,val_accuracy,note,more\nplain,0,90,x,y\nplain,1\nmixup,0,91\nmixup,1,92,x\n")
    table = read_runs(path, PLAIN)
    assert {(run.variant, run.seed): len(run.series) for run in table.runs} == {
        ("plain", 0): 1,
        ("plain", 1): 0,
        ("mixup", 0): 1,
        ("mixup", 1): 1,
    }
    assert judge(path, baseline="plain").summary.problems == ("plain, seed 1: there is no val_accuracy",)


def test_a_folder_of_tables_is_a_run_each(tmp_path: Path) -> None:
    for form in ("{0}_s{1}.csv", "{0}/seed-{1}/log.csv"):
        home = tmp_path / ("deep" if "/" in form else "flat")
        for (variant, seed), value in RESULTS.items():
            path = home / form.format(variant, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"Epoch,phase,train_loss,val_accuracy\n1,warm,2.5,50\n2,main,1.5,{value}\n")
        table = read_runs(home, PLAIN)
        assert results(table) == RESULTS
        assert table.runs[0].series["train_loss"].steps.tolist() == [1, 2]
        assert table.told.endswith(
            "(CSV files): variant from the runs' names, seed from the runs' names, steps from Epoch"
        )
    (home / "notes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(
        InputError, match=r"is no folder of one table a run: notes\.csv tells no seed, as plain_s0\.csv or"
    ):
        read_runs(home, PLAIN)


def test_the_row_numbers_of_pandas_are_no_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",method,seed,val_accuracy\n0,plain,0,90\n1,mixup,0,91\n")
    assert read_runs(path, PLAIN).metrics == ("val_accuracy",)


class Frame:
    """What pandas and polars have in common."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]


def test_a_frame_of_numpy_columns() -> None:
    columns = {"method": ["plain", "mixup"], "seed": np.array([0, 0]), "val_accuracy": np.array([90.0, 91.0], "f4")}
    assert results(read_runs(Frame(columns), PLAIN)) == {("plain", 0): 90, ("mixup", 0): 91}


def test_objects_within_objects_are_read_as_from_json(tmp_path: Path) -> None:
    configs = ({"method": name, "seed": {"of": np.int64(3)}} for name in ("plain", "b"))
    rows = [{"config": config, "val_accuracy": x} for config, x in zip(configs, (90, 91), strict=True)]
    wanted = Wanted(baseline="plain", seed="config.seed.of")
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row, default=int) for row in rows))
    for source in (rows, path):
        assert results(read_runs(source, wanted)) == {("plain", 3): 90, ("b", 3): 91}


def test_a_column_may_be_named_as_an_attribute_of_arrow() -> None:
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    frame = Frame({**columns, "column_names": np.array(["x"] * len(ROWS))})
    frame.column_names = frame["column_names"]  # type: ignore[attr-defined]  # as pandas has a column's name
    assert results(read_runs(frame, PLAIN)) == RESULTS


def test_an_array_in_a_cell_is_no_result() -> None:
    rows = [
        {"method": v, "seed": 0, "val_accuracy": x, "of_classes": np.zeros(2)}
        for v, x in (("plain", 90), ("mixup", 91))
    ]
    table = read_runs(rows, PLAIN)
    assert results(table) == {("plain", 0): 90, ("mixup", 0): 91}
    assert table.metrics == ("val_accuracy",)


def test_a_row_a_seed() -> None:
    table = read_runs(
        {"seed": [3, 1], "plain": [90, 91], "mixup": [92, None], "note": ["a", "b"]},
        Wanted(baseline="plain", metric="accuracy"),
    )
    assert results(table, "accuracy") == {("plain", 3): 90, ("mixup", 3): 92, ("plain", 1): 91}
    assert table.variant_from == "the columns' names"


def test_a_row_a_variant() -> None:
    table = read_runs({"method": ["plain", "mixup"], "seed_0": [90, 91], "seed 7": [92, 93]}, PLAIN)
    expected = {("plain", 0): 90, ("plain", 7): 92, ("mixup", 0): 91, ("mixup", 7): 93}
    assert results(table, "value") == expected
    assert table.seed_from == "the columns' names"


def test_a_row_a_quantity() -> None:
    rows = [
        {"method": v, "seed": s, "metric": m, "value": x + (m == "loss")}
        for (v, s), x in RESULTS.items()
        for m in ("val_accuracy", "loss")
    ]
    table = read_runs(rows, PLAIN)
    assert results(table) == RESULTS
    assert results(table, "loss")["plain", 0] == pytest.approx(91.1)


def test_several_rows_a_run_are_ordered_by_step_not_by_row() -> None:
    rows = [
        {
            "method": v,
            "seed": 0,
            "epoch": e,
            "val_accuracy": 10 * e + (v == "mixup"),
            "train_loss": None if e % 2 else e,
        }
        for e in (3, 1, 2)
        for v in ("plain", "mixup")
    ]
    table = read_runs(rows, PLAIN)
    series = table.runs[0].series
    assert series["val_accuracy"].steps.tolist() == [1, 2, 3]
    assert series["val_accuracy"].values.tolist() == [10, 20, 30]
    assert series["train_loss"].steps.tolist() == [2]  # only where it was logged
    assert table.steps_from == "the column epoch"


def test_equal_rows_count_once_and_are_told() -> None:
    table = read_runs([*ROWS, ROWS[0]], PLAIN)
    assert results(table) == RESULTS
    assert table.notes == ('variant "plain", seed 0 is in row 1 and row 5 alike: it counts once.',)


def test_several_columns_make_a_variant() -> None:
    rows = [{"lr": lr, "wd": wd, "seed": s, "accuracy": 1} for lr in (0.1, 0.2) for wd in (0, 1) for s in (0, 1)]
    table = read_runs(rows, Wanted(variant=("lr", "wd")))
    assert {run.variant for run in table.runs} == {"lr=0.1 wd=0", "lr=0.1 wd=1", "lr=0.2 wd=0", "lr=0.2 wd=1"}


def test_runs_without_seeds() -> None:
    table = read_runs({"method": ["plain", "plain", "mixup"], "accuracy": [1, 2, 3]}, PLAIN)
    assert [run.seed for run in table.runs] == [None] * 3
    assert table.seed_from == "nowhere"


def test_the_column_with_the_baseline_is_the_one_of_variants() -> None:
    columns: dict[str, list[Any]] = {"model": ["r18", "r18"], "aug": ["plain", "mixup"], "seed": [0, 0]}
    found = find_variants(columns, (), "plain")
    assert found is not None
    assert found.columns == ("aug",)
    # Without a baseline, the usual column that varies.
    found = find_variants({"method": ["a", "a"], "group": ["x", "y"]}, (), None)
    assert found is not None
    assert found.columns == ("group",)


def test_a_run_that_the_table_calls_crashed() -> None:
    table = read_runs([{**row, "State": "crashed" if row["seed"] else "finished"} for row in ROWS], PLAIN)
    assert {run.seed: run.failed for run in table.runs} == {0: None, 1: "its State is crashed"}


def test_settings_are_what_is_constant_in_a_run() -> None:
    rows = [
        {"method": "plain", "seed": 0, "epoch": e, "optimizer": "sgd", "note": str(e) + "x", "acc": e} for e in (1, 2)
    ]
    assert read_runs(rows, PLAIN).runs[0].facts == {"optimizer": "sgd"}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("mixup/seed-3/version_0", ("mixup", 3)),
        ("plain_s12", ("plain", 12)),
        ("seed=4/resnet18-cutmix", ("resnet18-cutmix", 4)),
        ("resnet18", ("resnet18", None)),
        ("sgd-seed1-lr0.1", ("sgd-lr0.1", 1)),
        ("lightning_logs/version_3", ("lightning_logs/version_3", None)),
    ],
)
def test_the_parts_of_names(name: str, parts: tuple[str, int | None]) -> None:
    assert name_parts(name) == parts


def test_cells() -> None:
    assert number(" 1e-3 ", "a", "line 1") == 0.001
    assert number("0,5".replace(",", "."), "a", "line 1") == 0.5
    assert np.isnan(number("NaN", "a", "line 1") or 0)
    assert all(number(missing, "a", "line 1") is None for missing in ("", "NA", "n/a", "null", "-", None))
    assert [seed_of(s, "seed", "line 1") for s in ("1", "1.0", 1.0, 1, "fold-a")] == [1, 1, 1, 1, "fold-a"]
    assert [text(value) for value in (1.0, "1", None, float("nan"), True)] == ["1", "1", "", "", "True"]


def test_the_scalars_of_a_small_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "hparams.yaml"
    path.write_text(
        "seed: 3\nlr: 1.0e-3\nname: 'a: b'\noptimizer:\n  name: sgd\n  betas:\n  - 0.9\nother: null\n# no\n"
    )
    expected = {"seed": 3, "lr": 0.001, "name": "a: b", "optimizer.name": "sgd", "other": None}
    assert read_flat_yaml(path) == expected
