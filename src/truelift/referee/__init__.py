"""A referee for a search: one error budget over all candidates that are tried one after the other.

A ledger is a file that is appended and never edited. A candidate is registered before it runs, which spends its level;
its seeds are drawn by the ledger; then it is judged at that level.
"""

from truelift.referee.account import Account
from truelift.referee.images import images_of
from truelift.referee.ledger import Ledger
from truelift.referee.rules import RULES, Rule, gamma, lord_level, saffron_level, spending_level
from truelift.referee.state import Candidate, Decision, State

__all__ = [
    "RULES",
    "Account",
    "Candidate",
    "Decision",
    "Ledger",
    "Rule",
    "State",
    "gamma",
    "images_of",
    "lord_level",
    "saffron_level",
    "spending_level",
]
