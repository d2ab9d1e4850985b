"""A problem of a ledger: one thing in it that is not as recorded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LedgerProblem:
    """One thing that is not as recorded.

    Attributes:
        key: Where: the object's key.
        problem: What is wrong with it.
    """

    key: str
    problem: str
