"""Write all forms of a study's report beside its records."""

import re
from pathlib import Path

from truelift.records import write_text
from truelift.report.csv_form import csv_table
from truelift.report.latex import latex_table
from truelift.report.markdown import markdown
from truelift.report.summary import Summary

# Of other people's texts, whose every form would else be steered by them: an editor, a terminal, a browser.
_STEERING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def write_forms(summary: Summary) -> list[Path]:
    """Write report.html, report.md, report.csv and report.tex into the study's folder.

    Returns:
        Their paths, in this order.
    """
    from truelift.report.page import html_page  # matplotlib and the templates take a while

    forms = {
        "html": html_page(summary),
        "md": markdown(summary),
        "csv": csv_table(summary),
        "tex": latex_table(summary),
    }
    paths = []
    for ending, text in forms.items():
        paths.append(summary.folder / f"report.{ending}")
        write_text(paths[-1], visible(text))
    return paths


def visible(text: str) -> str:
    r"""`text` with control characters, and those that turn the direction of what is read, written as escapes.

    Lines and tabs stay as they are.

    >>> print(visible("a\x9b31m\u202eb"))
    a\x9b31m\u202eb
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
