"""What a study will want, begun while nobody waits for it.

Its server of runs is started before this process imports torch itself, so that both import at once; what the report is
made with is imported while the last run is on, when another's core has nothing to do.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from truelift import recipes
from truelift.errors import printable, shortened
from truelift.processes import available_cores
from truelift.studies import start
from truelift.studies.executors import CLUSTERS
from truelift.toml import read_toml

_ELSEWHERE = {word for name in CLUSTERS for word in (name, f"--executor={name}", f"--executor.name={name}")}
"""Words that say that runs are made elsewhere."""

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
    dry = bool({"--dry-run", "--dry_run"} & words)
    first = None if {"--quiet", "--json"} & words else first_line(tokens)
    if first is not None:  # torch takes seconds to be imported
        # With slurm the output is a script.
        print(first, flush=True, file=sys.stderr if dry else sys.stdout)
    if not dry and not _ELSEWHERE & words and _trains(tokens):
        start.begin(max(1, available_cores() // _jobs(tokens)))


def first_line(tokens: Sequence[str]) -> str | None:
    """What a study is about, as far as its file tells; None where it cannot be read.

    Args:
        tokens: What stands behind `study`.
    """
    for token in tokens:
        try:
            path = recipes.study_file(token)
            question = read_toml(path).get("question")
        except Exception:  # whatever is wrong with it, reading it in earnest says so
            continue
        return printable(shortened(f"{path.stem}: {question}" if isinstance(question, str) else path.stem))
    return None


def _trains(tokens: Sequence[str]) -> bool:
    """Whether the study's file has a variant of ours: a user's program needs no server."""
    for token in tokens:
        try:
            tables = read_toml(recipes.study_file(token))
            variants = tables["variants"].values()
            here = tables.get("executor", "local") == "local" or tables["executor"].get("name", "local") == "local"
            return here and "command" not in tables and any("command" not in variant for variant in variants)
        except Exception:  # whatever is wrong with it, reading it in earnest says so
            continue
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
