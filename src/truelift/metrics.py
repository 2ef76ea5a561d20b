"""The catalogue of metrics: what a number's name tells about it.

A metric of a user's own program is known by the ending of its name; otherwise the user says whether higher is better.
"""

import difflib
import math
import re
from dataclasses import dataclass, replace
from typing import Literal

from truelift.errors import InputError

Scale = Literal["points", "fraction", "none"]
Step = Literal["test image", "some test images", "one"]


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
    """points: from 0 to 100, or from 0 to 1 in programs that write fractions; None: neither."""


LARGEST = 1e100
"""A result beyond it is none: its square would be no number."""

PERCENT_OF_BASELINE = "percent of baseline"
"""The unit of relative differences."""

KINDS = (
    Kind(ending="accuracy", unit="points", scale="points", higher_is_better=True),
    Kind(ending="error", unit="points", scale="points", higher_is_better=False),
    *(
        Kind(ending=ending, unit="points", scale="points", higher_is_better=True)
        for ending in ("acc", "auroc", "auc", "f1", "precision", "recall")
    ),
    Kind(ending="loss", higher_is_better=False),
    Kind(ending="seconds", unit=PERCENT_OF_BASELINE, relative=True, higher_is_better=False),
    Kind(ending="images_per_second", unit=PERCENT_OF_BASELINE, relative=True, higher_is_better=True),
    Kind(ending="parameters", unit=PERCENT_OF_BASELINE, relative=True, higher_is_better=False),
    Kind(ending="operations", unit=PERCENT_OF_BASELINE, relative=True, higher_is_better=False),
)


@dataclass(frozen=True, kw_only=True)
class Logged:
    """A number that trainings write into result.json."""

    name: str
    by: str
    """Who writes it."""
    step: Step | None = None
    """Its smallest step: that of one test image; about that, where only some images or classes count; or 1. None for
    a continuous metric."""


_DETECTION = tuple(
    f"{kind}_{score}auroc" for kind in ("outlier", "fgsm") for score in ("", "confidence_", "mahalanobis_")
)

# In the order in which a report shows them beside the study's own metric.
LOGGED = (
    Logged(name="test_accuracy", by="evaluation", step="test image"),
    Logged(name="test_error", by="evaluation", step="test image"),
    Logged(name="test_loss", by="evaluation"),
    Logged(name="test_mean_average_precision", by="evaluation, of several labels"),
    Logged(name="validation_accuracy", by="evaluation"),
    Logged(name="head_test_accuracy", by="probe"),
    Logged(name="head_test_error", by="probe"),
    *(Logged(name=name, by="detection") for name in _DETECTION),
    Logged(name="fgsm_accuracy", by="detection"),
    Logged(name="train_loss", by="the training loop"),
    Logged(name="train_error", by="the training loop"),
    Logged(name="train_seconds", by="the training loop"),
    Logged(name="cpu_seconds", by="the training loop"),
    Logged(name="compile_seconds", by="torch.compile, where the network is compiled"),
    Logged(name="images_per_second", by="the training loop"),
    Logged(name="parameters", by="the model", step="one"),
    Logged(name="training_operations", by="the count of operations", step="one"),
)


# What a run's predictions give beside what it wrote down (`truelift.records.predicted`), and test_CLASS_recall of each
# class.
PREDICTED = (
    Logged(name="test_balanced_accuracy", by="predictions", step="some test images"),
    Logged(name="test_macro_f1", by="predictions", step="some test images"),
    Logged(name="test_top5_accuracy", by="predictions", step="some test images"),
    Logged(name="test_calibration_error", by="predictions"),
    Logged(name="test_log_loss", by="predictions"),
)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A number in the lines of metrics.jsonl that a report draws against the steps."""

    name: str
    label: str
    """Of the axis."""
    linear: bool = False
    """Never on a logarithmic axis: it may be 0, or negative."""


DRAWN = (
    Drawn(name="train_loss", label="training loss"),
    Drawn(name="test_error", label="test error, %"),
    Drawn(name="train_error", label="training error, %"),
    Drawn(name="cosine", label="the gradients' cosine", linear=True),
    Drawn(name="auxiliary_weight", label="auxiliary gradient's weight", linear=True),
    Drawn(name="frozen_layers", label="layers frozen", linear=True),
)


@dataclass(frozen=True)
class Metric:
    """A number in a run's result and how to compare it."""

    name: str
    unit: str
    higher_is_better: bool
    relative: bool
    """Whether differences are in percent of the baseline's value, as for times."""
    scale: Scale | None = None
    """Of its results; None: not known, so the results tell it."""
    judged: bool = True
    """Whether it is known if higher or lower is better."""

    @classmethod
    def named(cls, name: str, higher_is_better: bool | None = None, *, scale: Scale | None = None) -> "Metric":
        """The metric of that name. Names with an ending of `KINDS` are known; others need `higher_is_better`.

        Args:
            name: In a run's result.
            higher_is_better: Whether a larger value is better. Default: as the name tells.
            scale: points or fraction: differences are stated in points; none: they have no unit.

        Raises:
            InputError: The name is not known and `higher_is_better` is not given; or a scale for a time or a count.
        """
        found = cls._by_name(name, higher_is_better)
        if scale is None:
            return found
        if found.relative and scale != "none":
            raise InputError(
                f'scale must be "none" for {name}, which is compared in percent of the baseline, got {scale}.'
            )
        unit = found.unit if found.relative else "" if scale == "none" else "points"
        return replace(found, unit=unit, scale=scale)

    @classmethod
    def _by_name(cls, name: str, higher_is_better: bool | None) -> "Metric":
        kind = _kind(name)
        if kind is not None:
            better = kind.higher_is_better if higher_is_better is None else higher_is_better
            return cls(name, kind.unit, better, kind.relative)
        if higher_is_better is None:
            endings = [known.ending for known in KINDS]
            stem, under, last = name.rpartition("_")
            nearest = difflib.get_close_matches(last[:100], endings, n=1, cutoff=0.7)
            hint = f' Did you mean "{stem}{under}{nearest[0]}"?' if nearest else ""
            raise InputError(
                "higher_is_better must be given for a metric whose name does not end in "
                f"{', '.join(endings)}, got {name}.{hint}"
            )
        return cls(name, "", higher_is_better, relative=False)

    @classmethod
    def shown(cls, name: str) -> "Metric":
        """As `named`, but a metric of an unknown name is allowed: it is shown and not judged."""
        if _kind(name) is None:
            return cls(name, "", higher_is_better=False, relative=False, judged=False)
        return cls.named(name)

    @property
    def label(self) -> str:
        """Its name for a reader."""
        return self.name.replace("_", " ")

    @property
    def in_points(self) -> bool:
        """Whether its differences are in points, from 0 to 100."""
        return self.unit == "points"

    @property
    def may_be_constant(self) -> bool:
        """Whether it may be the same for all seeds: a count."""
        kind = _kind(self.name)
        return kind is not None and kind.ending in ("parameters", "operations")

    @property
    def against_its_name(self) -> str | None:
        """A sentence where it is judged the other way round than its name tells, else None."""
        kind = _kind(self.name)
        if kind is None or kind.higher_is_better == self.higher_is_better:
            return None
        better = "higher" if self.higher_is_better else "lower"
        return f"{self.name} is judged as better where it is {better}, as asked; its name says the opposite."

    def of_trainings(self) -> "Metric":
        """As truelift's own trainings log it: in points. Of a user's own metric the scale stays unknown."""
        ours = any(logged.name == self.name for logged in LOGGED)
        return replace(self, scale="points") if ours and self.in_points and self.scale is None else self

    @property
    def over_test_images(self) -> bool:
        """Whether it is the share of test images that are right, or wrong, compared by the difference."""
        return not self.relative and _step(self.name) == "test image"

    def resolution(self, test_images: int | None) -> float:
        """Its smallest step; 0 for a continuous metric.

        Args:
            test_images: How many it is a share of, at least 1; None where that is not known.
        """
        step = _step(self.name)
        if step in ("test image", "some test images"):
            return 100 / test_images if test_images else 0.0
        return 1.0 if step == "one" else 0.0


@dataclass(frozen=True)
class Limit:
    """A guard: a metric that may get worse by `most` at most."""

    metric: Metric
    most: float
    """In the metric's unit."""


PERCENT = r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*%\s*"
"""A number in percent, as a regular expression."""


def percent(text: object) -> float | None:
    """The number of "3 %", at least 0; None where it is no text of that form."""
    found = re.fullmatch(PERCENT, text) if isinstance(text, str) else None
    number = math.inf if found is None else float(found[1])
    return number if number < math.inf else None


def no_result(value: float) -> str | None:
    """Why a number cannot be judged, for a sentence "NAME is …"; None where it can."""
    if abs(value) <= LARGEST:
        return None
    return f"beyond {LARGEST:g}" if abs(value) < math.inf else "no finite number"


def is_time(name: str) -> bool:
    """Whether a metric is a time or a speed, which another device changes as a whole."""
    kind = _kind(name)
    return kind is not None and kind.ending in ("seconds", "images_per_second")


def _kind(name: str) -> Kind | None:
    # The last first: images_per_second is no number of seconds.
    words = re.sub(r"[^a-z0-9]+", "_", name.lower())  # eval/F1 and val-accuracy are names of the same kind
    return next((k for k in reversed(KINDS) if words == k.ending or words.endswith(f"_{k.ending}")), None)


def _step(name: str) -> Step | None:
    return next((logged.step for logged in (*LOGGED, *PREDICTED) if logged.name == name), None)
