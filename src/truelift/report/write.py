"""Write all forms of a study's report beside its records."""

from pathlib import Path

from truelift.records import write_text, write_unless_there
from truelift.report.csv_form import csv_table
from truelift.report.latex import latex_table
from truelift.report.markdown import markdown
from truelift.report.plain import visible
from truelift.report.runs import runs_csv
from truelift.report.summary import Summary
from truelift.report.unchanged import digest_of, is_made_of, marked


def write_forms(summary: Summary) -> list[Path]:
    """Write report.html, report.md, report.csv, report.tex and report-runs.csv into the study's folder.

    What is there already is left as it is: a report.html that shows this very summary, and any other file's very text.

    Returns:
        Their paths, in this order.
    """
    page = summary.folder / "report.html"
    made_of = digest_of(summary)
    if not is_made_of(page, made_of):
        from truelift.report.page import html_page  # matplotlib and the templates take a while

        write_text(page, marked(visible(html_page(summary)), made_of))
    forms = {
        "report.md": markdown(summary),
        "report.csv": csv_table(summary),
        "report.tex": latex_table(summary),
        "report-runs.csv": runs_csv(summary.runs, summary.metric.name),
    }
    paths = [page]
    for name, text in forms.items():
        paths.append(summary.folder / name)
        write_unless_there(paths[-1], visible(text))
    return paths
