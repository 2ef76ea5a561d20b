"""`truelift report`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift.cli.say import show
from truelift.records import Study


def report(folder: Annotated[Path, Parameter(name="folder")], /) -> int:
    """Write a study's report again, from its records alone.

    Args:
        folder: The study's folder.
    """
    show(Study.read(folder))
    return 0
