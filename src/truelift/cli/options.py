"""An experiment's options on the command line."""

from typing import Annotated

from cyclopts import Group, Parameter

from truelift.training.experiment import Experiment

_TRAINING = Group("Training", sort_key=9)

ExperimentOptions = Annotated[Experiment, Parameter(name="*", group=_TRAINING)]
"""Each option by its own dotted name, in sections."""

HiddenExperimentOptions = Annotated[Experiment, Parameter(name="*", group=_TRAINING, show=False)]
"""The same, left to `truelift options` by a command's own help."""


def options(*, experiment: ExperimentOptions = Experiment()) -> int:  # noqa: B008
    """List the settings of an experiment: for `truelift study` and `train`, and in their files.

    Args:
        experiment: The experiment's options.
    """
    from truelift.cli import app

    app.help_print(["options"])
    return 0
