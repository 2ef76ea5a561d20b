"""The report's sentences, the same in every form."""

import json
from collections.abc import Collection
from typing import Any

from truelift.report.numbers import number
from truelift.report.summary import Row, Summary, difference_digits, mean_digits
from truelift.studies.metric import Metric

ONLY_PAIRS = "Only complete pairs of seeds are compared."
OTHERS_LEGEND = (
    "Means of the baseline and differences to it (%: in percent of its mean), looked at beside the question. "
    "▲ better, ▼ worse, by more than seed noise; each metric is corrected for its own variants alone. "
    "report.csv has every number."
)


def title(metric: str) -> str:
    """A metric's name with the unit of its differences."""
    unit = Metric.named(metric).unit
    return metric.replace("_", " ") + (f" (differences in {unit})" if unit else "")


def noises(summary: Summary) -> list[str]:
    """Noise over seeds and over test images, apart."""
    lines = []
    digits = difference_digits(summary.rows)
    for row in summary.compared:
        c = row.comparison
        assert c is not None
        if c.interval is None:
            continue
        over_seeds = (c.interval[1] - c.interval[0]) / 2
        line = f"{row.variant}: ± {number(over_seeds, digits=digits)} over seeds (half of the 95 % interval)"
        if row.example_error is not None:
            line += f", ± {number(1.96 * row.example_error, digits=digits)} points over test images"
        lines.append(line + ".")
    if not lines:
        return ["With one pair of seeds the noise cannot be told."]
    return [
        *lines,
        "The first says how far the difference would move with other seeds, and the verdict rests on it; the second "
        "how far it would move with other test images of the same kind. More seeds make only the first smaller.",
    ]


def others(summary: Summary) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The other metrics at a glance: header and rows, a metric a row and a variant a column."""
    header = ("metric", *(row.variant for row in summary.rows))
    return header, [(_short(name), *_glance(rows)) for name, rows in summary.others.items()]


def _short(metric: str) -> str:
    return metric.replace("_", " ") + (", %" if Metric.named(metric).relative else "")


def _glance(rows: tuple[Row, ...]) -> list[str]:
    glances = [number(rows[0].mean, digits=mean_digits(rows))]
    signs = {"helps": " ▲", "hurts": " ▼", "undecided": ""}
    for row in rows[1:]:
        assert row.comparison is not None
        difference = number(row.comparison.difference, digits=difference_digits(rows), sign=True)
        glances.append(difference + signs[row.comparison.verdict])
    return glances


def without_curves(summary: Summary, found: Collection[str]) -> list[str]:
    """A sentence for the variants that left no curve, so that nobody takes them for hidden behind another."""
    missing = [row.variant for row in summary.rows if row.variant not in found]
    return [f"No curves in metrics.jsonl from {', '.join(missing)}."] if missing else []


def without_features(summary: Summary, found: Collection[str]) -> list[str]:
    """A sentence for the variants that left no two-dimensional features."""
    missing = [row.variant for row in summary.rows if row.variant not in found]
    return [f"No features.npz from {', '.join(missing)}."] if missing else []


def settings(summary: Summary) -> list[tuple[str, str]]:
    """What each variant sets."""
    rows = []
    for name, variant in summary.study.plan["variants"].items():
        parts = [f"{key} = {setting(value)}" for key, value in variant["settings"].items()]
        if variant["command"] is not None:
            parts.insert(0, variant["command"])
        rows.append((name, "; ".join(parts) or "–"))
    return rows


def setting(value: Any) -> str:
    """A setting's value as a study file has it: true, not True; words without quotation marks."""
    return value if isinstance(value, str) else json.dumps(value)


def cost(summary: Summary) -> list[str]:
    """Training time, by variant."""
    if not summary.seconds:
        return ["The runs did not say how long they trained (train_seconds)."]
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in summary.seconds.items())
    total = sum(summary.seconds.values())
    return [f"{total:.0f} s of training in all, evaluation left out: {parts}."]


def environment(summary: Summary) -> list[str]:
    """Where the runs ran."""
    lines = [f"{found['runs']} runs: {', '.join(_environment(found))}." for found in summary.environments]
    if len(lines) > 1:
        keys = dict.fromkeys(key for found in summary.environments for key in found if key != "runs")
        differing = [key for key in keys if len({str(found.get(key)) for found in summary.environments}) > 1]
        lines.append(
            f"The runs did not all run in the same environment: it differs in {', '.join(differing)}. "
            "Times are not comparable between them."
        )
    return lines or ["The runs left no description of their environment."]


def _environment(found: dict[str, Any]) -> list[str]:
    """What is known of one; a program of the user's says less."""
    parts = [f"{name} {found[name]}" for name in ("truelift", "python", "torch", "numpy") if found.get(name)]
    if found.get("commit"):
        parts.append(f"commit {found['commit'][:10]}" + (" with changes (code.patch)" if found.get("patched") else ""))
    parts += [str(found[name]) for name in ("device", "processor", "platform") if found.get(name)]
    threads = found.get("threads")
    return [*parts, f"{threads} {'thread' if threads == 1 else 'threads'}"] if threads else parts


def reading(summary: Summary) -> list[str]:
    """The rule of the verdict."""
    smallest = float(summary.study.plan["smallest_effect"])
    unit = f" {summary.metric.unit}" if summary.metric.unit else ""
    matters = f"is at least {smallest:g}{unit}" if smallest > 0 else "lies"
    scale = summary.study.plan.get("scale")
    smaller = [f'Run at the scale "{scale}" of its study file, not at the size of the file as it stands.']
    return [
        *(smaller if scale else []),
        "Variants share each seed's initial weights, data order, augmentation and split, so that results are compared "
        f"in pairs. A variant helps (or hurts) where the mean difference {matters} in that direction and its "
        "Holm-corrected paired-t p-value is at most 0.05. Everything else is undecided: that is no proof of no effect.",
    ]
