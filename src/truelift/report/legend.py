"""What the columns of the table of verdicts are, with the numbers of this study."""

from truelift.report.rows import Row
from truelift.report.summary import Summary
from truelift.verdicts.wording import percent

PAIRS_LEGEND = (
    "Where a run is missing, the difference is the mean over the pairs that are there, not the difference of the means."
)


def header_legend(summary: Summary) -> str:
    """What the columns are."""
    baseline, *others = summary.rows
    pairs = [(row.comparison.seeds, row.done) for row in others if row.comparison is not None]
    lacking = any(seeds < max(len(done), len(baseline.done)) for seeds, done in pairs)
    return _columns(summary) + (f" {PAIRS_LEGEND}" if summary.asked.paired and lacking else "")


def _columns(summary: Summary) -> str:
    asked = summary.asked
    several = len(summary.compared) > 1
    interval = " to ".join(ends(confidences(summary)))
    interval = f"{interval} " if interval else ""
    level = ", at the level of the verdict's correction, so that it holds 0 exactly where p does not decide"
    level, for_all = (level, ", corrected for all variants") if several else ("", "")
    better = "P(better): share of the pairs in which the variant is better"
    judged = f"{counted(summary)}{' that were judged' if asked.looks is not None else ''}"
    means = f"Mean and standard deviation over {judged}; difference"
    if not asked.paired:
        of_all = "the runs are no pairs; P(better): share of all pairs of a run of each in which the variant is better"
        holm = ", Holm-corrected" if several else ""
        return f"{means} of the means, with Welch's {interval}interval: {of_all}; p: Welch's test{holm}."
    means += f" to the baseline, mean over {'the folds' if asked.folds is not None else 'paired seeds'}, with"
    if asked.looks is not None:
        p = f"over all looks so far, valid wherever the study stops{for_all}"
        return f"{means} the innermost {interval}interval of all looks{level}. {better}; p: {p}."
    if asked.folds is not None:
        better = better.replace("pairs", "folds")
        return (
            f"{means} the {interval}interval of Nadeau and Bengio's corrected t{level}. {better}; p: that t{for_all}."
        )
    if asked.referee is not None:
        level = ", at the level that the ledger gave the variant, so that it holds 0 exactly where p does not decide"
        for_all = ", scaled so that 0.05 stands for that level"
    return f"{means} its {interval}paired-t interval{level}. {better}; p: paired t{for_all}."


def counted(summary: Summary) -> str:
    """Over how many seeds, folds or runs the means are: "5 seeds", "3 to 5 seeds"."""
    found = sorted({len(row.done) for row in summary.rows} - {0})
    what = counted_as(summary)
    return f"{' to '.join(ends([str(one) for one in found]))} {what[:-1] if found == [1] else what}".strip()


def counted_as(summary: Summary) -> str:
    """Seeds, folds or runs."""
    return summary.asked.replicates if summary.asked.paired else "runs"


def count(row: Row, summary: Summary) -> int:
    """How many of a variant's results are compared; all that are there of the baseline, or without pairs."""
    return len(row.done) if row.comparison is None or not summary.asked.paired else row.comparison.seeds


def confidences(summary: Summary) -> list[str]:
    """Of the intervals, each different one once, the smallest first."""
    found = {c.interval_confidence for c in summary.comparisons.values() if c.interval}
    return list(dict.fromkeys(map(percent, sorted(found))))


def ends(found: list[str]) -> list[str]:
    """The first and the last, or the only one."""
    return found[:1] + found[1:][-1:]
