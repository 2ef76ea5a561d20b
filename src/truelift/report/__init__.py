"""Tables, figures and the page of a study: from its records alone."""

from truelift.report.summary import Summary, summarise
from truelift.report.terminal import print_summary
from truelift.report.write import write_forms

__all__ = ["Summary", "print_summary", "summarise", "write_forms"]
