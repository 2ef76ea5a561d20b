"""How often is the verdict at 5 seeds the one that 20 seeds give?

    truelift study twenty-seeds --data.path CIFAR10
    python benchmarks/agreement.py runs/twenty-seeds
    python benchmarks/agreement.py docs/results/records/twenty-seeds-quick.json     (or its kept records; some seconds)

For each study the first 20 seeds that all variants have are judged together, by the study's own metric, smallest
effect, guards and correction for several variants. Then 5 of the 20 are drawn without replacement, 1,000 times, and
judged in the same way, all variants of a draw at once. The two share runs, so that they agree more often than 5 seeds
would with 20 others; and the verdict at 20 is a verdict, not the truth.

The last line is one JSON object: `agreement_5_with_20`, the share of equal verdicts over all studies, draws and
variants; `studies`; `kinds`, the share of each kind below, which sum to 1; `draws`.

    same                      equal verdicts
    helps_alone, hurts_alone  helps (hurts) at 5, and neither helps nor hurts at 20: a false alarm
    missed                    helps or hurts at 20, undecided at 5: too few seeds to tell
    reversed                  helps at one number and hurts at the other
    called_no_effect          helps or hurts at 20, no effect at 5
    no_effect_open            of undecided and no effect one at 5, the other at 20; a failed variant likewise
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from truelift.errors import InputError, require
from truelift.records import Study
from truelift.records.packed import unpacked
from truelift.report.judged import compared
from truelift.report.seen import Seen, seen
from truelift.verdicts import Verdict

LIFTS = ("helps", "hurts")

Draws = list[tuple[str, Verdict, Verdict]]
"""Of each draw and variant: its name, the verdict of the few seeds, and that of the many."""


def kind(few: Verdict, many: Verdict) -> str:
    """How a verdict of few seeds stands to that of many; one of those in this file's first lines."""
    if few == many:
        return "same"
    if few in LIFTS:
        return "reversed" if many in LIFTS else f"{few}_alone"
    if many in LIFTS:
        return "called_no_effect" if few == "no effect" else "missed"
    return "no_effect_open"


def complete_seeds(study: Seen) -> tuple[int, ...]:
    """The seeds of which every variant has a result or a failure, in the plan's order."""
    ended = study.comparable.results.keys() | study.comparable.failed.keys()
    return tuple(seed for seed in study.asked.seeds if all((name, seed) in ended for name in study.asked.order))


def verdicts(study: Seen, seeds: Sequence[int]) -> dict[str, Verdict]:
    """Each variant's verdict by some of the seeds, judged once."""
    asked = replace(study.asked, seeds=tuple(seeds), looks=None)
    found = study.comparable.only([(name, seed) for name in asked.order for seed in seeds])
    judged = compared(asked, asked.metric, found, smallest_effect=asked.smallest_effect, guards=asked.guards)
    return {name: comparison.verdict for name, comparison in judged.items()}


def drawn(study: Seen, few: int, many: int, draws: int, generator: np.random.Generator) -> Draws:
    """The verdicts of `few` seeds, drawn again and again from the first `many`, beside that of all these.

    Args:
        study: One whose replicates are seeds.
        few: Seeds of a draw, in 1..many.
        many: Seeds that are drawn from.
        draws: How many, at least 1.
        generator: Draws them.

    Raises:
        InputError: Fewer than `many` seeds are complete, or a number is out of range.
    """
    require("few", few, 1 <= few <= many, f"from 1 to {many}")
    require("draws", draws, draws >= 1, "at least 1")
    seeds = complete_seeds(study)
    if study.asked.replicates != "seeds" or len(seeds) < many:
        raise InputError(f"{study.asked.name} must have {many} seeds with a result of every variant, got {len(seeds)}.")
    whole = verdicts(study, seeds[:many])
    found: Draws = []
    for _ in range(draws):
        chosen = sorted(generator.choice(many, few, replace=False))
        found += [(name, told, whole[name]) for name, told in verdicts(study, [seeds[i] for i in chosen]).items()]
    return found


def read(study: Path) -> Seen:
    """A study, of its folder or its kept records."""
    if study.is_dir():
        return seen(Study.read(study))
    with unpacked(study) as kept:
        return seen(kept)


def shown(found: Draws) -> str:
    """A line for each variant: the verdict of the many, and how often each verdict of the few came."""
    lines = []
    for name in dict.fromkeys(name for name, _, _ in found):
        mine = [(few, many) for which, few, many in found if which == name]
        shares = ", ".join(f"{few} {count / len(mine):.1%}" for few, count in Counter(f for f, _ in mine).most_common())
        lines.append(f"  {name}: {mine[0][1]}; by few seeds {shares}")
    return "\n".join(lines)


def main() -> None:
    """Judge the studies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY", help="a study's folder, or its kept records")
    parser.add_argument("--few", type=int, default=5, help="seeds of a draw")
    parser.add_argument("--many", type=int, default=20, help="seeds that are drawn from")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    given = parser.parse_args()
    generator, all_found = np.random.default_rng(given.seed), []
    for folder in given.studies:
        found = drawn(read(folder), given.few, given.many, given.draws, generator)
        print(f"{folder.resolve().stem}\n{shown(found)}")
        all_found += found
    kinds = Counter(kind(few, many) for _, few, many in all_found)
    shares = {name: round(count / len(all_found), 4) for name, count in sorted(kinds.items())}
    key = f"agreement_{given.few}_with_{given.many}"
    whole = {key: shares.get("same", 0.0), "studies": len(given.studies), "kinds": shares, "draws": given.draws}
    print(json.dumps(whole))


if __name__ == "__main__":
    main()
