"""One training: the typed experiment, its parts, the loop, and its folder."""

from truelift.training.experiment import Experiment, resolve
from truelift.training.identity import fingerprint, identity
from truelift.training.run import run
from truelift.training.settings import to_dict

__all__ = ["Experiment", "fingerprint", "identity", "resolve", "run", "to_dict"]
