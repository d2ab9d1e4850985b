"""The progress of a run, as its driver last reported it."""

from typing import Literal

from pydantic import Field

from assay.manifests.base import Manifest, Name
from assay.manifests.spent import Spent

ProgressState = Literal["running", "committed", "stopped", "failed", "cancelled"]


class ArmProgress(Manifest):
    """How far one arm is."""

    arm: Name
    """The arm's name."""
    num_units_done: int = Field(ge=0)
    """Units in the ledger."""
    num_rows_done: int = Field(ge=0)
    """Rows in the ledger."""
    failed: str
    """Why the arm failed; empty if it has not."""
    eliminated: str
    """Why the arm was eliminated from the race; empty if it was not."""


class Progress(Manifest):
    """How far a run is, as its driver last told: replaced about once a second, and no evidence of anything."""

    kind: Literal["Progress"] = "Progress"
    """Always `Progress`."""
    version: Literal[1] = 1
    """The version of this form."""
    run_id: Name
    """The run."""
    state: ProgressState
    """What the driver did when it last told; one that was killed could not tell. `stopped`: by a signal or because
    the budget is spent; `cancelled`: by the submission's cancel marker. What was whole then is committed."""
    reason: str
    """Why the driver gave up or stopped; empty if it has not."""
    num_units: int = Field(ge=0)
    """Units per arm."""
    num_rows: int = Field(ge=0)
    """Rows per arm."""
    arms: tuple[ArmProgress, ...]
    """The arms, in the experiment's order."""
    num_slots: int = Field(ge=0)
    """Slots that are ready."""
    num_slots_busy: int = Field(ge=0)
    """Slots with a unit in hand."""
    num_retries: int = Field(ge=0)
    """Units that this driver had to try again."""
    rows_per_s: float | None
    """Rows published a second by this driver so far. Null before its first unit."""
    bytes_fetched: int = Field(ge=0)
    """Bytes of shards that this driver's slots have fetched."""
    spent: Spent
    """What the run has cost so far, its earlier drivers included as far as they could tell."""
    eta_s: float | None
    """Seconds until the last unit, at this driver's pace so far. Null before its first unit."""
    started_at: str
    """When this driver began: UTC, ISO 8601."""
    updated_at: str
    """When it told this: UTC, ISO 8601."""

    @property
    def num_units_done(self) -> int:
        """Units of all arms that are in the ledger."""
        return sum(arm.num_units_done for arm in self.arms)

    @property
    def num_rows_done(self) -> int:
        """Rows of all arms that are in the ledger."""
        return sum(arm.num_rows_done for arm in self.arms)
