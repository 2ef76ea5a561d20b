"""Tables that cannot be read: one clear line each, which names the place."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from truelift.errors import InputError
from truelift.judging import judge

GOOD = "method,seed,val_accuracy\nplain,0,90.1\nplain,1,90.4\nmixup,0,91.0\nmixup,1,91.3\n"
HEAD = "method,seed,val_accuracy\n"
ROWS = "plain,1,90.4\nmixup,0,91.0\nmixup,1,91.3\n"

CASES: dict[str, tuple[bytes | str, list[str]]] = {
    "empty": ("", ["is empty"]),
    "blank lines alone": ("\n\n  \n", ["is empty"]),
    "a header alone": (HEAD, ["a header and no rows"]),
    "no header": ("0,90.1\n1,90.4\n", ["first line must name the columns", "0, 90.1"]),
    "one variant": ("method,seed,val_accuracy\nplain,0,90\nplain,1,91\n", ['one variant, "plain"']),
    "another baseline": (GOOD.replace("plain", "plian"), ['unknown baseline "plain"', 'Did you mean "plian"?']),
    "no column of variants": ("seed,val_accuracy\n0,90\n1,91\n", ['no column holds the baseline "plain"', "--variant"]),
    "two columns that hold it": (
        "left,right,val_accuracy\nplain,plain,90\nplain,mixup,91\n",
        ["several columns, left, right", "--variant"],
    ),
    "no metric": ("method,seed\nplain,0\nmixup,0\n", ["which metric", "no column of numbers"]),
    "several metrics": ("method,seed,x,y\nplain,0,1,2\nmixup,0,1,2\n", ["which metric", "--metric (x, y)"]),
    "a metric of no direction": ("method,seed,score\nplain,0,1\nmixup,0,2\n", ["--better", "higher or lower", "score"]),
    "text in numbers": (HEAD + "plain,0,good\n" + ROWS, ["line 2, val_accuracy must be a number", '"good"']),
    "a comma as decimal point": (
        "method;seed;val_accuracy\nplain;0;90,1\nmixup;0;91,0\n",
        ["line 2", "decimal point, not a comma", '"90,1"'],
    ),
    "a comma in a number": (HEAD + "plain,0,90,1\n" + ROWS, ["line 2 has 4 fields, the header 3", "comma"]),
    "thousands": (HEAD + 'plain,0,"1,090.5"\n' + ROWS, ["line 2", "separators of thousands", '"1,090.5"']),
    "percent": (HEAD + "plain,0,90.1%\n" + ROWS, ["line 2", "percent sign"]),
    "a boolean": (HEAD + "plain,0,True\n" + ROWS, ["line 2, val_accuracy must be a number", '"True"']),
    "infinite": (HEAD + "plain,0,inf\n" + ROWS, ["line 2, val_accuracy must be finite and below 1e+100"]),
    "an underscore in a number": (HEAD + "plain,0,9_0\n" + ROWS, ["line 2, val_accuracy must be a number"]),
    "a long row": (HEAD + "plain,0,90.1,,\n" + ROWS, ["line 2 has 5 fields, the header 3"]),
    "mixed separators": (HEAD + "plain;0;90.1\n" + ROWS, ["line 2 has 1 fields", "separated by semicolons?"]),
    "a column alone": ("plain\n90\n91\n", ["one variant"]),
    "columns of one name": (GOOD.replace("seed", "method"), ['several columns named "method"']),
    "a column without a name": ("method,,val_accuracy\nplain,0,90\n", ["every column must have a name", "column 2"]),
    "utf-16": (GOOD.encode("utf-16"), ["must be in UTF-8, got UTF-16"]),
    "latin-1": (GOOD.replace("mixup", "mélange").encode("latin-1"), ["must be in UTF-8", "line 4"]),
    "zero bytes": (GOOD.replace("plain", "pl\0ain"), ["zero bytes"]),
    "a huge field": (HEAD + f"plain,0,{'9' * 200_000}\n" + ROWS, ["line 2", "field larger than field limit"]),
    "a quote that never ends": (HEAD + 'plain,0,"90.1\n' + ROWS, ["is no line of a table"]),
    "two results of a run": (GOOD + "plain,0,95\n", ['variant "plain", seed 0', "line 2 and line 6", "--step"]),
    "two data sets": (
        "method,data,seed,val_accuracy\nplain,a,0,90\nplain,b,0,91\nmixup,a,0,90\n",
        ["line 2 and line 3", "They differ in data", "--variant"],
    ),
    "two results of a step": (
        "method,seed,epoch,val_accuracy\nplain,0,1,90\nplain,0,1,91\nmixup,0,1,92\n",
        ["different results at epoch 1", "line 2 and line 3"],
    ),
    "a step that is none": (
        "method,seed,epoch,val_accuracy\nplain,0,1,90\nplain,0,,91\nmixup,0,1,92\n",
        ["line 3, epoch must be a number, got none"],
    ),
    "a run without a variant": (HEAD + ",0,90.1\n" + ROWS, ["line 2 has no variant in method"]),
    "a run without a seed": (HEAD + "plain,,90.1\n" + ROWS, ["line 2, seed must be a seed"]),
    "half a seed": (HEAD + "plain,0.5,90.1\n" + ROWS, ["line 2, seed must be a whole number", '"0.5"']),
    "a seed that is true": (HEAD + "plain,true,90.1\n" + ROWS, ["line 2, seed must be a seed"]),
    "a row a seed, twice": ("seed,plain,mixup\n0,90,91\n0,90,92\n", ["seed 0 is in line 2 and line 3"]),
    "a row a variant, twice": (
        "method,seed_0,seed_1\nplain,90,91\nplain,90,92\nmixup,1,2\n",
        ['variant "plain" is in line 2 and line 3'],
    ),
}


def message(source: Path, **asked: Any) -> str:
    with pytest.raises(InputError) as caught:
        judge(source, baseline="plain", **asked)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_table_is_one_clear_line(tmp_path: Path, case: str) -> None:
    content, words = CASES[case]
    path = tmp_path / "results.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    metric = {} if "metric" in case or "row a variant" in case else {"metric": "val_accuracy"}
    if case == "a row a variant, twice":
        metric = {"metric": "accuracy"}
    text = message(path, **metric)
    assert str(path) in text or case == "a metric of no direction"
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", "", ["is empty"]),
        ("a.jsonl", '{"method": "plain"}\n{"method": ', ["line 2 is not JSON"]),
        ("a.jsonl", '{"method": "plain"}\n[1]\n', ["line 2 must be an object, got an array"]),
        ("a.jsonl", '{"seed": 1, "seed": 2}\n', ['line 1 has "seed" twice']),
        ("a.json", '{"method": "plain"}', ["must be an array of objects, got an object"]),
        ("a.jsonl", '{"method": "plain", "acc": 1' + "0" * 400 + "}", ["line 1, acc must be finite"]),
        ("a.parquet", "no parquet", ["cannot be read as parquet"]),
        ("a.xlsx", "x", ["must be a table (.csv,"]),
        ("a.db", "no database", ["cannot be read as a database"]),
        ("trainer_state.json", '{"log_history": 3}', ["no state of a Trainer"]),
    ],
)
def test_other_files(tmp_path: Path, name: str, content: str, words: list[str]) -> None:
    (tmp_path / name).write_text(content)
    text = message(tmp_path / name, **({"metric": "acc"} if "acc" in content else {}))
    for word in (name, *words):
        assert word in text


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "does not exist" in message(tmp_path / "missing.csv")
    assert "holds no runs that can be read" in message(tmp_path)
    study = tmp_path / "my study"
    study.mkdir()
    (study / "study.json").write_text("{}")
    assert f"{study} is a study of truelift's: `truelift report '{study}'` judges it." in message(study)


def test_names_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(GOOD)
    assert 'unknown metric "val_acuracy". Did you mean "val_accuracy"?' in message(path, metric="val_acuracy")
    assert 'unknown column of seeds "sede". Did you mean "seed"?' in message(path, seed="sede")
    assert 'unknown column of variants "methods". Did you mean "method"?' in message(path, variant="methods")
    assert "--at must be last, best-validation, best=METRIC or step=N, got first" in message(path, at="first")
    assert "--at step must be a number, got x" in message(path, at="step=x")


def test_a_parquet_table_is_checked_alike(tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    pq.write_table(pa.table({"method": ["plain", "mixup"], "seed": [0, 0], "val_accuracy": [True, False]}), path)
    assert "row 1, val_accuracy must be a number, got True" in message(path, metric="val_accuracy")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (3, "got int"),
        ({"method": ["plain"], "seed": [0, 1]}, '"seed" has 2 rows, "method" has 1'),
        ({"method": "plain"}, '"method" must be a list, got str'),
        ({}, "has no columns"),
        ([], "has no columns"),
        ([{"method": "plain"}, 3], "row 2 must be an object"),
    ],
)
def test_tables_in_memory(table: object, words: str) -> None:
    with pytest.raises(InputError, match="the table") as caught:
        judge(table, baseline="plain")
    assert words in str(caught.value)
