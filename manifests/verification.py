"""Verification: whether a run's rows, scored once more, are the same to the last bit, and what has changed since."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue

from assay.manifests.base import Manifest, Name

Against = Literal["ledger", "itself"]
"""What rows that were scored again are compared with: those that the ledger holds, or another pass over them."""

Outcome = Literal["matched", "differs"]


class Change(Manifest):
    """One field of the lineage that is another now than when the run was scored."""

    field: str = Field(min_length=1)
    """Its dotted name."""
    recorded: JsonValue
    """What the run recorded. Null: it was not there."""
    now: JsonValue
    """What was found now. Null: it is gone."""


class ArmVerified(Manifest):
    """One arm's rows, scored again."""

    arm: Name
    """The arm."""
    num_units: int = Field(ge=1)
    """Units scored again."""
    num_rows: int = Field(ge=1)
    """Their rows."""
    num_rows_different: int = Field(ge=0)
    """Rows of which any bit of any column differs."""
    row_ids: tuple[str, ...]
    """The first few of those, in the dataset's order."""
    columns: Mapping[str, float | None]
    """The columns that differ, and by how much at most. Null: by no number, as class labels do."""


class Verification(Manifest):
    """What came of scoring a run's rows once more."""

    against: Against
    """`ledger`: compared with the recorded rows. `itself`: the same rows twice in one loaded variant and once in a
    variant that was loaded anew, compared with each other."""
    arms: tuple[ArmVerified, ...] = Field(min_length=1)
    """The arms whose rows were scored again."""
    num_rows_dataset: int = Field(ge=1)
    """Rows of the dataset: those of an arm may be a sample of them."""
    tolerance: float = Field(ge=0)
    """How far numbers may lie apart to be called close. Close is not the same: it never makes a match."""
    changed: tuple[Change, ...]
    """What of the lineage is another now."""

    @property
    def outcome(self) -> Outcome:
        """`matched`: every row that was scored again is the same to the last bit."""
        return "differs" if any(arm.num_rows_different for arm in self.arms) else "matched"

    @property
    def is_close(self) -> bool:
        """Whether whatever differs is a number, within the tolerance."""
        furthest = [distance for arm in self.arms for distance in arm.columns.values()]
        return all(distance is not None and distance <= self.tolerance for distance in furthest)
