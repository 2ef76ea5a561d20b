"""One training: the typed experiment, its parts, the loop, and its folder."""

from truelift.training.experiment import Experiment, fingerprint, resolve, to_dict
from truelift.training.run import run

__all__ = ["Experiment", "fingerprint", "resolve", "run", "to_dict"]
