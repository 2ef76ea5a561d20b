"""The report's sentences, the same in every form."""

from truelift.report.summary import Summary
from truelift.report.table import number
from truelift.studies.metric import Metric


def title(metric: str) -> str:
    """A metric's name with the unit of its differences."""
    unit = Metric.named(metric).unit
    return metric.replace("_", " ") + (f" (differences in {unit})" if unit else "")


def noises(summary: Summary) -> list[str]:
    """Noise over seeds and over test images, apart."""
    lines = []
    for row in summary.compared:
        c = row.comparison
        assert c is not None
        if c.interval is None:
            continue
        over_seeds = (c.interval[1] - c.interval[0]) / 2
        line = f"{row.variant}: ± {number(over_seeds)} over seeds (half of the 95 % interval)"
        if row.example_error is not None:
            line += f", ± {number(1.96 * row.example_error)} points over test images"
        lines.append(line + ".")
    if not lines:
        return ["With one pair of seeds the noise cannot be told."]
    return [
        *lines,
        "The first says how far the difference would move with other seeds, and the verdict rests on it; the second "
        "how far it would move with other test images of the same kind. More seeds make only the first smaller.",
    ]


def settings(summary: Summary) -> list[tuple[str, str]]:
    """What each variant sets."""
    rows = []
    for name, variant in summary.study.plan["variants"].items():
        parts = [f"{key} = {value}" for key, value in variant["settings"].items()]
        if variant["command"] is not None:
            parts.insert(0, variant["command"])
        rows.append((name, "; ".join(parts) or "–"))
    return rows


def cost(summary: Summary) -> list[str]:
    """Training time, by variant."""
    if not summary.seconds:
        return ["The runs did not say how long they trained (train_seconds)."]
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in summary.seconds.items())
    total = sum(summary.seconds.values())
    return [f"{total:.0f} s of training in all, evaluation left out: {parts}."]


def environment(summary: Summary) -> list[str]:
    """Where the runs ran."""
    lines = []
    for found in summary.environments:
        commit = f"commit {found['commit'][:10]}" if found.get("commit") else "no commit known"
        patched = " with changes (code.patch in each run)" if found.get("patched") else ""
        lines.append(
            f"{found['runs']} runs: truelift {found.get('truelift')}, {commit}{patched}; torch {found.get('torch')}, "
            f"Python {found.get('python')}; {found.get('device')} on {found.get('processor')}, "
            f"{found.get('threads')} threads; {found.get('platform')}."
        )
    if len(lines) > 1:
        lines.append("The runs did not all run in the same environment: times are not comparable between them.")
    return lines or ["The runs left no description of their environment."]


def reading(summary: Summary) -> list[str]:
    """The rule of the verdict."""
    smallest = float(summary.study.plan["smallest_effect"])
    unit = f" {summary.metric.unit}" if summary.metric.unit else ""
    matters = f" and is at least {smallest:g}{unit}" if smallest > 0 else ""
    return [
        "Variants share each seed's initial weights, data order, augmentation and split, so that results are compared "
        f"in pairs. A variant helps (or hurts) where the mean difference{matters} in that direction and its "
        "Holm-corrected paired-t p-value is at most 0.05. Everything else is undecided: that is no proof of no effect.",
    ]
