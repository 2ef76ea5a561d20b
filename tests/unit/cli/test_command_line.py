"""Every option of every command, with hyphens as with underscores."""

from pathlib import Path
from typing import Any

import pytest

from truelift.cli import _COMMANDS, app
from truelift.cli.amounts import size, time
from truelift.cli.progress import begun_line, progress_line, progress_table
from truelift.records import Run
from truelift.records.progress import RunProgress, StudyProgress
from truelift.training.settings import expand_names


def value_of(argument: Any) -> list[str]:
    """Some value that its type takes."""
    hint = str(argument.hint)
    choices = argument.get_choices()
    if choices:
        return [choices[0]]
    if "bool" in hint:
        return []
    return ["3"]


@pytest.mark.parametrize("command", [name for name in _COMMANDS if name not in ("recipes", "schema", "figure")])
def test_hyphens_and_underscores_are_the_same(command: str) -> None:
    positional = {"study": ["x.toml"], "judge": ["x.csv"], "report": ["runs/x"], "ledger": ["l"]}.get(command, [])
    for argument in app[command].assemble_argument_collection():
        name = argument.name
        if not name.startswith("--") or not argument.parse or "_" not in name or "dict" in str(argument.hint):
            continue
        given = [value_of(argument)]
        found = []
        for spelling in (name, name.replace("_", "-")):
            tokens = expand_names([command, *positional, spelling, *given[0]])
            _, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
            found.append(bound.arguments)
        assert found[0] == found[1], name


def test_help_has_one_spelling_of_each() -> None:
    for command in _COMMANDS:
        for argument in app[command].assemble_argument_collection():
            assert len({name.replace("-", "_") for name in argument.names}) == len(argument.names), argument.names


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (size(0), "0 B"),
        (size(1023), "1023 B"),
        (size(1536), "1.5 KiB"),
        (size(5 * 2**40), "5.0 TiB"),
        (time(0.4), "0 s"),
        (time(59.6), "1 min"),
        (time(61), "1 min 1 s"),
        (time(3599.7), "1 h"),
        (time(86_399), "24 h"),
        (time(90_000), "1 d 1 h"),
        (time(-5), "0 s"),
    ],
)
def test_amounts(shown: str, text: str) -> None:
    assert shown == text


def test_what_a_study_begins_with() -> None:
    assert begun_line(12, 2, 30, 2) == "12 of 30 runs are done, 2 go on from checkpoints; 2 at a time"
    assert begun_line(0, 1, 3, 1) == "0 of 3 runs are done, 1 goes on from a checkpoint; one at a time"
    assert begun_line(0, 0, 3, 2) == "3 runs, 2 at a time"
    assert begun_line(3, 0, 3, 2) == "all 3 runs are done"


def run(variant: str, seed: int) -> Run:
    return Run(variant, seed, Path(f"{variant}-{seed}"))


def test_the_table_and_the_line() -> None:
    running = [RunProgress(run("a[b]", seed), "running", 100, 400, 1234.5, 75.0, 20.0) for seed in range(30)]
    others = RunProgress(run("a", 9), "done"), RunProgress(run("b", 1), "waiting")
    progress = StudyProgress((*others, *running), 4000.0)
    assert progress_line(progress) == "1 of 32 runs done, 30 running, 1 waiting, about 1 h 7 min left"
    table = progress_table(progress, 0.0, most_rows=5)
    assert table.row_count == 5
    from rich.console import Console

    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    console.file.close()
    lines = console.export_text().splitlines()
    assert "a[b] seed 0" in lines[1]
    assert "100/400" in lines[1]
    assert "25%" in lines[1]
    assert "1,234" in lines[1]
    assert "1 min 15 s" in lines[1]
    assert "and 26 more" in lines[-1]
