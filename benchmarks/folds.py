"""How often a paired test over folds finds an effect that is not there: `python benchmarks/folds.py` (a minute).

Two learners of equal expected error are compared by k-fold cross-validation on data sets that are drawn anew each time.
Both classify points of two Gaussian classes by the nearest class mean. One sees the first half of the features, the
other the second half, which are alike in law: over data sets and test points neither is better. So each rejection is a
false one. The plain paired t takes the k differences for independent; Nadeau and Bengio's corrected t does not.
"""

import argparse
import math

import numpy as np

from truelift.verdicts.folds import corrected_t_p_value
from truelift.verdicts.paired import paired_t_p_value


def errors(x: np.ndarray, y: np.ndarray, folds: np.ndarray, count: int) -> np.ndarray:
    """Percent of wrong images of the nearest-mean rule in each fold, (k,)."""
    found = []
    for fold in range(count):
        train, test = folds != fold, folds == fold
        means = np.stack([x[train & (y == c)].mean(0) for c in (0, 1)])
        distance = ((x[test, None] - means) ** 2).sum(2)
        found.append(100 * np.mean(distance.argmin(1) != y[test]))
    return np.array(found)


def differences(generator: np.random.Generator, points: int, features: int, count: int) -> np.ndarray:
    """Fold by fold, one learner less the other, on one data set."""
    y = np.arange(points) % 2
    x = generator.normal(size=(points, 2 * features)) + 0.6 / math.sqrt(features) * (2 * y[:, None] - 1)
    folds = np.empty(points, int)
    for c in (0, 1):
        mine = generator.permutation(np.flatnonzero(y == c))
        folds[mine] = np.arange(mine.size) % count
    return errors(x[:, :features], y, folds, count) - errors(x[:, features:], y, folds, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4000)
    trials = parser.parse_args().trials
    print(
        f"{trials} data sets each; share with p <= 0.05, and its standard error at 5 %: "
        f"{100 * math.sqrt(0.05 * 0.95 / trials):.2f} points"
    )
    print("| folds | points | features | plain paired t | corrected t |")
    print("|---|---|---|---|---|")
    for count in (3, 5, 10, 20):
        for points, features in ((60, 10), (200, 10), (200, 100)):
            generator = np.random.default_rng([count, points, features])
            plain = corrected = 0
            for _ in range(trials):
                d = differences(generator, points, features, count)
                plain += paired_t_p_value(d) <= 0.05
                corrected += corrected_t_p_value(d, 1 / (count - 1)) <= 0.05
            print(
                f"| {count} | {points} | {features} | {100 * plain / trials:.1f} % | {100 * corrected / trials:.1f} % |"
            )


if __name__ == "__main__":
    main()
