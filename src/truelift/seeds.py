"""Seeds derived by name, so that the runs compared share exactly the randomness that they are meant to share.

A run has one seed. Each source of randomness (initialisation, order of the data, augmentation, split) gets a seed of
its own, derived from the run's seed and the source's name, so that drawing more numbers from one never shifts another.
"""

import hashlib
import json

FEWEST_SEEDS = 3
"""Pairs below which nothing is decided: with two the t-test rests on normality alone, which two numbers cannot show."""

MOST_SEEDS = 100_000
"""Of a study. Each is a folder with records, and their list is in memory several times."""


def derive(seed: int, *names: str | int) -> int:
    """The seed that belongs to `names` under `seed`.

    The same arguments give the same seed on every machine, in every process and with every version of Python, unlike
    `hash`. Different arguments give unrelated seeds: `derive(1, "a")` and `derive(1, "a", 0)` share nothing.

    Args:
        seed: The seed to derive from, any integer.
        names: What the new seed is for, outermost first, such as `"augment", epoch, batch`.

    Returns:
        An integer in [0, 2**63), which both NumPy's and PyTorch's generators accept.

    >>> derive(0, "order", 3) == derive(0, "order", 3)
    True
    >>> derive(0, "order", 3) == derive(0, "order", "3")
    False
    """
    # JSON keeps apart what plain concatenation would join: (1, "23") and (12, "3"), or the number 3 and the text "3".
    message = json.dumps([seed, *names]).encode()
    return int.from_bytes(hashlib.blake2b(message, digest_size=8).digest(), "big") >> 1
