"""The report's sentences and tables, the same in every form."""

import math
from collections.abc import Collection, Sequence

from truelift.metrics import Metric
from truelift.report.asked import setting
from truelift.report.environments import differing
from truelift.report.notes import HEADING
from truelift.report.rows import Row, difference_digits, mean_and_sd, mean_digits
from truelift.report.summary import Summary
from truelift.verdicts import Looks
from truelift.verdicts.numbers import number, p_value
from truelift.verdicts.wording import percent

SYMBOLS = {"helps": "▲", "hurts": "▼", "no effect": "■", "undecided": "◆", "failed": "✕"}
"""Before each verdict, for those who see no colours."""
HEADER = ("variant", "mean ± sd", "difference", "interval", "P(better)", "p", "verdict")
_PAIRS = (
    "Variants share each seed's initial weights, data order, augmentation and split, so that results are compared in "
    "pairs."
)
_PROGRAMS = "Every variant's program was given the same seeds, so that results are compared in pairs of one seed."
_TAKEN_FOR_PAIRS = "Runs under one seed are taken for pairs, and results are compared in pairs."
ONLY_PAIRS = "Only complete pairs of seeds are compared."
OTHERS_LEGEND = (
    "Means of the baseline and differences to it (%: in percent of it), looked at beside the question: exploratory. "
    "▲ better, ▼ worse, by more than seed noise; each metric is corrected for its own variants alone, so of studies in "
    "which nothing differs a quarter to a third show some arrow. A number whose name does not say which way is better "
    "is shown by its means alone. "
    "report.csv has every number."
)


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The rows of one metric, each under HEADER."""
    of_means, of_differences = mean_digits(rows), difference_digits(rows)
    return [_cells(row, of_means, of_differences) for row in rows]


def _cells(row: Row, of_means: int, of_differences: int) -> tuple[str, ...]:
    c = row.comparison
    result = mean_and_sd(row, of_means) if row.done else "–"
    if c is None:
        return (row.variant, result, "", "", "", "", row.standing)
    ends = [number(end, digits=of_differences, sign=True) for end in c.interval or ()]
    return (
        row.variant,
        result,
        number(c.difference, digits=of_differences, sign=True),
        " to ".join(ends) or "–",
        number(c.probability_better),
        p_value(c.p_adjusted),
        c.verdict,
    )


def title(metric: str) -> str:
    """A metric's name with the unit of its differences."""
    known = Metric.shown(metric)
    return known.label + (f" (differences in {known.unit})" if known.unit else "")


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
        of = f"half of the {percent(c.interval_confidence)} interval"
        line = f"{row.variant}: ± {number(over_seeds, digits=digits)} over {c.replicates} ({of})"
        if row.example_error == 0:  # the estimate, cut off there: what is left of it once the seeds' part is taken out
            line += ", none over test images that so few seeds can tell"
        elif row.example_error is not None:
            half = 1.96 * row.example_error
            shown = number(half, digits=max(digits, -math.floor(math.log10(half))))  # one figure at least
            line += f", ± {shown} points over test images"
        lines.append(line + ".")
    if not lines:
        one = any(row.comparison is not None and row.comparison.seeds == 1 for row in summary.compared)
        return ["With one pair of seeds the noise cannot be told."] if summary.asked.paired and one else []
    if summary.asked.folds is not None:
        says = "This is how far a difference would move with another data set of this kind, as far as folds tell it"
        return [*lines, f"{says}: with other training images and other test images. More data make it smaller."]
    if not _over_images(summary):
        says = "This is how far a difference would move with other seeds, and the verdict rests on it."
        return [*lines, f"{says} More seeds make it smaller."]
    return [
        *lines,
        "The first says how far the difference would move with other seeds, and the verdict rests on it; the second "
        "how far it would move with other test images of the same kind. More seeds make only the first smaller.",
    ]


def noises_heading(summary: Summary) -> str:
    """Of what `noises` tells."""
    return "Two noises" if _over_images(summary) else "Noise"


def _over_images(summary: Summary) -> bool:
    return any(row.example_error is not None for row in summary.compared)


def others(summary: Summary) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The other metrics at a glance: header and rows, a metric a row and a variant a column."""
    header = ("metric", *(row.variant for row in summary.rows))
    return header, [(_short(name), *_glance(rows)) for name, rows in summary.others.items()]


def _short(metric: str) -> str:
    known = Metric.shown(metric)
    return known.label + (", %" if known.relative else "")


def _glance(rows: tuple[Row, ...]) -> list[str]:
    glances = [number(rows[0].mean, digits=mean_digits(rows))]
    signs = {"helps": " ▲", "hurts": " ▼", "no effect": "", "undecided": "", "failed": ""}
    for row in rows[1:]:
        if row.comparison is None:  # nobody knows which way is better
            glances.append(number(row.mean, digits=mean_digits(rows)))
            continue
        difference = number(row.comparison.difference, digits=difference_digits(rows), sign=True)
        glances.append(difference + signs[row.comparison.verdict])
    return glances


def without_curves(summary: Summary) -> list[str]:
    """A sentence for the variants that left no curve, so that nobody takes them for hidden behind another."""
    if summary.asked.made_elsewhere or (summary.asked.programs and not summary.pictures):
        return []
    shown = {v for p in summary.pictures if p.drawn.name in ("train_loss", "test_error") for v in p.curves}
    return _missing(summary, "No curves in metrics.jsonl", shown)


def without_features(summary: Summary) -> list[str]:
    """A sentence for the variants that left no two-dimensional features."""
    return _missing(summary, "No features.npz", {panel.variant for panel in summary.panels})


def _missing(summary: Summary, what: str, shown: Collection[str]) -> list[str]:
    missing = [name for name in summary.asked.order if name not in shown]
    return [f"{what} from {', '.join(missing)}."] if missing else []


def settings(summary: Summary) -> list[tuple[str, str]]:
    """What each variant sets."""
    rows = []
    for variant in summary.asked.variants:
        parts = [] if variant.command is None else [variant.command]
        parts += [f"{key} = {setting(value)}" for key, value in variant.settings.items()]
        rows.append((variant.name, "; ".join(parts) or "–"))
    return rows


def shared(summary: Summary) -> list[tuple[str, str]]:
    """What all variants set."""
    return [(name, setting(value)) for name, value in summary.asked.shared.items()]


def cost(summary: Summary) -> list[str]:
    """Training time, by variant."""
    if not summary.seconds:
        silent = summary.asked.made_elsewhere or summary.asked.programs
        return [] if silent else ["The runs did not say how long they trained (train_seconds)."]
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in summary.seconds.items())
    total = sum(summary.seconds.values())
    return [f"{total:.0f} s of training in all, evaluation left out: {parts}."]


def environment(summary: Summary) -> list[str]:
    """Where the runs ran."""
    lines = [
        f"{found.runs} {'run' if found.runs == 1 else 'runs'}: {', '.join(found.words())}."
        for found in summary.environments
    ]
    if len(lines) > 1:
        lines.append(
            "The runs did not all run in the same environment: it differs in "
            f"{', '.join(differing(summary.environments))}. Times are not comparable between them."
        )
    if lines or summary.asked.made_elsewhere or summary.asked.programs:
        return lines
    return ["The runs left no description of their environment."]


def reading(summary: Summary) -> list[str]:
    """The rule of the verdict."""
    smallest = summary.asked.smallest_effect
    unit = f" {summary.metric.unit}" if summary.metric.unit else ""
    matters = f"is at least {smallest:g}{unit}" if smallest > 0 else "lies"
    scale, looks = summary.asked.scale, summary.asked.looks
    scaled = f'Run at the scale "{scale}" of its study file, not at the size of the file as it stands.'
    smaller = [scaled] if scale else []
    if not summary.asked.paired:
        return [
            "The runs of a variant and of the baseline are no pairs of one seed. So the means of all are compared: "
            f"a variant helps (or hurts) where their difference {matters} in that direction and the "
            "Holm-corrected p-value of Welch's test is at most 0.05. Everything else is undecided: that is no proof of "
            "no effect. Runs under the same seeds would need fewer of them.",
        ]
    if summary.asked.folds is not None:
        return [*smaller, *_folds(summary, matters), *_guards(summary)]
    p = "paired-t p-value" if looks is None else "p-value over all looks"
    held = "corrected for all variants, is at most 0.05"
    if summary.asked.referee is not None:
        held = f"uncorrected, is at most the level that the ledger gave the variant (see {HEADING})"
    return [
        *smaller,
        f"{_pairs(summary)} A variant helps (or hurts) where the mean "
        f"difference {matters} in that direction and its {p}, {held}."
        " It has no effect as large as the smallest that matters where two one-sided tests show that it is smaller. "
        "Everything else is undecided: that proves nothing.",
        *_guards(summary),
        *([_POOLED] if any(c.pooled for c in summary.comparisons.values()) else []),
        "An effect that was found with few seeds is larger in the report than in truth, on average: by 30 to 50 % with "
        "3 to 5 seeds and an effect of one standard deviation.",
        *([] if looks is None else [_until_decided(looks)]),
    ]


def _pairs(summary: Summary) -> str:
    """Why runs are compared in pairs."""
    if summary.asked.made_elsewhere:
        return _TAKEN_FOR_PAIRS
    return _PROGRAMS if summary.asked.programs else _PAIRS


def _folds(summary: Summary, matters: str) -> list[str]:
    """The reading of a study over folds."""
    return [
        f"The replicates are the {summary.asked.folds} folds of one data set, each held out once, not seeds. Folds "
        "share most of their training images, so that their results are not independent: p-values and intervals are "
        "those of Nadeau and Bengio's corrected t, with the variance s²·(1/k + n_test/n_train) in place of s²/k.",
        f"A variant helps (or hurts) where the mean difference {matters} in that direction and its p-value, corrected "
        "for all variants, is at most 0.05. It has no effect as large as the smallest that matters where two "
        "one-sided tests show that it is smaller. Everything else is undecided: that proves nothing. What is found "
        "holds for this data set.",
    ]


_POOLED = (
    'Declared beforehand (pooling = "guarded"): one noise for all variants, by step-down Dunnett, and beside it each '
    "variant's own paired t-test at 0.05; both must decide."
)


def _until_decided(looks: Looks) -> str:
    return (
        f"Planned beforehand: at most {looks.most_seeds} seeds, judged at {len(looks.seeds)} numbers of pairs while it "
        "ran. A variant stops where it is decided, or where the last seed is unlikely to decide it; the baseline runs "
        "until all have stopped. The p-values hold wherever it stops: that any look finds what is not there happens in "
        "5 % of studies at most. The interval is the innermost of all looks so far."
    )


def _guards(summary: Summary) -> list[str]:
    if not summary.asked.guards:
        return []
    limits = [f"{g.metric.label} by {g.most:g} {g.metric.unit}".rstrip() for g in summary.asked.guards]
    return [
        f"It helps only where its guards hold: at most {' and '.join(limits)} worse, by a one-sided test. Where a "
        "guard is shown to be broken, it hurts."
    ]
