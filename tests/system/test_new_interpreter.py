"""Every command where nothing is imported yet, and where a warning is an error.

The other tests' commands are forked from a process that has imported everything (tests/commands/server.py): they would
neither miss an import, nor see what is printed by one. Here each has a new interpreter. Those that import torch, which
takes three of their four seconds, share that import, and nothing but it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.commands.started import run
from tests.system.processes import ENVIRONMENT

from truelift.cli import app

PROGRAM = """
import json, pathlib, sys
pathlib.Path(sys.argv[1], "metrics.json").write_text(json.dumps({"accuracy": 80 + int(sys.argv[2])}))
"""
RESULTS = "method,seed,accuracy\n" + "".join(f"{name},{seed},{80 + seed}\n" for name in "ab" for seed in range(4))

QUICK: dict[str, tuple[list[str], str]] = {
    "list": (["runs"], "study"),
    "status": (["runs/study"], "study: 2 of 2 runs done"),
    "watch": (["runs/study"], "2 of 2 runs done"),
    "cancel": (["runs/study"], "nothing of this study is in a queue or runs"),
    "judge": (["results.csv", "--baseline", "a"], "accuracy"),
    "plan": (["--effect", "0.5", "--sd", "0.25"], "5 seeds"),
    "options": ([], "--data.train_images"),
    "schema": ([], "$schema"),
    "recipes": ([], "building-blocks-20"),
}
"""What is quick is done; of other commands the help is asked for. To its arguments, and what it prints."""

HEAVY = ("train", "study", "predict", "export", "options", "schema", "recipes", "figure", "speedup")
"""What imports torch to do what is asked of it here."""

Ended = tuple[int, str, str]
"""The exit status, the output and the error stream."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that is done, and with a table of results."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "results.csv").write_text(RESULTS)
    (folder / "program.py").write_text(PROGRAM)
    (folder / "study.toml").write_text(
        f'command = "{sys.executable} program.py {{out}} {{seed}} {{args}}"\nmetric = "accuracy"\n'
        '[variants.a]\n[variants.b]\nargs = "b"\n'
    )
    done = run(["study", "study.toml", "--seeds", "1"], cwd=folder, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def after_torch(home: Path) -> dict[str, Ended]:
    """How the heavy commands end."""
    commands = json.dumps({name: asked(name)[0] for name in HEAVY})
    status, out, err = new_interpreter(home, str(Path(__file__).with_name("after_torch.py")), str(home), commands)
    assert (status, err) == (0, "")
    texts = {name: [(home / f"{name}.{ending}").read_text() for ending in ("out", "err")] for name in HEAVY}
    return {name: (ended, *texts[name]) for name, ended in json.loads(out).items()}


def asked(command: str) -> tuple[list[str], str]:
    """A command's arguments, and what it shall print."""
    return QUICK.get(command, (["--help"], f"Usage: truelift {command}"))


def new_interpreter(folder: Path, *arguments: str) -> Ended:
    line = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(line, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=200, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", [name for name in app if not name.startswith("-") and name not in HEAVY])
def test_it_finds_its_imports_and_says_nothing_else(home: Path, command: str) -> None:
    arguments, expected = asked(command)
    status, out, err = new_interpreter(home, "-m", "truelift", command, *arguments)
    assert (status, err) == (0, "")
    assert expected in out


@pytest.mark.parametrize("command", HEAVY)
def test_so_does_one_that_imports_torch(after_torch: dict[str, Ended], command: str) -> None:
    status, out, err = after_torch[command]
    assert (status, err) == (0, "")
    assert asked(command)[1] in out


def test_all_that_is_told_of_here_is_a_command() -> None:
    assert {*QUICK, *HEAVY} <= set(app)
