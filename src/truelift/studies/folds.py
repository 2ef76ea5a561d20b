"""A study whose replicates are the folds of one data set, in place of seeds.

In a study file:

    replicates = "folds"
    folds = 5
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from truelift.errors import InputError, require, unknown_name, whole
from truelift.seeds import FEWEST_SEEDS
from truelift.verdicts.comparison import Replicates

REPLICATES: tuple[Replicates, ...] = ("seeds", "folds")
"""Of a study; runs that are no pairs are found, never planned."""
MOST_FOLDS = 1000
_SET_BY_STUDY = ("data.folds", "data.fold")
_OTHER_TEST_SETS = ("data.test_images", "data.test_fraction")


class Together(NamedTuple):
    """What a study file has beside its folds."""

    seeds: bool
    looks: bool
    pooling: bool
    published: bool
    programs: bool


def read_folds(tables: Mapping[str, Any]) -> int | None:
    """How many folds a study file asks for; None where its replicates are seeds.

    Raises:
        InputError: A value is wrong, or one of the two keys says nothing without the other.
    """
    kind, folds = tables.get("replicates", "seeds"), tables.get("folds")
    if kind not in REPLICATES:
        raise unknown_name("replicates", str(kind), REPLICATES)
    if kind == "seeds":
        require("folds", folds, folds is None, 'left out without replicates = "folds"')
        return None
    require("folds", folds, folds is not None, 'given with replicates = "folds"')
    whole("folds", folds, FEWEST_SEEDS, MOST_FOLDS)
    return folds


def refuse_with_folds(folds: int, together: Together, settings: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what folds cannot be judged with, with the reason.

    Args:
        folds: How many.
        together: What else the study has.
        settings: The shared ones and each variant's, by dotted name.

    Raises:
        InputError: It has such a thing.
    """
    if together.seeds:
        raise InputError(f"seeds must be left out with folds: each of the {folds} folds is run once, by its own seed.")
    if together.looks:
        raise InputError(
            "until_decided must be left out with folds: its levels are for pairs that are independent, and a fold that "
            "is left out would leave images untested."
        )
    if together.pooling:
        raise InputError("pooling must be left out with folds: its test is for pairs that are independent.")
    if together.published:
        raise InputError("published must be left out with folds: a published figure is of another test set.")
    if together.programs:
        raise InputError(
            "folds are for truelift's own trainings: a program of your own is given a seed and no fold, and "
            "nothing shows that it holds each image out once. truelift.verdicts.compare(held_out=…) judges its results."
        )
    for one in settings:
        for name in _SET_BY_STUDY:
            require(name, one.get(name), name not in one, 'left out with replicates = "folds", which sets it')
        for name in _OTHER_TEST_SETS:
            require(name, one.get(name), name not in one, "left out with folds: each fold is the test set once")
