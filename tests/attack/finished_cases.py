"""A finished study of a program's runs, a file of it damaged, and then whatever a user may do: again, report, judge.

Where the study goes on, it must end with what the sound one ended with: what is damaged is made again, nothing else.
"""

import atexit
import functools
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from tests.attack.case import Attack, Case, command
from tests.attack.mutations import mutated_bytes
from tests.attack.records_cases import CHANGES, VALUES, change_value, places, write_bytes

_STUDY = """command = "sh program.sh {seed} {out} {args}"
metric = "val_accuracy"
baseline = "plain"
seeds = 2
[variants.plain]
args = "90"
[variants.other]
args = "91"
"""
_PROGRAM = """printf '{"val_accuracy": %s.%s}' "$3" "$1" > "$2/metrics.json"
printf '{"step": 1, "val_accuracy": %s}\\n' "$3" > "$2/metrics.jsonl"
"""
_WANTED = {("plain", 0): 90.0, ("plain", 1): 90.1, ("other", 0): 91.0, ("other", 1): 91.1}
_LINE = ("study", "study.toml", "--out", "study", "--jobs", "1")

# Of the study, and of one of its runs.
_OF_STUDY = ("study.json", "report.csv", "report.html", ".lock")
_OF_RUN = ("result.json", "config.toml", "metrics.json", "metrics.jsonl", "log.txt", ".lock")
_JSON = ("study.json", "RUN/result.json", "RUN/metrics.json")
_TABLES = ("report.csv",)


@functools.cache
def _made() -> Path:
    """The study, run once a process."""
    home = Path(mkdtemp(prefix="attack-finished-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "study.toml").write_text(_STUDY)
    (home / "program.sh").write_text(_PROGRAM)
    before = os.getcwd()
    os.chdir(home)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            command(*_LINE)()
    except SystemExit as end:
        assert not end.code  # noqa: PT017
    finally:
        os.chdir(before)
    return home


@functools.cache
def _run() -> str:
    """The folder of one run, in the study's."""
    return min(path.parent.relative_to(_made() / "study").as_posix() for path in _made().glob("study/runs/plain/*/*"))


def cases(random: Random, number: int) -> Iterator[Case]:
    """Each file as something else, then values of the JSON ones, then damage drawn by chance."""
    yield _case("sound", "study.json", lambda path: None, "again", bad=False)
    files = (*_OF_STUDY, *(f"RUN/{name}" for name in _OF_RUN))
    for name in files:
        for told, change in CHANGES.items():
            yield _case(f"{name} is {told}", name, change, "again")
    for name in _TABLES:
        for told, change in CHANGES.items():
            yield _case(f"{name} is {told}", name, change, "judge")
    for name in ("study.json", "RUN/result.json"):
        for told, change in CHANGES.items():
            yield _case(f"{name} is {told}", name, change, "report")
    for name in _JSON:
        content = json.loads(_path(_made() / "study", name).read_text())
        for keys in places(content):
            for value in random.sample(VALUES, 3):
                change = functools.partial(change_value, keys=keys, value=value)
                yield _case(f"{name} {keys} = {value[:20]!r}", name, change, "again")
            yield _case(f"{name} without {keys}", name, functools.partial(change_value, keys=keys, value=None), "again")
    for name in ("RUN", "RUN/..", "RUN/../.."):
        for told, spoil in _FOLDERS.items():
            for act in ("again", "report"):
                yield _case(f"{name} is {told}", name, spoil, act)
    for i in range(number):
        name = random.choice(files)
        damaged = mutated_bytes(_path(_made() / "study", name).read_bytes() or b"x", random)
        act = random.choice(("again", "again", "report", "judge" if name in _TABLES else "again"))
        yield _case(f"damaged {i}: {name}", name, functools.partial(write_bytes, content=damaged), act)


def _no_folder(path: Path) -> None:
    shutil.rmtree(path.resolve())


def _a_file(path: Path) -> None:
    path = path.resolve()
    shutil.rmtree(path)
    path.write_text("no folder")


def _empty_folder(path: Path) -> None:
    shutil.rmtree(path.resolve())
    path.resolve().mkdir()


_FOLDERS: dict[str, Callable[[Path], None]] = {"gone": _no_folder, "a file": _a_file, "empty": _empty_folder}


def _path(study: Path, name: str) -> Path:
    return study / name.replace("RUN", _run(), 1)


def _case(name: str, file: str, change: Callable[[Path], object], act: str, bad: bool | None = None) -> Case:
    def prepare(folder: Path) -> Attack:
        shutil.copytree(_made(), folder, dirs_exist_ok=True)
        change(_path(folder / "study", file))
        return _ACTS[act]

    return Case(f"finished: {act}, {name}", prepare, bad, seconds=90, writes=act == "again", changes=act != "judge")


def _again() -> int | None:
    try:
        status = command(*_LINE)()
    except SystemExit as end:
        if end.code:
            raise
        status = None
    from truelift.records import Study

    found = {
        (run.variant, run.seed): run.result()["metrics"].get("val_accuracy") for run in Study.read(Path("study")).runs
    }
    assert found == _WANTED, found
    return status


_ACTS: dict[str, Attack] = {
    "again": _again,
    "report": command("report", "study"),
    "judge": command(
        "judge", "study/report.csv", "--baseline", "plain", "--metric", "difference", "--better", "higher"
    ),
}
