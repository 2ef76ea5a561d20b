"""The catalogue of metrics: what is known of a number by its name.

A metric of a user's own program is known by its name's ending, or else says itself whether higher is better.
"""

from dataclasses import dataclass
from typing import Literal

from truelift.errors import InputError

Scale = Literal["points", "fraction"]
Step = Literal["test image", "one"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What metrics of one ending have in common."""

    ending: str
    higher_is_better: bool
    unit: str = ""
    """Of differences."""
    relative: bool = False
    """Compared in percent of the baseline's value, else by the difference."""
    scale: Scale | None = None
    """points: from 0 to 100; fraction: from 0 to 1; None: neither."""


_RELATIVE = "percent of baseline"

KINDS = (
    Kind(ending="accuracy", unit="points", scale="points", higher_is_better=True),
    Kind(ending="error", unit="points", scale="points", higher_is_better=False),
    Kind(ending="auroc", unit="points", scale="points", higher_is_better=True),
    Kind(ending="loss", higher_is_better=False),
    Kind(ending="seconds", unit=_RELATIVE, relative=True, higher_is_better=False),
    Kind(ending="images_per_second", unit=_RELATIVE, relative=True, higher_is_better=True),
    Kind(ending="parameters", unit=_RELATIVE, relative=True, higher_is_better=False),
    Kind(ending="operations", unit=_RELATIVE, relative=True, higher_is_better=False),
)


@dataclass(frozen=True, kw_only=True)
class Logged:
    """A number that trainings write into result.json."""

    name: str
    by: str
    """Who writes it."""
    step: Step | None = None
    """Its smallest step: one image of the test set, or one; None for a continuous metric."""


_DETECTION = tuple(
    f"{kind}_{score}auroc" for kind in ("outlier", "fgsm") for score in ("", "confidence_", "mahalanobis_")
)

# In the order in which a report shows them beside the study's own metric.
LOGGED = (
    Logged(name="test_accuracy", by="evaluation", step="test image"),
    Logged(name="test_error", by="evaluation", step="test image"),
    Logged(name="test_loss", by="evaluation"),
    Logged(name="validation_accuracy", by="evaluation"),
    Logged(name="head_test_accuracy", by="probe"),
    Logged(name="head_test_error", by="probe"),
    *(Logged(name=name, by="detection") for name in _DETECTION),
    Logged(name="fgsm_accuracy", by="detection"),
    Logged(name="train_loss", by="the training loop"),
    Logged(name="train_error", by="the training loop"),
    Logged(name="train_seconds", by="the training loop"),
    Logged(name="cpu_seconds", by="the training loop"),
    Logged(name="images_per_second", by="the training loop"),
    Logged(name="parameters", by="the model", step="one"),
    Logged(name="training_operations", by="the count of operations", step="one"),
)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A number in the lines of metrics.jsonl that a report draws against the steps."""

    name: str
    label: str
    """Of the axis."""
    by: str
    """Who logs it."""
    linear: bool = False
    """Never on a logarithmic axis: it may be 0, or negative."""


DRAWN = (
    Drawn(name="train_loss", label="training loss", by="the training loop"),
    Drawn(name="test_error", label="test error, %", by="evaluation"),
    Drawn(name="train_error", label="training error, %", by="the training loop"),
    Drawn(name="cosine", label="the gradients' cosine", by="gradient similarity", linear=True),
    Drawn(name="auxiliary_weight", label="auxiliary gradient's weight", by="gradient similarity", linear=True),
    Drawn(name="frozen_layers", label="layers frozen", by="freezing", linear=True),
)


@dataclass(frozen=True)
class Metric:
    """A number in a run's result and how to compare it."""

    name: str
    unit: str
    higher_is_better: bool
    relative: bool
    """Whether differences are in percent of the baseline's value, as for times."""

    @classmethod
    def named(cls, name: str, higher_is_better: bool | None = None) -> "Metric":
        """The metric of that name; a program's own one needs `higher_is_better`.

        Names that end in accuracy, error, auroc, loss, seconds, images_per_second, parameters or operations are known.

        Raises:
            InputError: The name is not known and `higher_is_better` is not given.
        """
        kind = _kind(name)
        if kind is not None:
            better = kind.higher_is_better if higher_is_better is None else higher_is_better
            return cls(name, kind.unit, better, kind.relative)
        if higher_is_better is None:
            endings = ", ".join(known.ending for known in KINDS)
            raise InputError(
                f"higher_is_better must be given for a metric whose name does not end in {endings}, got {name}."
            )
        return cls(name, "", higher_is_better, relative=False)

    @property
    def label(self) -> str:
        """Its name for a reader."""
        return self.name.replace("_", " ")

    @property
    def in_points(self) -> bool:
        """Whether its differences are in points, from 0 to 100."""
        return self.unit == "points"

    @property
    def over_test_images(self) -> bool:
        """Whether it is the share of test images that are right, or wrong, compared by the difference."""
        return not self.relative and _step(self.name) == "test image"

    def resolution(self, test_images: int | None) -> float:
        """Its smallest step; 0 for a continuous metric.

        Args:
            test_images: How many there are, at least 1; None where that is not known.
        """
        step = _step(self.name)
        if step == "test image":
            return 100 / test_images if test_images else 0.0
        return 1.0 if step == "one" else 0.0


def _kind(name: str) -> Kind | None:
    # The last first: images_per_second is no number of seconds.
    return next((k for k in reversed(KINDS) if name == k.ending or name.endswith(f"_{k.ending}")), None)


def _step(name: str) -> Step | None:
    return next((logged.step for logged in LOGGED if logged.name == name), None)
