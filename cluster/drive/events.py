"""Events of a run, such as retries and lost slots, which the ledger keeps."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One event of a run.

    Attributes:
        at: UTC, ISO 8601, to the millisecond.
        kind: `resumed`, `reused`, `reuse_refused`, `retried`, `arm_failed`, `arm_eliminated`, `slot_lost`,
            `out_of_memory`, `hung`, `straggler`, `race`, `published_elsewhere`, `nondeterminism`, `batch_sensitivity`, `unanswered`,
            `confounded`, `budget` (the warning threshold `warn_at` is passed) or `stopped`.
        arm: The arm; empty if the event is not about one arm.
        unit: The unit's index; -1 if the event is not about one unit.
        message: What happened, for people.
    """

    at: str
    kind: str
    arm: str
    unit: int
    message: str


def event(kind: str, message: str, *, arm: str = "", unit: int = -1) -> Event:
    """An event with the current time."""
    return Event(utc_now(), kind, arm, unit, message)


def utc_now() -> str:
    """The current time: UTC, ISO 8601, to the millisecond."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
