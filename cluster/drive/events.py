"""Events of a run, such as retries and lost slots, which the ledger keeps."""

import datetime as dt

from assay.manifests.event import Event


def event(kind: str, message: str, *, arm: str = "", unit: int = -1) -> Event:
    """An event with the current time."""
    return Event(at=utc_now(), kind=kind, arm=arm, unit=unit, message=message)


def utc_now() -> str:
    """The current time: UTC, ISO 8601, to the millisecond."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
