"""The plan of looks: in a study file, on the command line, and what contradicts itself."""

from pathlib import Path
from typing import Any

import pytest

from truelift.errors import InputError
from truelift.studies.looks import GivenLooks, read_looks
from truelift.studies.plan import StudyPlan
from truelift.studies.study_file import read_plan

STUDY = 'command = "true {seed} {out} {args}"\nmetric = "my_accuracy"\n'
VARIANTS = "[variants.a]\n[variants.b]\n[variants.c]\n[variants.d]\n"


def plan(tmp_path: Path, keys: str = "", tables: str = "", **options: Any) -> StudyPlan:
    file = tmp_path / "study.toml"
    file.write_text(f"{STUDY}{keys}\n{tables}\n{VARIANTS}")
    return read_plan(file, **options)


def test_a_file_asks_for_it(tmp_path: Path) -> None:
    found = plan(tmp_path, tables="[until_decided]\nmax_seeds = 6")
    assert found.looks is not None
    assert found.looks.seeds == (3, 4, 5, 6)
    assert found.seeds == (0, 1, 2, 3, 4, 5)
    assert found.record("", "")["until_decided"] == {"max_seeds": 6, "looks": [3, 4, 5, 6], "alpha": 0.05}
    batches = plan(tmp_path, tables="[until_decided]\nlooks = [3, 5, 8]")
    assert batches.looks is not None
    assert batches.looks.seeds == (3, 5, 8)
    assert len(batches.seeds) == 8


def test_the_command_line_asks_for_it_whatever_the_file_says(tmp_path: Path) -> None:
    fixed = plan(tmp_path, "seeds = 9")
    assert fixed.looks is None
    assert fixed.record("", "")["until_decided"] is None
    found = plan(tmp_path, "seeds = 9", looks=GivenLooks(until_decided=True, max_seeds=4))
    assert found.looks is not None
    assert (found.looks.seeds, found.seeds) == ((3, 4), (0, 1, 2, 3))
    other = plan(tmp_path, tables="[until_decided]\nlooks = [3, 8]", looks=GivenLooks(looks="3,5,12"))
    assert other.looks is not None
    assert other.looks.seeds == (3, 5, 12)
    assert plan(tmp_path, tables="[until_decided]\nmax_seeds = 6", seeds=5).looks is None


def test_a_scale_has_its_own_seeds(tmp_path: Path) -> None:
    file = "[until_decided]\nmax_seeds = 6\n[scales.quick]\n"
    same = plan(tmp_path, tables=file, scale="quick")
    assert same.looks is not None
    assert same.looks.most_seeds == 6
    assert plan(tmp_path, tables=f"{file}seeds = 3", scale="quick").looks is None
    own = plan(tmp_path, tables=f"{file}until_decided.max_seeds = 4", scale="quick")
    assert own.looks is not None
    assert own.looks.most_seeds == 4


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (3, "until_decided must be a table with max_seeds, got 3"),
        ({}, "a study until decided needs max_seeds"),
        ({"max_seed": 5}, 'unknown key of until_decided "max_seed"'),
        ({"max_seeds": "9"}, "max_seeds must be a whole number, got '9'"),
        ({"max_seeds": True}, "max_seeds must be a whole number, got True"),
        ({"max_seeds": 2}, "max_seeds must be 3 to 200, got 2"),
        ({"looks": 5}, "looks must be a list of whole numbers, got 5"),
        ({"looks": [3, 3.5]}, "looks must be a list of whole numbers"),
        ({"looks": []}, "looks must be numbers of seeds that rise"),
        ({"looks": [5, 3]}, "looks must be numbers of seeds that rise"),
        ({"looks": [3, 5], "max_seeds": 8}, r"the last of looks must be max_seeds, 8, got \[3, 5\]"),
    ],
)
def test_a_wrong_table_is_one_line(table: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_looks(table)


@pytest.mark.parametrize(
    ("keys", "tables", "options", "said"),
    [
        ("", "", {"looks": GivenLooks(until_decided=True)}, "--until-decided needs --max-seeds"),
        ("", "", {"looks": GivenLooks(max_seeds=5)}, "max_seeds is for a study until decided"),
        ("", "", {"looks": GivenLooks(True, 5), "seeds": 5}, "seeds = 5 fixes their number, and --until-decided"),
        ("", "", {"looks": GivenLooks(True, None, "3;5")}, "looks must be whole numbers with commas"),
        ("seeds = 5", "[until_decided]\nmax_seeds = 5", {}, "seeds and until_decided exclude each other"),
        ('pooling = "guarded"', "[until_decided]\nmax_seeds = 5", {}, "has no form that holds at any stop"),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, keys: str, tables: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        plan(tmp_path, keys, tables, **options)
