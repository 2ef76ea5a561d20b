"""An experiment's options on the command line."""

from typing import Annotated

from cyclopts import Parameter

from truelift.training.experiment import Experiment

ExperimentOptions = Annotated[Experiment, Parameter(name="*")]
"""Each option by its own dotted name."""
