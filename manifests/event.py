"""Event: something that happened during a run, such as a retry or a lost slot, as the ledger records it."""

from typing import Annotated

from pydantic import AfterValidator

from assay.manifests.base import Computed
from assay.manifests.plain_text import plain


class Event(Computed):
    """One event of a run."""

    at: str
    """When: UTC, ISO 8601, to the millisecond."""
    kind: str
    """`resumed`, `reused`, `reuse_refused`, `set_aside` (a damaged unit), `foreign_file`, `retried`, `arm_failed`, `arm_eliminated`, `worker_lost`, `slot_lost`, `out_of_memory`,
    `hung`, `straggler`, `race`, `published_elsewhere`, `nondeterminism`, `batch_sensitivity`, `unanswered`,
    `confounded`, `process_changed` (the arm changed the process in which other arms run), `altered` (the arm was scored
    after another had changed the process), `altered_analysis` (the run was analysed in a changed process), `budget` (the warning threshold `warn_at` is passed) or `stopped`."""
    arm: str
    """The arm; empty if the event is not about one arm."""
    unit: int
    """The unit's index; -1 if the event is not about one unit."""
    message: Annotated[str, AfterValidator(plain)]
    """What happened, for people."""
