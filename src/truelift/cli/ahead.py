"""What a study will want, begun while nobody waits for it.

Its server of runs is started before this process imports torch itself, so that both import at once; what the report is
made with is imported while the last run is on, when another's core has nothing to do.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from truelift import recipes
from truelift.cli.early import without_options
from truelift.errors import printable, shortened
from truelift.processes import available_cores
from truelift.studies import start
from truelift.studies.executors import CLUSTERS
from truelift.toml import read_toml

_ELSEWHERE = {word for name in CLUSTERS for word in (name, f"--executor={name}", f"--executor.name={name}")}
"""Words that say that runs are made elsewhere."""

_OFF = ("no", "n", "0", "false", "f")

_REPORT = ("truelift.report.page", "truelift.report.figures", "scipy.special", "scipy.optimize")


def report() -> None:
    """Import what every report is made with, and have ready what is made once."""
    for name in _REPORT:
        import_module(name)
    import_module("truelift.report.page").make_ready()


def begin(tokens: Sequence[str]) -> None:
    """Start the server that `truelift study` will want, as far as the command line tells by itself.

    A guess that is wrong costs some seconds of a core: the study starts the server that it needs.

    Args:
        tokens: What stands behind `study`.
    """
    words = set(tokens)
    if {"--help", "-h", "--help-all"} & words:
        return
    found = _study_file(tokens)
    if found is None:
        return
    path, tables = found
    dry = _is_on("--dry_run", tokens)
    if not (_is_on("--quiet", tokens) or _is_on("--json", tokens)):  # torch takes seconds to be imported
        question = tables.get("question")
        first = f"{path.stem}: {question}" if isinstance(question, str) else path.stem
        # With slurm the output is a script.
        print(printable(shortened(first)), flush=True, file=sys.stderr if dry else sys.stdout)
    if not dry and not _ELSEWHERE & words and _trains(tables):
        start.begin(max(1, available_cores() // _jobs(tokens)))


def _is_on(flag: str, tokens: Sequence[str]) -> bool:
    """Whether a flag is given: `--json`, or `--json=true` in any of the parser's words."""
    given = (token.partition("=") for token in tokens)
    return any(
        name.replace("-", "_") == flag.replace("-", "_") and value.lower() not in _OFF for name, _, value in given
    )


def _study_file(tokens: Sequence[str]) -> tuple[Path, dict[str, Any]] | None:
    """The study's file and what it holds; None where there is none that can be read."""
    for token in without_options(tokens):
        with suppress(Exception):  # whatever is wrong with it, reading it in earnest says so
            path = recipes.study_file(token)
            return path, read_toml(path)
    return None


def _trains(tables: Mapping[str, Any]) -> bool:
    """Whether a study's file has a variant of ours and runs it here: a user's program needs no server."""
    with suppress(Exception):  # likewise
        here = tables.get("executor", "local") == "local" or tables["executor"].get("name", "local") == "local"
        return here and "command" not in tables and any("command" not in one for one in tables["variants"].values())
    return False


def _jobs(tokens: Sequence[str]) -> int:
    """As the command line has it, or else one a GPU or, without, one a core."""
    for place, token in enumerate(tokens):
        name, equals, value = token.partition("=")
        if name == "--jobs":
            value = value if equals else "".join(tokens[place + 1 : place + 2])
            return max(1, int(value)) if value.isdecimal() else 1
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = len([name for name in os.listdir("/dev") if name.startswith("nvidia") and name[6:].isdecimal()])
    gpus = there if named is None else min(there, len([name for name in named.split(",") if name]))
    return gpus or available_cores()
