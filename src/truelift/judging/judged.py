"""What a judgement gives: the verdicts, shown as a table on a terminal and in a notebook."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from truelift.errors import InputError, known
from truelift.report import Summary, print_summary, write_forms
from truelift.report.json_form import report_form, to_json
from truelift.verdicts import Comparison, Verdict

_WIDTH = 100


@dataclass(frozen=True, eq=False)
class Judged:
    """A study's verdicts. Print it for the table; the last line of a notebook's cell shows it as HTML.

    >>> table = {"plain": [90.1, 90.4, 90.2], "mixup": [91.2, 91.6, 91.4], "seed": [0, 1, 2]}
    >>> judged = truelift.judge(table, baseline="plain", metric="accuracy")
    >>> judged.verdicts
    {'mixup': 'helps'}
    """

    summary: Summary
    """Everything that its report says."""
    folder: Path | None = None
    """Of its records or its report; None where it has neither."""

    @property
    def notes(self) -> tuple[str, ...]:
        """How the runs were read, and what a reader should know of it; a sentence each."""
        return self.summary.asked.notes

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """Each variant's, by name."""
        return {name: comparison.verdict for name, comparison in self.comparisons.items()}

    @cached_property
    def comparisons(self) -> Mapping[str, Comparison]:
        """Each variant's numbers, by name."""
        return {row.variant: row.comparison for row in self.summary.compared if row.comparison is not None}

    def __getitem__(self, variant: str) -> Comparison:
        """A variant's numbers.

        Raises:
            InputError: There is no such variant; a `KeyError` it is not.
        """
        known("variant", variant, self.comparisons)
        return self.comparisons[variant]

    def write(self, folder: str | Path | None = None) -> Path:
        """Write report.html, report.md, report.csv and report.tex.

        Args:
            folder: Where; by default where its records are.

        Returns:
            The page's path.

        Raises:
            InputError: No folder is given, and it has no records.
        """
        home = self.folder if folder is None else Path(folder)
        if home is None:
            raise InputError("folder must be given: where shall the report be written?")
        return write_forms(replace(self.summary, folder=home))[0]

    def to_json(self) -> str:
        """The report for programs; docs/json.md has its keys."""
        return to_json(report_form(self.summary))

    def __str__(self) -> str:
        from rich.console import Console

        out = io.StringIO()
        # In a notebook rich would show it at once and leave the text empty, or put colours into it.
        print_summary(self.summary, Console(file=out, width=_WIDTH, force_jupyter=False, force_terminal=False))
        return "\n".join(line.rstrip() for line in (*out.getvalue().splitlines(), *self.notes))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from truelift.report.notebook import notebook_html

        return notebook_html(self.summary)
