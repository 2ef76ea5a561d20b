"""`truelift report`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift.cli.say import Output, show
from truelift.records import Study
from truelift.report import summarise
from truelift.verdicts import Requirement


def report(
    folder: Annotated[Path, Parameter(name="folder")], /, *, json: bool = False, require: Requirement | None = None
) -> int:
    """Write a study's report again, from its records alone.

    Args:
        folder: The study's folder.
        json: Print the report as JSON and nothing else (docs/json.md).
        require: helps, not-hurts or no-effect: end with status 0 where that holds of every variant, 3 where not, 4
            where it is undecided.
    """
    return show(summarise(Study.read(folder)), folder, Output(json, require))
