"""docs/results: studies kept as small records, and the tables and pictures of its pages, made from them alone.

    python .ci/results.py --keep runs/freezeout-94-six      a study's small records, into docs/results/records
    python .ci/results.py --unpack usual-techniques-94      into runs again, from where the study goes on
    python .ci/results.py                                   every page's tables and pictures anew

Kept are the plan and each run's settings, environment and result: no checkpoint, no predictions, no curve, and no path
of the machine. A page asks for a study's tables by a pair of comments, `<!-- study: NAME -->` and `<!-- end -->`, or
`<!-- study: NAME by METRIC -->` for another metric than the planned one. `<!-- means: NAME -->` asks for means alone,
of a study with too few seeds for verdicts, `<!-- sums: NAME -->` for what two techniques do together beside the sum of
what each does alone; README.md asks for the answer and the picture by `<!-- answer: NAME -->`. A test compares what
stands between them with what the records give.
"""

import argparse
import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from truelift.metrics import is_time
from truelift.records.packed import pack, records_of, unpack, unpacked
from truelift.report.figures import differences_figure
from truelift.report.markdown import markdown, table
from truelift.report.plain import markdown_text
from truelift.report.predicted import judged_by
from truelift.report.summary import Summary, summarise
from truelift.verdicts.numbers import number, p_value
from truelift.verdicts.paired import paired_t_interval, paired_t_p_value
from truelift.verdicts.several import holm_by_name

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs/results"
RECORDS = RESULTS / "records"
PAGES = (ROOT / "README.md", *sorted(RESULTS.glob("*.md")))
_BLOCK = re.compile(
    r"(<!-- (?P<what>study|means|sums|answer): (?P<name>\S+)(?: by (?P<metric>\w+))? -->\n).*?(<!-- end -->)", re.DOTALL
)
_OF_THE_MACHINE = ("command", "started_in")
_SECTIONS = ("## Published figures", "## Records", "## Runs that are missing", "## Runs to look at", "## Environment")
"""Of a report, beside its answer and the table of its metric."""
_OF_ANOTHER_METRIC = "^- training loss: .*\n?"
"""Of the notes on the records, where the page has no table of it."""
_OF_TIMES = ("## Saving", "### At equal time")
"""Those where a time decides: elsewhere runs may have shared their machine, so that times tell nothing."""
_ERROR = "test_error"
_MEANS = (
    "Mean ± standard deviation over the seeds that ended; the difference to the baseline and in how many pairs the "
    "variant is better, over the seeds that both have. **No verdicts: there are too few seeds for them.**"
)
_ALPHA = 0.05
_SUMS = (
    "Differences to the baseline in points, means over paired seeds; the interval is the paired t's, at the level of "
    "the verdict's correction; p: corrected for all pairs of techniques (Holm). More than the sum: worse together than "
    "what each does alone adds up to."
)
_ALTERNATIVE = "Each seed's difference to the baseline, with mean and interval"


def keep(study: Path) -> Path:
    """Take up a study's small records, in one file."""
    records = records_of(study)
    plan = json.loads(records["study.json"])
    configs = [tomllib.loads(text) for place, text in records.items() if place.endswith(".toml")]
    places = {place for config in configs for place in _paths(config)}
    places |= {value for name, value in plan["shared"].items() if name.endswith(".path")}
    for record, text in records.items():
        for place in sorted(places, key=len, reverse=True):
            text = text.replace(place, f"FOLDER/{Path(place).name}")
        if record.endswith(".json"):
            told = {name: value for name, value in json.loads(text).items() if name not in _OF_THE_MACHINE}
            if record == "study.json":
                told |= {"source": Path(told["source"]).name, "repeat": re.sub(r" --out \S+", "", told["repeat"])}
            text = json.dumps(told, indent=1) + "\n"
        records[record] = text
    kept = RECORDS / f"{study.resolve().name}.json"
    pack(records, kept)
    return kept


def _paths(config: dict[str, Any]) -> list[str]:
    """The absolute paths among a run's settings."""
    tables = [config, *(table for table in config.values() if isinstance(table, dict))]
    values = [value for table in tables for value in table.values()]
    return [value for value in values if isinstance(value, str) and Path(value).is_absolute()]


def block(name: str, metric: str | None = None, *, again: bool = False) -> str:
    """What a page shows of a kept study, by its own metric or another; its picture is written beside the page.

    Args:
        name: Of the study's file.
        metric: Default: the planned one.
        again: Leave out what the study's first block on the page has said of its runs.
    """
    summary = read(name, metric)
    head, *sections = re.split(r"\n(?=##+ )", markdown(summary))
    wanted = (*(() if again else _SECTIONS), *(_OF_TIMES if is_time(summary.metric.name) else ()))
    told = [re.sub(_OF_ANOTHER_METRIC, "", section, flags=re.M) for section in sections if section.startswith(wanted)]
    shown = [re.sub("^##+", "####", section.strip()) for section in told if "\n" in section.strip()]
    drawn = f"{name}-by-{metric}" if metric else name
    picture = str(differences_figure(summary)).replace("<svg ", '<svg style="background: white" ', 1)
    (RESULTS / f"{drawn}.svg").write_text(picture + "\n", encoding="utf-8")
    return "\n\n".join([head.split("\n", 1)[1].strip(), f"![{_ALTERNATIVE}]({drawn}.svg)", *shown])


def read(name: str, metric: str | None = None) -> Summary:
    """A kept study's summary."""
    with unpacked(RECORDS / f"{name}.json") as study:
        return summarise(study if metric is None else judged_by(study, metric, None))


def first_screen(name: str) -> str:
    """A kept study's answer in a sentence, and the picture that stands beside its page."""
    return f"{markdown_text(read(name).answer)}\n\n![{_ALTERNATIVE}](docs/results/{name}.svg)"


def means(name: str) -> str:
    """A kept study's means, the best first, and no verdict."""
    summary = read(name)
    rows, metric = [row for row in summary.rows if row.done], summary.metric
    errors = {row.variant: row for row in summary.others.get(_ERROR, ())}
    shown = {f"{metric.label}, %": {row.variant: row for row in rows}} | ({"test error, %": errors} if errors else {})
    lines = []
    for row in sorted(rows, key=lambda row: row.mean, reverse=metric.higher_is_better):
        pairs = () if row.comparison is None else row.comparison.differences
        better = sum(one > 0 if metric.higher_is_better else one < 0 for one in pairs)
        told = [_of_seeds(column[row.variant].mean, column[row.variant].sd) for column in shown.values()]
        against = (f"{np.mean(pairs):+.2f}", f"{better} of {len(pairs)}") if pairs else ("", "")
        lines.append((row.variant, str(len(row.done)), *told, *against))
    header = ("variant", "seeds", *shown, f"to {summary.asked.baseline}", "better in")
    return f"{table(header, lines)}\n\n{_MEANS}"


def sums(name: str) -> str:
    """What each pair of techniques, `A-and-B`, does to the metric beside the sum of what A and B do alone.

    The difference of the two is (A-and-B − baseline) − (A − baseline) − (B − baseline), one number a seed under which
    every variant ended. It is judged as a study's differences are: by the paired t of its mean, and Holm's correction
    over all pairs.
    """
    summary = read(name)
    values = {row.variant: np.array(row.values) for row in summary.rows}
    complete = np.isfinite(list(values.values())).all(axis=0)
    differences = {variant: (one - values[summary.asked.baseline])[complete] for variant, one in values.items()}
    parts = {pair: pair.split("-and-") for pair in differences if "-and-" in pair}
    sum_of = {pair: sum(differences[part] for part in both) for pair, both in parts.items()}
    more = {pair: differences[pair] - alone for pair, alone in sum_of.items()}
    adjusted, levels = holm_by_name({pair: paired_t_p_value(d) for pair, d in more.items()}, _ALPHA)
    lines = []
    for pair in sorted(more, key=lambda pair: adjusted[pair]):
        low, high = paired_t_interval(more[pair], confidence=1 - levels[pair])
        means = (number(values.mean(), sign=True) for values in (sum_of[pair], differences[pair], more[pair]))
        interval = f"{number(low, sign=True)} to {number(high, sign=True)}"
        told = "more than the sum" if low > 0 else "less than the sum" if high < 0 else "undecided"
        lines.append((" and ".join(parts[pair]), *means, interval, p_value(adjusted[pair]), told))
    header = ("techniques", "sum of both alone", "together", "together less the sum", "interval", "p", "verdict")
    return f"{table(header, lines)}\n\n{_SUMS}"


def _of_seeds(mean: float, sd: float) -> str:
    return f"{mean:.2f}" if math.isnan(sd) else f"{mean:.2f} ± {sd:.2f}"


_MADE = {"means": means, "sums": sums, "answer": first_screen}


def page(text: str) -> str:
    """A page with its blocks anew."""
    shown: set[str] = set()

    def anew(found: re.Match[str]) -> str:
        name = found["name"]
        if found["what"] == "study":
            made = block(name, found["metric"], again=name in shown)
            shown.add(name)
        else:
            made = _MADE[found["what"]](name)
        return f"{found[1]}\n{made}\n\n{found[5]}"

    return _BLOCK.sub(anew, text)


def main() -> None:
    """Keep a study's records, unpack them, or write every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", metavar="STUDY", type=Path, help="take a study's records up, and end")
    parser.add_argument("--unpack", metavar="NAME", help="write a kept study's records out again, into runs, and end")
    given = parser.parse_args()
    if given.keep is not None:
        print(keep(given.keep))
        return
    if given.unpack is not None:
        print(unpack(RECORDS / f"{given.unpack}.json", ROOT / "runs"))
        return
    for file in PAGES:
        file.write_text(page(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
