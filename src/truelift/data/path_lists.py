"""Lists of image files and labels without a header, as ImageNet's val.txt: `path label` a line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from truelift.data.files import is_regular, say
from truelift.data.image_files import is_image

LIST_ENDING = ".txt"

LONGEST_LINE = 1 << 24
"""Characters of a line of a table's file."""

MOST_COLUMNS = 20_000
"""Of a table."""

_DELIMITERS = ("\t", ",", ";")


@dataclass(frozen=True)
class ListForm:
    """How the lines of a list are divided.

    Attributes:
        names: Of the columns: "file", and "label" where there is one more, or else "label 1", "label 2" and so on.
        delimiter: Between the fields; None: spaces or tabs.
    """

    names: tuple[str, ...]
    delimiter: str | None

    def divide(self, lines: Iterable[str]) -> Iterator[list[str]]:
        r"""The fields of each line that is divided by spaces; a file name may have such, where one label follows it.

        >>> next(ListForm(("file", "label"), None).divide(["my cat.jpg 3\n"]))
        ['my cat.jpg', '3']
        """
        for line in filter(str.strip, lines):
            yield [line.strip()] if len(self.names) == 1 else _divided(line, len(self.names))


def list_form(line: str) -> ListForm | None:
    """How a list is divided, told by its first line; None where this line does not begin with an image's file name.

    It has one column more than `MOST_COLUMNS` where the line has more.

    >>> list_form("n01440764/1.JPEG 0").names, list_form("1.png;cat;dog").names
    (('file', 'label'), ('file', 'label 1', 'label 2'))
    >>> list_form("file_name,label") is None
    True
    """
    for delimiter in _DELIMITERS:
        fields = line.split(delimiter, MOST_COLUMNS)
        if len(fields) > 1 and _names_image(fields[0]):
            return ListForm(_columns(len(fields)), delimiter)
    for fields in (_divided(line, 2), _divided(line, 3)):
        if len(fields) > 1 and is_image(fields[0]):
            return ListForm(_columns(len(fields)), None)
    alone = is_image(line.strip()) and len(line.split(maxsplit=1)) == 1  # of "1 a.jpg" nobody knows what the number is
    return ListForm(_columns(1), None) if alone else None


def is_list(file: Path) -> bool:
    """Whether a file's name and its first line say that it is such a list; of one that cannot be read, this is said."""
    if not file.name.lower().endswith(LIST_ENDING):
        return False
    try:
        if not is_regular(file):
            return False
        with file.open(encoding="utf-8-sig", errors="replace") as text:  # whoever reads it whole says what is wrong
            return list_form(text.readline(LONGEST_LINE)) is not None
    except OSError as error:
        say(f"{file}: it cannot be read ({error.strerror}), and is taken for no list of images")
        return False


def _divided(line: str, fields: int) -> list[str]:
    """The fields of a line: of two, the last is the label; of more, none has a space; of too many, the rest is one."""
    return line.strip().rsplit(maxsplit=1) if fields == 2 else line.split(maxsplit=MOST_COLUMNS)


def _names_image(field: str) -> bool:
    return is_image(field.strip().strip('"'))


def _columns(count: int) -> tuple[str, ...]:
    if count <= 2:
        return ("file", "label")[:count]
    return ("file", *(f"label {number}" for number in range(1, count)))
