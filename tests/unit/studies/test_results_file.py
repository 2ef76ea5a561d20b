"""A program that writes its numbers into a table of its own: the key `results`, of which the last row counts."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from truelift.errors import InputError
from truelift.records import Run
from truelift.studies.command import read_program
from truelift.studies.program_metrics import UnmeasuredError, read_metrics
from truelift.studies.worker import run_command

LOG = "epoch,test_acc,note\n0,61.5,warm\n1,88.25,\n"


def test_the_last_row_of_a_table_counts(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    told: list[str] = []
    assert read_metrics(tmp_path / "log.csv", "test_acc", told.append) == ({"epoch": 1, "test_acc": 88.25}, ["note"])
    assert told == ["truelift: log.csv: 'note' is left out, since it is no finite number: ''"]
    (tmp_path / "log.tsv").write_text("a\tb\n1\tnan\n")
    assert read_metrics(tmp_path / "log.tsv", "a") == ({"a": 1}, ["b"])
    with pytest.raises(InputError, match=r"^log\.tsv must have a finite number b, got b: nan$"):
        read_metrics(tmp_path / "log.tsv", "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LOG, r"log\.csv must have a finite number acc, got only \['epoch', 'test_acc'\]"),
        ("", r"log\.csv is empty"),
        ("a,acc\n", r"log\.csv has a header and no rows"),
        ("a,acc\n1,2,3\n", r"log\.csv: line 2 has 3 fields, the header 2"),
    ],
)
def test_a_table_without_the_metric(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "log.csv").write_text(content)
    with pytest.raises(UnmeasuredError, match=f"^{message}") as raised:
        read_metrics(tmp_path / "log.csv", "acc")
    assert str(tmp_path) not in str(raised.value)


def test_a_run_takes_up_its_table_and_none_of_an_earlier_try(tmp_path: Path) -> None:
    program = "test -e {out}/log.csv || printf 'e,acc\\n0,1\\n1,88.5\\n' > {out}/log.csv"
    config: dict[str, Any] = {
        "command": f"sh -c '{{seed}} 2>/dev/null; {program}'".replace("'e,", '"e,').replace("\\n' >", '\\n" >')
    }
    config |= {"args": "", "seed": 0, "results": "log.csv"}
    (tmp_path / "config.toml").write_text(tomli_w.dumps(config))
    (tmp_path / "log.csv").write_text("e,acc\n0,7\n")
    run_command(config, tmp_path, "acc")
    assert Run("a", 0, tmp_path).result()["metrics"] == {"e": 1, "acc": 88.5}


def test_the_key(tmp_path: Path) -> None:
    program = read_program("a {seed} {out}", {"results": "logs/log.csv"})
    assert program.config() == {"results": "logs/log.csv"}
    for wrong in ("", "/log.csv", "../log.csv", "log.txt", 3, "result.json", "logs/../../x.csv"):
        with pytest.raises(InputError, match="results must be"):
            read_program("a {seed} {out}", {"results": wrong})
