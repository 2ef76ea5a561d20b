"""A user's text made harmless for the form that shows it: names, questions and messages may hold anything."""

import re
import unicodedata

# What a spreadsheet takes for the beginning of a formula; the last four are read as the first four.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

# Characters that turn the direction of text, so that it reads as something else.
_TURNING = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u200e", "\u200f", "\u061c"}


def one_line(text: str) -> str:
    r"""Text on one line without control characters: no escape sequence reaches a terminal, no blank line LaTeX.

    >>> one_line("a\x1b[31mb\n\nc")
    'a[31mb c'
    """
    kept = (c for c in text if c.isspace() or not (unicodedata.category(c) in ("Cc", "Cs") or c in _TURNING))
    return " ".join("".join(kept).split())


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
