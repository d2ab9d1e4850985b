"""A ledger problem: one object that is not as recorded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LedgerProblem:
    """One object that is not as recorded.

    Attributes:
        key: The object's key.
        problem: What is wrong, as a phrase that follows the key: "is missing: ...".
    """

    key: str
    problem: str
