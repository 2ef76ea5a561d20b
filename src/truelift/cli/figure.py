"""`truelift figure`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from truelift.cli.given import GIVEN
from truelift.data import DataOptions
from truelift.recipes import figures
from truelift.training import Experiment
from truelift.training.hardware import use_threads


def figure(
    name: Annotated[str, Parameter(name="name")],
    /,
    *,
    out: Path = Path("runs/figures"),
    data: DataOptions = DataOptions(),  # noqa: B008
) -> int:
    """Draw one of the papers' figures that need no study, as SVG and PNG.

    Args:
        name: A figure that `truelift recipes` lists.
        out: Folder of the pictures.
        data: Where a figure of images finds them, in place of its study's own.
    """
    use_threads(1)  # gradients of two numbers: threads would only wait for each other
    print(figures.write(name, out, GIVEN.settings(Experiment(data=data))))
    return 0
