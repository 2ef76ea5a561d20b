"""The attacks of tests/attack at length.

    .venv/bin/python -P benchmarks/attack.py [--cases 100] [--every 1]

`--cases` is the number of random ones of each family, beside its table; `--every 2` takes every second of them all. The
last line counts the cases and the faults of each kind: a traceback, a hang, something bad that was taken silently,
something half written after an error.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.attack.suite import FAMILIES, Outcome, attack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    outcomes: list[Outcome] = []
    for family in FAMILIES:
        outcomes.append(attack(family, given.cases, every=given.every))
        done = outcomes[-1]
        print(f"{family}: {done.cases} cases, {done.seconds:.0f} s, {len(done.faults)} faults", flush=True)
        for fault in done.faults:
            print("  ", " | ".join(fault))
    kinds = ("tracebacks", "hangs", "silent", "half_written")
    counts = {kind: sum(done.count(kind) for done in outcomes) for kind in kinds}
    print(json.dumps({"cases": sum(done.cases for done in outcomes), **counts}))


if __name__ == "__main__":
    main()
