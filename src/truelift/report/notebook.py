"""The verdicts and the table as a piece of HTML, for a notebook."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from truelift.report import guarded, sections
from truelift.report.summary import Summary


def notebook_html(summary: Summary) -> str:
    """What a notebook shows: escaped, with its own few styles, without script."""
    templates = Environment(loader=PackageLoader("truelift.report"), autoescape=True, undefined=StrictUndefined)
    return templates.get_template("notebook.html").render(
        summary=summary,
        asked=summary.asked,
        tables=[(sections.HEADER, sections.cells(summary.rows)), (guarded.HEADER, guarded.cells(summary.rows))],
        symbols=sections.SYMBOLS,
    )
