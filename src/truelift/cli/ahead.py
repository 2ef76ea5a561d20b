"""What a study will want, begun while nobody waits for it.

Its server of runs is started before this process imports torch itself, so that both import at once; what the report is
made with is imported while the last run is on, when another's core has nothing to do.
"""

import os
from collections.abc import Sequence
from importlib import import_module

from truelift import recipes
from truelift.processes import available_cores
from truelift.studies import start
from truelift.toml import read_toml

_REPORT = ("truelift.report.page", "truelift.report.figures", "scipy.special", "scipy.optimize")


def report() -> None:
    """Import what every report is made with."""
    for name in _REPORT:
        import_module(name)


def begin(tokens: Sequence[str]) -> None:
    """Start the server that `truelift study` will want, as far as the command line tells by itself.

    A guess that is wrong costs some seconds of a core: the study starts the server that it needs.

    Args:
        tokens: What stands behind `study`.
    """
    if not {"--help", "-h"} & set(tokens) and _trains(tokens):
        start.begin(max(1, available_cores() // _jobs(tokens)))


def _trains(tokens: Sequence[str]) -> bool:
    """Whether the study's file has a variant of ours: a user's program needs no server."""
    for token in tokens:
        try:
            tables = read_toml(recipes.study_file(token))
            variants = tables["variants"].values()
            return "command" not in tables and any("command" not in variant for variant in variants)
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
