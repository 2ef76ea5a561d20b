"""A user's text made harmless for the form that shows it: names, questions and messages may hold anything."""

import re

# What a spreadsheet takes for the beginning of a formula; the last four are read as the first four.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_UNSEEN = (
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
)
STEERING = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff{_UNSEEN}]")
"""Control characters other than tabs and ends of lines, halves of characters, and what is not seen itself but turns the
direction of text or hides in it; the joiners that some scripts need are none of them."""


def visible(text: str) -> str:
    r"""`text` with what would steer an editor, a terminal or a browser written as escapes; see `STEERING`.

    >>> print(visible("a\x9b31m\u202eb"))
    a\x9b31m\u202eb
    """
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def one_line(text: str) -> str:
    r"""Text on one line without control characters: no escape sequence reaches a terminal, no blank line LaTeX.

    >>> one_line("a\x1b[31mb\n\nc")
    'a[31mb c'
    """
    return " ".join(STEERING.sub(lambda found: " " if found[0].isspace() else "", text).split())


def shortened(text: str, most: int) -> str:
    """Text on one line, its middle left out where it has more than `most` characters: room in a picture is limited.

    >>> shortened("a" * 9 + "b" * 9, 9)
    'aaaa…bbbb'
    """
    text = one_line(text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - (most - 1) // 2 :]}"


def csv_cell(text: str) -> str:
    """Text that a spreadsheet does not run: an apostrophe before what it would take for a formula; numbers stay.

    >>> csv_cell("=1+1"), csv_cell("-0.5"), csv_cell("base")
    ("'=1+1", '-0.5', 'base')
    """
    if not text.startswith(_FORMULA):
        return text
    return text if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) else f"'{text}"


def markdown_text(text: str) -> str:
    """Text on one line that Markdown shows as it stands, so that a `<b>` or a_b_c in it is not taken for markup."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    # An underscore within a word is no markup: escaping it would only spoil the plain text.
    return re.sub(r"([\\`*~\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def markdown_code(text: str) -> str:
    """A block of code, whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


_LATEX = {
    "\\": r"\textbackslash{}",
    **{c: "\\" + c for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "<": r"$<$",
    ">": r"$>$",
}


def latex_text(text: str) -> str:
    """Text on one line that LaTeX prints as it stands; a blank line in a caption would be an error."""
    return "".join(_LATEX.get(character, character) for character in one_line(text))
