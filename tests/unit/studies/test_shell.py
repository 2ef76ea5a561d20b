"""What only a shell understands is told before the first run, with a line that works."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from truelift.errors import InputError
from truelift.studies.command import check_command, read_program
from truelift.studies.shell import shell_syntax, through_bash
from truelift.studies.sources import command_line
from truelift.toml import parse_toml


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("python t.py {seed} {out} | tee log", "| (a pipe)"),
        ("python t.py {seed} {out} 2>&1", "2> (a redirection)"),
        ("python t.py {seed} {out} >> log", ">> (a redirection)"),
        ("cd here && python t.py {seed} {out}", "&& (a second command)"),
        ("a {seed} {out}; b", "; (a second command)"),
        ("a {seed} {out} &", "& (a command in the background)"),
        ("OMP_NUM_THREADS=1 python t.py {seed} {out}", "OMP_NUM_THREADS=… (a variable before the program)"),
        ("python ~/t.py {seed} {out}", "~ (the home folder)"),
        ("python t.py --data=~/images {seed} {out}", "~ (the home folder)"),
        ("python $HOME/t.py {seed} {out}", "$HOME (a variable)"),
        ('python "${{HOME}}/t.py" {seed} {out}', "${{ (a variable)"),
        ("python t.py {seed} {out} --at $(date)", "$( (another command's output)"),
        ("python t.py {seed} {out} --at `date`", "` (another command's output)"),
    ],
)
def test_what_needs_a_shell_is_refused(command: str, told: str) -> None:
    assert shell_syntax(command) == told
    with pytest.raises(InputError) as raised:
        check_command(command, "")
    assert told in str(raised.value)
    assert "bash -c" in str(raised.value)


@pytest.mark.parametrize(
    "command",
    [
        "python t.py --seed {seed} --out {out}",
        "bash -c 'python t.py {seed} {out} | tee log'",
        "python -c 'import x; x.f()' {seed} {out}",
        'python t.py {seed} {out} --title "a; b & c > d"',
        r"python t.py {seed} {out} a\|b",
        "python t.py {seed} {out} --regex ^a$ --to a~b",
        "python 'my $HOME.py' {seed} {out}",
        "python t.py --lr=0.1 {seed} {out}",
    ],
)
def test_what_needs_none_is_taken(command: str) -> None:
    assert shell_syntax(command) is None
    check_command(command, "")


def test_arguments_may_begin_with_a_name_and_a_value() -> None:
    check_command("python t.py {args} {seed} {out}", "lr=0.1 model=resnet18")


def test_arguments_are_looked_at_too() -> None:
    with pytest.raises(InputError, match=r"\| \(a pipe\)"):
        check_command("a {seed} {out} {args}", "--x | tee log")
    with pytest.raises(InputError, match=r"must contain \{args\} where args are given"):
        check_command("a {seed} {out}", "--x 1")


@pytest.mark.parametrize(
    "command",
    [
        "printf '%s\\n' seed={seed} {out} {args} | tee lines > {out}/told",
        "X=1 printf '%s\\n' seed={seed} {out} {args} > \"{out}/told\"",
        "cd . && printf '%s\\n' 'seed={seed}' {out} {args} > {out}/told",
    ],
)
def test_the_line_with_a_shell_does_what_was_meant(command: str, tmp_path: Path) -> None:
    out = tmp_path / "a b's"
    out.mkdir()
    with pytest.raises(InputError) as raised:
        check_command(command, "")
    line = str(raised.value).partition("with a shell: ")[2]
    proposed = parse_toml(line)["command"]
    assert proposed == through_bash(command)
    check_command(proposed, "--a 1")
    words = command_line({"command": proposed, "args": "--a 'x y'", "seed": 7}, out)
    subprocess.run(words, check=True, cwd=tmp_path)
    assert (out / "told").read_text().splitlines() == ["seed=7", str(out), "--a", "x y"]


@pytest.mark.parametrize(
    "command", ["printf '%s\\n' {seed} {out} {args}", 'bash -c \'printf "%s\\\\n" "$@"\' bash {seed} {out} {args}']
)
def test_the_line_for_arguments_that_need_a_shell_does_what_was_meant(command: str, tmp_path: Path) -> None:
    out = tmp_path / "a b's"
    out.mkdir()
    args = "--at ~/x --by $SHELL_TEST '$SHELL_TEST' {seed} | tee {out}/told"
    with pytest.raises(InputError, match=r"~ \(the home folder\)") as raised:
        check_command(command, args)
    proposed = parse_toml(str(raised.value).partition("with a shell: ")[2])["command"]
    check_command(proposed, args)
    words = command_line({"command": proposed, "args": args, "seed": 7}, out)
    subprocess.run(words, check=True, cwd=tmp_path, env={**os.environ, "HOME": "/home/h", "SHELL_TEST": "me"})
    told = (out / "told").read_text().splitlines()
    assert told == ["7", str(out), "--at", "/home/h/x", "--by", "me", "$SHELL_TEST", "7"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"timeout": 0}, "timeout must be seconds, above 0"),
        ({"timeout": "1 h"}, "timeout must be seconds"),
        ({"timeout": True}, "timeout must be seconds"),
        ({"timeout": float("nan")}, "timeout must be seconds"),
        ({"retries": -1}, "retries must be a whole number from 0 to 100"),
        ({"retries": 1.5}, "retries must be a whole number"),
        ({"inputs": "data"}, "inputs must be a list of files and folders"),
        ({"inputs": [""]}, "inputs must be a list"),
    ],
)
def test_how_a_program_is_run(table: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_program("a {seed} {out}", table)


def test_what_config_toml_says_of_it() -> None:
    program = read_program("a {seed} {out}", {"timeout": 3, "retries": 2, "inputs": ["a", "b"]})
    assert json.dumps(program.config()) == '{"timeout": 3.0, "retries": 2, "inputs": ["a", "b"]}'
    assert read_program("a {seed} {out}", {}).config() == {}
