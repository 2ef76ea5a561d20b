"""A study, as its folder tells it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truelift.errors import InputError
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
        if not os.path.lexists(folder / "study.json"):
            raise InputError(f"{folder} must be the folder of a study: {_instead(folder)}")
        return cls.planned(folder, read_plan(folder))

    @classmethod
    def planned(cls, folder: Path, plan: dict[str, Any]) -> "Study":
        """The study that a folder holds, or would hold, with this plan.

        Args:
            folder: The study's.
            plan: The content of its study.json.
        """
        known = frozenset(fingerprint_of(run["folder"]) for run in plan["runs"])
        runs = (Run(run["variant"], run["seed"], folder / run["folder"], known) for run in plan["runs"])
        return cls(folder, plan, tuple(runs))

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all runs, of the records that were asked for so far."""
        return tuple(note for run in self.runs for note in run.notes)


_MOST_NAMED = 5


def _instead(folder: Path) -> str:
    """What is there in place of a study, and the studies below it."""
    if not folder.is_dir():
        meant = Path("runs") / folder.stem  # its name, or its file, in place of the folder that it has by default
        hint = f" Did you mean {meant}?" if os.path.lexists(meant / "study.json") else ""
        return f"{'it is a file' if folder.exists() else 'there is no such folder'}.{hint}"
    below = [str(plan.parent) for plan in sorted([*folder.glob("*/study.json"), *folder.glob("runs/*/study.json")])]
    more = f" and {len(below) - _MOST_NAMED} more" if len(below) > _MOST_NAMED else ""
    hint = f" Below it are {', '.join(below[:_MOST_NAMED])}{more}." if below else ""
    return f"it has no study.json.{hint}"
