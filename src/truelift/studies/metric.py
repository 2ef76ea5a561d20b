"""What a study judges by."""

from dataclasses import dataclass

from truelift.errors import InputError

# Name, unit, higher is better, relative to the baseline.
_KNOWN = (
    ("accuracy", "points", True, False),
    ("error", "points", False, False),
    ("auroc", "points", True, False),
    ("loss", "", False, False),
    ("seconds", "percent of baseline", False, True),
    ("images_per_second", "percent of baseline", True, True),
    ("parameters", "percent of baseline", False, True),
    ("operations", "percent of baseline", False, True),
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
        for ending, unit, higher, relative in reversed(_KNOWN):
            if name == ending or name.endswith(f"_{ending}"):
                return cls(name, unit, higher if higher_is_better is None else higher_is_better, relative)
        if higher_is_better is None:
            endings = ", ".join(known[0] for known in _KNOWN)
            raise InputError(
                f"higher_is_better must be given for a metric whose name does not end in {endings}, got {name}."
            )
        return cls(name, "", higher_is_better, relative=False)
