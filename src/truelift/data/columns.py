"""Which columns of a table hold file names, labels and splits, told by their names."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated

from truelift.errors import InputError, known
from truelift.options import PLACE, Conflict, In

IMAGE_NAMES = (
    *("file_name", "filename", "file_path", "filepath", "image_path", "img_path", "image_file", "image_name"),
    *("img_name", "file", "path", "image", "img", "images", "photo", "picture", "image_id", "img_id", "id_code", "id"),
)
"""Names of the column with the images or their files; an earlier one goes before a later one."""

LABEL_NAMES = (
    *("label", "labels", "class", "classes", "category", "categories", "target", "targets", "tag", "tags"),
    *("species", "breed", "diagnosis", "cls", "y"),
)
"""Names of the column with the labels. With _name or _id behind it, too: class_name, category_id."""

SPLIT_NAMES = ("split", "set", "subset", "partition")
"""Names of the column that tells each image's split; an earlier one that tells any goes before a later one."""


@dataclass(frozen=True, kw_only=True)
class ColumnOptions:
    """What the columns of a parquet file or of a table hold."""

    image_column: str | None = None
    """Column with the images or their files' names. Default: found if only one fits."""

    label_column: str | None = None
    """Column with the labels; for shards, the key in KEY.json. Default: found if only one fits."""

    label_columns: Annotated[tuple[str, ...] | None, In("names of columns", bool)] = None
    """Several labels per image: columns with 0 and 1, one for each class, in this order."""

    label_separator: Annotated[str | None, In("text between two labels", bool)] = None
    """Several labels per image: what separates them in the label column of a table, such as "|" or " "."""

    image_folder: Annotated[str | None, PLACE] = None
    """Folder to which the file names in a table are relative. Default: the table's own, or one in it that has them."""

    def conflicts(self) -> Iterable[Conflict]:
        """The rules between these options."""
        one = self.label_columns is None or (self.label_column is None and self.label_separator is None)
        yield "label_columns", one, "left out with data.label_column and data.label_separator"
        several = self.label_columns is None or len(set(self.label_columns)) == len(self.label_columns) >= 2
        yield "label_columns", several, "two different names or more"


class UnclearError(InputError):
    """What a data set's columns hold cannot be told.

    Args:
        problem: Why.
        advice: Which option says it.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}; {advice}")
        self.problem = problem


OF_ROWS = ("image_column", "label_column", "label_columns", "label_separator")
"""The options about columns that rows of encoded images can use."""


def refuse_columns(options: ColumnOptions, there: str, used: Collection[str] = ()) -> None:
    """Refuse options about columns where what they name is not there.

    Args:
        options: As the user gives them.
        there: What is, for messages.
        used: The options that it can use.

    Raises:
        InputError: Another one is given.
    """
    for field in fields(ColumnOptions):
        value = getattr(options, field.name)
        if value is not None and field.name not in used:
            raise InputError(f"data.{field.name} must be left out for {there}, got {value!r}")


def find_image(columns: Sequence[str], wanted: str | None, table: str) -> str:
    """The column with the file names.

    Args:
        columns: The table's.
        wanted: `data.image_column`.
        table: For messages.

    Raises:
        UnclearError: There is none.
        InputError: Or not the one that is wanted.
    """
    if wanted is not None:
        return _wanted(columns, wanted, table, "image")
    found = named_image(columns)
    if found is None:
        raise UnclearError(
            f"{table}: no column is named for images ({', '.join(IMAGE_NAMES[:4])} and the like) among "
            f"{_listed(columns)}",
            "name it with --data.image_column",
        )
    return found


def named_image(columns: Sequence[str]) -> str | None:
    """The first column whose name is one of `IMAGE_NAMES`, in their order."""
    plain = _by_plain(columns)
    return next((plain[name] for name in IMAGE_NAMES if name in plain), None)


def with_label(options: ColumnOptions, usual: str | None) -> ColumnOptions:
    """The options with the label that a data set's name means, where the user wants no other."""
    if options.label_column is not None or options.label_columns is not None:
        return options
    return replace(options, label_column=usual)


def find_label(columns: Sequence[str], wanted: str | None, table: str) -> str:
    """The column with the labels: the one that is wanted, or is named for them, or is the only one.

    Raises:
        UnclearError: There is none, or more than one could be meant.
        InputError: Or not the one that is wanted.
    """
    if wanted is not None:
        return _wanted(columns, wanted, table, "label")
    found = named_labels(columns) or (list(columns) if len(columns) == 1 else [])
    if len(found) != 1:
        many = f"more than one label column: {', '.join(found)}" if found else f"no label column in {_listed(columns)}"
        raise UnclearError(f"{table}: {many}", "name it with --data.label_column")
    return found[0]


def named_labels(columns: Sequence[str]) -> list[str]:
    """The columns that are named for labels; of `class`, `class_name` and `class_id` the first that there is."""
    plain, found = _by_plain(columns), []
    for name in LABEL_NAMES:
        forms = (name, f"{name}_name", f"{name}name", f"{name}_id", f"{name}_label")
        same = next((plain[form] for form in forms if form in plain), None)
        if same is not None and same not in found:
            found.append(same)
    return found


def find_splits(columns: Sequence[str], options: ColumnOptions) -> list[str]:
    """The columns that are named for splits, in that order of names; none that is wanted for images or labels."""
    wanted = {options.image_column, options.label_column, *(options.label_columns or ())}
    plain = _by_plain([column for column in columns if column not in wanted])
    return [plain[name] for name in SPLIT_NAMES if name in plain]


def _by_plain(columns: Sequence[str]) -> dict[str, str]:
    """The columns by their plain names; of two that have the same the first."""
    return {_plain(column): column for column in reversed(columns)}


def _wanted(columns: Sequence[str], wanted: str, table: str, kind: str) -> str:
    known(f"{kind} column of {table}", wanted, columns)
    return wanted


def _plain(name: str) -> str:
    """A column's name in lower case, its words divided by one underscore.

    >>> _plain("Image Path"), _plain("file-name")
    ('image_path', 'file_name')
    """
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(columns[:20]) or "none"
