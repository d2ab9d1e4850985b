"""What happens on the way of a run and stays in the ledger."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        at: UTC, ISO 8601.
        kind: `resumed`, `reused`, `reuse_refused`, `retried`, `arm_failed`, `arm_eliminated`, `slot_lost`,
            `out_of_memory`, `hung`, `straggler`, `race`, `published_elsewhere`, `nondeterminism`, `batch_sensitivity`,
            `confounded`, `budget` (its soft bound is passed) or `stopped`.
        arm: The arm, if one is meant.
        unit: The unit, or -1.
        message: What happened.
    """

    at: str
    kind: str
    arm: str
    unit: int
    message: str


def event(kind: str, message: str, *, arm: str = "", unit: int = -1) -> Event:
    """Something that happens now."""
    return Event(utc_now(), kind, arm, unit, message)


def utc_now() -> str:
    """The time: UTC, ISO 8601, to the millisecond."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
