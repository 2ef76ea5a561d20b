"""A study, as its folder tells it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truelift.records.json_files import read_plan
from truelift.records.run import Run, fingerprint_of


@dataclass(frozen=True)
class Study:
    """A study, as its folder tells it."""

    folder: Path
    plan: dict[str, Any]
    """The content of study.json; docs/records.md lists its keys."""
    runs: tuple[Run, ...]

    @classmethod
    def read(cls, folder: Path) -> "Study":
        """Read the plan and find the runs.

        Raises:
            InputError: The folder holds no study.json, or it is damaged.
        """
        plan = read_plan(folder)
        known = frozenset(fingerprint_of(run["folder"]) for run in plan["runs"])
        runs = (Run(run["variant"], run["seed"], folder / run["folder"], known) for run in plan["runs"])
        return cls(folder, plan, tuple(runs))

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all runs, of the records that were asked for so far."""
        return tuple(note for run in self.runs for note in run.notes)
