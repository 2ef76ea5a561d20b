"""What the caption of the table for a paper says: all that a reader of the paper needs to read the table."""

from collections.abc import Iterator

from truelift.metrics import Limit
from truelift.report.asked import Asked
from truelift.report.legend import confidences, header_legend
from truelift.report.notes import short_second_look
from truelift.report.summary import Summary


def caption(summary: Summary) -> str:
    """The question, the metric, the columns, what no effect means, the guards; and what weakens it, each a sentence."""
    return " ".join((summary.asked.question, *_sentences(summary)))


def _sentences(summary: Summary) -> Iterator[str]:
    asked, metric = summary.asked, summary.metric
    better = f"{'higher' if metric.higher_is_better else 'lower'} is better"
    against = f"differences to {asked.baseline}{f' in {metric.unit}' if metric.unit else ''}"
    yield f"{metric.label[:1].upper()}{metric.label[1:]}, {better}; {against}."
    yield header_legend(summary)
    if len(confidences(summary)) > 1:
        yield "Behind each interval stands its confidence."
    if asked.smallest_effect > 0 and asked.paired:
        smallest = f"{asked.smallest_effect:g} {metric.unit}".strip()
        yield f"No effect: shown by two one-sided tests to be smaller than {smallest}, the smallest that matters."
    if asked.guards:
        limits = ", ".join(_limit(asked, guard) for guard in asked.guards)
        yield (
            f"Guards: {limits}. Each has a column: by how much it is worse in the mean (below 0: better), and whether "
            "it is shown to be within its limit (held), beyond it (broken) or neither (open)."
        )
    if not summary.complete:
        yield "A look before the end: runs are still to come."
    if asked.planned_metric:
        yield f"The metric was chosen when the runs were there; planned was {asked.planned_metric}."
    if again := short_second_look(asked):
        yield again


def _limit(asked: Asked, guard: Limit) -> str:
    unit = "%" if guard.metric.unit.startswith("percent") else guard.metric.unit
    return f"{asked.guard_label(guard.metric)} at most {f'{guard.most:g} {unit}'.strip()} worse"
