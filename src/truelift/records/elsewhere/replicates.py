"""Rows that are no runs of their own: means among the seeds or folds, what is no fold among folds, a run's second row.

A row of means would count as one more replicate, of the least spread of all, and decide what the runs alone do not.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from truelift.errors import InputError
from truelift.records.elsewhere.cells import text
from truelift.records.elsewhere.names import all_distinct, is_fold
from truelift.records.elsewhere.run_table import Fact, RunTable

_SUMMARIES = {
    *("mean", "average", "averaged", "avg", "median", "std", "stdev", "stddev", "sd", "sem", "stderr", "se", "var"),
    *("variance", "min", "max", "minimum", "maximum", "sum", "total", "all", "overall", "summary", "aggregate"),
    *("aggregated", "count", "ci", "best", "worst"),
}
_AROUND = {"of", "over", "across", "and", "the", "fold", "folds", "seed", "seeds", "run", "runs", "dev", "error"}
_WORD = re.compile(r"[^\W\d_]+")


def checked(table: RunTable) -> RunTable:
    """The table, if each of its runs may be one.

    Raises:
        InputError: A seed, a fold or a run's name is that of a summary; or some seeds are named as folds, others not.
    """
    ids = [(run.place if run.seed is None else run.seed, run.place) for run in table.runs]
    refuse_summaries(table.source, ids)
    named = {is_fold(id_) if isinstance(id_, str) else False: id_ for id_, _ in reversed(ids)}
    if len(named) > 1 and not table.seeds_are_folds:
        raise InputError(
            f'{table.source}: some rows are of folds, such as "{named[True]}", and others not, such as '
            f'"{named[False]}": give a table for each, or leave the others out.'
        )
    return table


def refuse_summaries(source: str, ids: Iterable[tuple[int | str, str]]) -> None:
    """Refuse a table with a summary among the names of what repeats; if all of them are such words, they are names.

    Args:
        source: What is read, for the message.
        ids: The seed, fold or name of each row, and its place.

    Raises:
        InputError: There is one; the message names the place.
    """
    known = list(ids)
    found = [(id_, place) for id_, place in known if is_summary(id_)]
    if found and len(found) < len(known):
        id_, place = found[0]
        raise InputError(
            f'{source}, {place}: "{id_}" is no run but a summary of others, and would count as one: leave it out, or '
            "give it another name if it is a run."
        )


def is_summary(name: int | str) -> bool:
    """Whether a seed's or a fold's name is that of a summary of several.

    >>> is_summary("mean"), is_summary("Mean ± std"), is_summary("avg of 5 folds"), is_summary("fold_3"), is_summary(7)
    (True, True, True, False, False)
    """
    words = set(_WORD.findall(name.lower())) if isinstance(name, str) else set()
    return bool(words & _SUMMARIES) and words <= _SUMMARIES | _AROUND


def of_two(columns: Mapping[str, Sequence[Fact]], one: int, other: int, *, steps: bool) -> str:
    """What to do where two records are of one variant and seed, a sentence or two.

    Args:
        columns: What may tell records apart, by name, a value a record.
        one: The first's index.
        other: The second's.
        steps: Whether it is known which steps they are of.
    """
    differing = [
        name
        for name, column in columns.items()
        if text(column[one]) != text(column[other]) and not all_distinct(column)  # a name of its own tells no variants
    ]
    if differing:
        told = ", ".join(differing[:3])
        return f" They differ in {told}: make it part of the variant (--variant), or give a table for each."
    rows = "" if steps else " If these are steps of one run, name their column with --step."
    return f"{rows} If it was run again, leave one of the two out, chosen by anything but its result."
