"""Runs that failed before and are tried again: what a study says of them, and their failures."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from truelift.errors import InputError, printable, shortened
from truelift.records import Run, write_text
from truelift.records.files import read_bytes
from truelift.records.leases import holder_of
from truelift.studies.executors.base import has_ended
from truelift.verdicts.wording import missing_runs


def tried_again(failed: Sequence[Run]) -> list[str]:
    """One line that these runs, which failed, are tried again; none without any."""
    if not failed:
        return []
    seeds: dict[tuple[str, str], list[int]] = {}
    for run in failed:
        seeds.setdefault((run.variant, run.failure()["reason"]), []).append(run.seed)
    which = "; ".join(missing_runs(variant, of_variant, why) for (variant, why), of_variant in seeds.items())
    runs = "1 failed run is" if len(failed) == 1 else f"{len(failed)} failed runs are"
    return [f"{runs} tried again: {printable(shortened(which))}"]


_MOST_BYTES = 2**24
"""Of a failure that is put back."""


class Failures:
    """Failures of runs that are about to be tried again, put back where nobody takes the runs."""

    def __init__(self) -> None:
        self._set_aside: dict[Path, str] = {}

    def set_aside(self, folder: Path) -> None:
        """A run has not ended, as long as it waits for its turn."""
        file = folder / "failure.json"
        with contextlib.suppress(InputError):  # there is none, or one that says nothing
            self._set_aside[folder] = read_bytes(file, _MOST_BYTES).decode(errors="replace")
        file.unlink(missing_ok=True)

    def put_back(self) -> None:
        """The runs are not tried: those that nobody has are as they were before."""
        for folder, content in self._set_aside.items():
            if not has_ended(folder) and holder_of(folder) is None:
                write_text(folder / "failure.json", content)
