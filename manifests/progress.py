"""Progress: how far a run is, as its driver last reported."""

from typing import Literal

from pydantic import Field

from assay.manifests.base import Manifest, Name
from assay.manifests.spent import Spent

ProgressState = Literal["running", "committed", "stopped", "failed", "cancelled"]


class ArmProgress(Manifest):
    """Progress of one arm."""

    arm: Name
    """The arm's name."""
    num_units_done: int = Field(ge=0)
    """Units of this arm in the ledger."""
    num_rows_done: int = Field(ge=0)
    """Rows of this arm in the ledger."""
    failed: str
    """Why the arm failed; empty if it has not."""
    eliminated: str
    """Why the arm was eliminated from the race; empty if it was not."""


class Progress(Manifest):
    """Progress of a run as its driver last reported it, about once a second. Information only: it is not evidence."""

    kind: Literal["Progress"] = "Progress"
    """Always `Progress`."""
    version: Literal[1] = 1
    """The version of this schema: always 1."""
    run_id: Name
    """The run's id."""
    state: ProgressState
    """The driver's state at its last report; a driver that was killed leaves its last state. `stopped`: by a signal or
    an exhausted budget. `cancelled`: by `assay cancel`. In both cases the arms that were complete are committed."""
    reason: str
    """Why the driver failed or stopped; empty if it has not."""
    num_units: int = Field(ge=0)
    """Units per arm."""
    num_rows: int = Field(ge=0)
    """Rows per arm."""
    arms: tuple[ArmProgress, ...]
    """The arms, in the experiment's order."""
    num_slots: int = Field(ge=0)
    """Slots that are ready."""
    num_slots_busy: int = Field(ge=0)
    """Slots that are scoring a unit."""
    num_retries: int = Field(ge=0)
    """Retries of units by this driver."""
    rows_per_s: float | None
    """Rows per second published by this driver so far. Null before its first unit."""
    bytes_fetched: int = Field(ge=0)
    """Bytes of shards fetched by this driver's slots."""
    spent: Spent
    """Cost of the run so far, including its earlier drivers as far as they reported it."""
    eta_s: float | None
    """Estimated seconds until the last unit, at this driver's pace so far. Null before its first unit."""
    started_at: str
    """When this driver started: UTC, ISO 8601."""
    updated_at: str
    """When this was reported: UTC, ISO 8601."""

    @property
    def num_units_done(self) -> int:
        """Units of all arms that are in the ledger."""
        return sum(arm.num_units_done for arm in self.arms)

    @property
    def num_rows_done(self) -> int:
        """Rows of all arms that are in the ledger."""
        return sum(arm.num_rows_done for arm in self.arms)
