"""The plan of a study that runs seeds until it is decided: how many at most, and at how many pairs it is judged.

In a study file:

    [until_decided]
    max_seeds = 20
    looks = [3, 5, 8, 12, 20]     # optional: at every seed from the third
"""

from dataclasses import dataclass
from typing import Any

from truelift.errors import InputError, is_whole, unknown_name
from truelift.verdicts import Looks

_KEYS = ("max_seeds", "looks")


@dataclass(frozen=True)
class GivenLooks:
    """What the command line says of it."""

    until_decided: bool = False
    max_seeds: int | None = None
    looks: str | None = None
    """Whole numbers with commas between them."""

    @property
    def table(self) -> dict[str, Any]:
        """The same as a study file has it.

        Raises:
            InputError: `looks` is no list of whole numbers.
        """
        found: dict[str, Any] = {} if self.max_seeds is None else {"max_seeds": self.max_seeds}
        if self.looks is not None:
            try:
                found["looks"] = [int(part) for part in self.looks.split(",")]
            except ValueError:
                raise InputError(
                    f"looks must be whole numbers with commas between them, such as 3,5,8,12, got {self.looks!r}."
                ) from None
        return found


def read_looks(table: Any) -> Looks:
    """The looks that a table `until_decided` asks for.

    Raises:
        InputError: A key is unknown, or a value is wrong.
    """
    if not isinstance(table, dict):
        raise InputError(f"until_decided must be a table with max_seeds, got {table!r}.")
    for key in table:
        if key not in _KEYS:
            raise unknown_name("key of until_decided", key, _KEYS)
    most, looks = table.get("max_seeds"), table.get("looks")
    if most is not None and not is_whole(most):
        raise InputError(f"max_seeds must be a whole number, got {most!r}.")
    if looks is None:
        if most is None:
            raise InputError("a study until decided needs max_seeds: how many seeds at most.")
        return Looks.at_every_seed(most)
    if not isinstance(looks, list) or not all(map(is_whole, looks)):
        raise InputError(f"looks must be a list of whole numbers, got {looks!r}.")
    found = Looks(tuple(looks))
    if most not in (None, found.most_seeds):
        raise InputError(f"the last of looks must be max_seeds, {most}, got {looks}.")
    return found


def chosen_looks(of_file: Looks | None, given: GivenLooks, seeds: int | None) -> Looks | None:
    """The looks of a study: those of the command line, else of its file; none where it has a fixed number of seeds.

    Raises:
        InputError: The command line contradicts itself, or says of a fixed number of seeds when to look.
    """
    table = given.table
    if not (given.until_decided or table):
        return of_file if seeds is None else None
    if seeds is not None:
        raise InputError(f"seeds = {seeds} fixes their number, and --until-decided does not: give --max-seeds instead.")
    if of_file is None and not given.until_decided:
        raise InputError(f"{next(iter(table))} is for a study until decided: give --until-decided too.")
    if table:
        return read_looks(table)
    if of_file is None:
        raise InputError("--until-decided needs --max-seeds: how many seeds at most.")
    return of_file


def record(looks: Looks | None) -> dict[str, Any] | None:
    """What study.json has of them."""
    return None if looks is None else {"max_seeds": looks.most_seeds, "looks": list(looks.seeds), "alpha": looks.alpha}
