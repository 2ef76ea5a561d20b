"""One error budget over the candidates of a search, in memory."""

from bisect import insort

from truelift.errors import InputError, known, real, require, whole
from truelift.referee.rules import RULES, SAFFRON_THRESHOLD, Rule, lord_level, saffron_level, spending_level

MOST_CANDIDATES = 1_000_000


class Account:
    """Gives each candidate its level when it is registered, and learns what became of it.

    The hypothesis of a candidate is that it is no better than its baseline, its p-value one-sided. A level is never
    above alpha/2: nobody is judged by less than a study by itself would ask (two-sided, at alpha).

    >>> account = Account("spending", alpha=0.05, candidates=100)
    >>> account.open(), account.open(2)
    ([0.0005], [0.0005, 0.0005])

    Args:
        rule: spending, lord or saffron.
        alpha: The budget, in (0, 1).
        candidates: How many there will be at most, 1 to 1,000,000; for spending alone.

    Raises:
        InputError: An argument is out of its range.
    """

    def __init__(self, rule: Rule = "spending", *, alpha: float = 0.05, candidates: int | None = None) -> None:
        known("rule", rule, RULES)
        real("alpha", alpha, lambda value: 0 < value < 1, "between 0 and 1")
        if candidates is not None:
            whole("candidates", candidates, 1, MOST_CANDIDATES)
            require(
                "candidates", candidates, rule == "spending", f"left out with the rule {rule}, which needs no number"
            )
        self.rule = rule
        self.alpha = alpha
        self.candidates = candidates
        self.levels: list[float] = []
        """Of all candidates, in their order."""
        self._discoveries: list[int] = []
        self._small: list[int] = []
        self._judged: set[int] = set()

    @property
    def passed(self) -> int:
        """Discoveries so far."""
        return len(self._discoveries)

    def following(self, count: int = 1) -> list[float]:
        """The levels that the next candidates would have, registered together: none's depends on another's result.

        Raises:
            InputError: Spending with a stated number of candidates, and they are used up.
        """
        require("count", count, count >= 1, "at least 1")
        left = None if self.candidates is None else self.candidates - len(self.levels)
        if left is not None and count > left:
            raise InputError(
                f"the budget is for {self.candidates} candidates and {len(self.levels)} are registered: "
                f"there is none left for {count} more."
            )
        return [self._level(len(self.levels) + i) for i in range(1, count + 1)]

    def open(self, count: int = 1) -> list[float]:
        """Register the next candidates, at the levels that `following` gives.

        Returns:
            The level of each. It is spent from now on, judged or not.

        Raises:
            InputError: As `following`.
        """
        found = self.following(count)
        self.levels += found
        return found

    def close(self, number: int, p: float, passed: bool) -> None:
        """Learn a candidate's result.

        Args:
            number: From 1, in the order of `open`.
            p: One-sided.
            passed: Whether it counts as a discovery; only where p is at most its level.
        """
        assert 1 <= number <= len(self.levels)
        assert number not in self._judged
        assert p <= self.levels[number - 1] or not passed
        self._judged.add(number)
        if passed:
            self._discoveries.append(len(self.levels))
        if p <= SAFFRON_THRESHOLD:
            insort(self._small, number)

    def spent(self) -> float:
        """What is used of the budget, in units of alpha.

        Spending: the sum of all levels. LORD++: the estimated false discovery proportion, which is the sum of all
        levels over max(R, 1), R discoveries. SAFFRON: the same, summed over candidates with p above lambda or not
        judged, and divided by 1 - lambda.
        """
        if self.rule == "saffron":
            small = set(self._small)
            counted = sum(level for i, level in enumerate(self.levels, 1) if i not in small) / (1 - SAFFRON_THRESHOLD)
        else:
            counted = sum(self.levels)
        return counted / self.alpha / (1 if self.rule == "spending" else max(1, self.passed))

    def _level(self, number: int) -> float:
        if self.rule == "spending":
            level = spending_level(number, alpha=self.alpha, candidates=self.candidates)
        elif self.rule == "lord":
            level = lord_level(number, self._discoveries, alpha=self.alpha)
        else:
            level = saffron_level(number, self._discoveries, self._small, alpha=self.alpha)
        return min(level, self.alpha / 2)
