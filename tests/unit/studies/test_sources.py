"""Which files a command names, and what tells an old version from a new one."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from truelift.errors import InputError
from truelift.studies.sources import changed, check_program, command_line, source_digests

CONFIG = {"args": "", "seed": 3}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pkg").mkdir()
    for name in ("train.py", "job.sh", "conf.toml", "3.yaml", "my file.py", "pkg/run.py", "pkg/__init__.py"):
        (tmp_path / name).write_text(f"# {name}\n")
    (tmp_path / "train.py").write_text("import helper\nimport numpy\n")
    (tmp_path / "helper.py").write_text("x = 1\n")
    (tmp_path / "binary").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "metrics.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "files"),
    [
        (f"{sys.executable} train.py --seed {{seed}} --out {{out}}", ["helper.py", "train.py"]),
        ("sh job.sh {seed} {out}", ["job.sh"]),
        ("sh -c 'cd . && python train.py --config=conf.toml {seed}' {out}", ["conf.toml", "helper.py", "train.py"]),
        ("python -m pkg.run {seed} {out}", ["pkg/__init__.py", "pkg/run.py"]),
        ("python -m pkg {seed} {out}", ["pkg/__init__.py"]),
        ("./binary --conf {seed}.yaml {out}", ["3.yaml"]),
        ("python 'my file.py' {seed} {out}", ["my file.py"]),
        ("echo {seed} {out} missing.py '\"' pkg out/metrics.json", []),
    ],
)
def test_the_files_that_a_command_names(here: Path, command: str, files: list[str]) -> None:
    found = source_digests({**CONFIG, "command": command}, here / "out")
    assert sorted(found) == files
    assert all(len(digest) == 16 for digest in found.values())


def test_a_module_finds_others_from_the_folder_that_holds_its_packages(here: Path) -> None:
    (here / "ns/inner").mkdir(parents=True)
    (here / "ns/inner/run.py").write_text("from ns.far import f\n")
    (here / "ns/far.py").write_text("f = 1\n")
    config = {**CONFIG, "command": "python -m ns.inner.run {seed} {out}"}
    assert sorted(source_digests(config, here / "out")) == ["ns/far.py", "ns/inner/run.py"]


def test_files_in_the_args_count_too(here: Path) -> None:
    config = {"command": "python train.py {args} {seed} {out}", "args": "--config conf.toml", "seed": 0}
    assert "conf.toml" in source_digests(config, here / "out")


def test_a_change_of_a_script_or_of_what_it_imports_shows(here: Path) -> None:
    config = {**CONFIG, "command": "python train.py {seed} {out}"}
    before = source_digests(config, here / "out")
    assert changed(before, source_digests({**config, "seed": 4}, here / "out")) == []
    (here / "helper.py").write_text("x = 2\n")
    assert changed(before, source_digests(config, here / "out")) == ["helper.py"]
    with_inputs = source_digests({**config, "inputs": ["conf.toml"]}, here / "out")
    assert changed(before, with_inputs) == ["helper.py"], "what is named later has not changed"
    assert changed(with_inputs, before) == ["helper.py"]


def test_what_python_and_git_keep_in_a_folder_is_no_input(here: Path) -> None:
    config = {**CONFIG, "command": "echo {seed} {out}", "inputs": ["pkg"]}
    before = source_digests(config, here / "out")
    for name in ("__pycache__/run.cpython-311.pyc", ".git/index", "inner/__pycache__/a.pyc"):
        (here / "pkg" / name).parent.mkdir(parents=True)
        (here / "pkg" / name).write_text("x")
    assert source_digests(config, here / "out") == before
    (here / "pkg/inner/a.py").write_text("x = 1\n")
    assert changed(before, source_digests(config, here / "out")) == ["pkg"]


def test_quotation_marks_must_match(here: Path) -> None:
    with pytest.raises(InputError, match=r"^command cannot be split into words \(No closing quotation\), got echo '"):
        command_line({**CONFIG, "command": "echo ' {seed} {out}"}, here)
    found = command_line({**CONFIG, "command": "echo {seed} {out}"}, here / "a b")
    assert found == shlex.split(f"echo 3 '{here}/a b'")


def test_a_program_that_is_not_there_is_refused_before_the_first_run(here: Path) -> None:
    (here / "no-right.sh").write_text("#!/bin/sh\n")
    for command in ("nopython my.py --seed {seed}", "./no-right.sh {seed}", "./none.sh {seed}"):
        with pytest.raises(InputError, match=rf"there and may be run, got {command.split()[0]}\.$"):
            check_program(command)
    (here / "no-right.sh").chmod(0o755)
    for command in (f"{shlex.quote(sys.executable)} my.py", "sh -c x", "./no-right.sh {seed}", "{args} --seed {seed}"):
        check_program(command)


@pytest.mark.parametrize("folder", ["plain", "a b", "müller", "it's", 'a"b', "$HOME `x` \\", "{seed}"])
@pytest.mark.parametrize(
    "command",
    [
        "printf '%s\\n' {seed} {out} {args}",
        "printf '%s\\n' \"{seed}\" '{out}' {args}",
        "printf '%s\\n' {seed} \"{out}\" {args}",
        "bash -c 'printf \"%s\\n\" {seed} {out} {args}'",
        'bash -c \'printf "%s\\n" {seed} "{out}" {args}\'',
        "bash -o pipefail -ec \"printf '%s\\n' {seed} '{out}' {args}\"",
        'sh -c "printf \'%s\\n\' \\"{seed}\\" {out} {args}"',
        'env sh -c \'printf "%s\\n" "$1" "$2" {args}\' sh {seed} {out}',
    ],
)
def test_a_folder_is_one_word_whatever_quotes_it_stands_in(here: Path, folder: str, command: str) -> None:
    out = here / folder
    words = command_line({"command": command, "args": "--x 'y z' {seed}", "seed": 3}, out)
    told = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    assert told.splitlines() == ["3", str(out), "--x", "y z", "3"]


def test_placeholders_within_words(here: Path) -> None:
    config = {"command": 'echo --out={out}/x "{args}" {args} a{{seed}} --s={args}', "args": "b {out} 'c d'", "seed": 3}
    args = f"b {here} 'c d'"
    words = ["echo", f"--out={here}/x", args, "b", str(here), "c d", "a{seed}", "--s=b", str(here), "c d"]
    assert command_line(config, here) == words
    assert command_line({**config, "command": "echo {args} x {out}", "args": ""}, here) == ["echo", "x", str(here)]
