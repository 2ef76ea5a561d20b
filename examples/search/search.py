"""An automatic search under a referee: candidates one after the other, the winner becomes the next baseline.

    python examples/search/search.py        (some seconds)

`train` stands for a training: a function of a seed and settings that returns numbers, here drawn from the seed. Its
validation images are what the search is judged by; its test images are kept for the one confirmation at the end.
Replace it, and `propose`, by your own.
"""

import random
import sys
from pathlib import Path
from typing import Any

import truelift

CANDIDATES, SEEDS = 12, 10


def train(seed: int, **settings: Any) -> dict[str, float]:
    """Accuracies in percent. Only `width` changes them in truth; every other setting changes the noise alone."""
    noise = random.Random(f"{seed} {sorted(settings.items())}")
    truth = 85 + 3 * settings.get("width", 1)
    return {"val_accuracy": noise.gauss(truth, 0.4), "test_accuracy": noise.gauss(truth - 1, 0.4)}


def propose(number: int, best: dict[str, Any]) -> dict[str, Any]:
    """The next candidate: a change of the best so far. A language model, a tuner or a person may stand here."""
    return {**best, "width": 2} if number == 5 else {**best, "trick": number}


def search(folder: Path) -> dict[str, Any]:
    """Try all candidates, confirm the last baseline; what has run already is not run again."""
    ledger = truelift.Ledger(folder / "ledger.jsonl", rule="lord")
    name, best = "plain", {}
    first = (name, best)
    for number in range(1, CANDIDATES + 1):
        settings = propose(number, best)
        one = ledger.register(
            f"try-{number}",
            settings,
            baseline=name,
            baseline_settings=best,
            metric="val_accuracy",
            seeds=SEEDS,
        )
        judged = truelift.compare(
            train,
            variants={name: best, one.name: settings},
            seeds=one.seeds,
            folder=folder / one.name,
            metric="val_accuracy",
            quiet=True,
        )
        decision = ledger.judge(one, judged[one.name])
        print(decision)
        if decision.passed:
            ledger.promote(decision)
            name, best = one.name, settings
    if name == first[0]:
        return best
    last = ledger.register(
        name,
        best,
        baseline=first[0],
        baseline_settings=first[1],
        metric="test_accuracy",
        seeds=SEEDS,
        confirm=True,
    )
    judged = truelift.compare(
        train,
        variants=dict([first, (name, best)]),
        seeds=last.seeds,
        folder=folder / "confirmation",
        metric="test_accuracy",
        quiet=True,
    )
    print("confirmation:", ledger.judge(last, judged[name]))
    return best


if __name__ == "__main__":
    print("best:", search(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/search")))
