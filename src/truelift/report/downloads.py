"""Files inside the page: links that hold what they give, so that one file is enough."""

import base64
from dataclasses import dataclass

from truelift.report.latex import latex_table
from truelift.report.plain import visible
from truelift.report.runs import runs_csv
from truelift.report.summary import Summary


@dataclass(frozen=True)
class Download:
    """One of them."""

    name: str
    """The file's."""
    words: str
    """What is in it."""
    address: str
    """A data: link."""


def downloads(summary: Summary) -> tuple[Download, ...]:
    """The runs as a tidy table, the tables for LaTeX, and the study file where there is one."""
    files = [
        (
            "runs.csv",
            "every run's numbers, a row a run and metric",
            "text/csv",
            runs_csv(summary.runs, summary.metric.name),
        ),
        ("table.tex", "the tables for LaTeX", "text/plain", latex_table(summary)),
    ]
    if summary.study_file is not None:
        files.append(("study.toml", "the study file, made again from the records", "text/plain", summary.study_file))
    return tuple(Download(name, words, _address(kind, text)) for name, words, kind, text in files)


def _address(kind: str, text: str) -> str:
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(visible(text).encode()).decode()}"
