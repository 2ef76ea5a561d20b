"""Write all forms of a study's report beside its records."""

from pathlib import Path

from truelift.records import write_text
from truelift.report.csv_form import csv_table
from truelift.report.latex import latex_table
from truelift.report.markdown import markdown
from truelift.report.plain import STEERING
from truelift.report.summary import Summary


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
    r"""`text` with what would steer an editor, a terminal or a browser written as escapes; see `STEERING`.

    >>> print(visible("a\x9b31m\u202eb"))
    a\x9b31m\u202eb
    """
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
