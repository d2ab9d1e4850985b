"""Verification: whether rows of a run, scored again, are bit-identical, and what has changed since."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue

from assay.manifests.base import Manifest, Name

Against = Literal["ledger", "itself"]
"""What rescored rows are compared with: the rows in the ledger, or further repeats of the same rows."""

Outcome = Literal["matched", "differs"]


class Change(Manifest):
    """One field of the lineage that has changed since the run was scored."""

    field: str = Field(min_length=1)
    """Dotted name of the field."""
    recorded: JsonValue
    """Value that the run recorded. Null: absent."""
    now: JsonValue
    """Value now. Null: absent."""


class ArmVerified(Manifest):
    """Comparison of one arm's rows that were scored again."""

    arm: Name
    """The arm's name."""
    num_units: int = Field(ge=1)
    """Number of units scored again."""
    num_rows: int = Field(ge=1)
    """Number of rows in these units."""
    num_rows_different: int = Field(ge=0)
    """Rows that differ in any bit of any column."""
    row_ids: tuple[str, ...]
    """Ids of the first few rows that differ, in the dataset's order."""
    columns: Mapping[str, float | None]
    """The columns that differ, with the largest absolute difference. Null: not a number, such as a class label."""


class Verification(Manifest):
    """The result of scoring rows of a run again."""

    against: Against
    """`ledger`: compared with the recorded rows. `itself`: the same rows scored twice in one loaded variant and once in
    a freshly loaded one, compared with each other."""
    arms: tuple[ArmVerified, ...] = Field(min_length=1)
    """The arms whose rows were scored again."""
    num_rows_dataset: int = Field(ge=1)
    """Number of rows of the dataset; of each arm, only a sample may have been scored again."""
    tolerance: float = Field(ge=0)
    """Largest absolute difference that is called close. A close row still counts as different."""
    changed: tuple[Change, ...]
    """Fields of the lineage that have changed."""

    @property
    def outcome(self) -> Outcome:
        """`matched` if every row that was scored again is bit-identical, otherwise `differs`."""
        return "differs" if any(arm.num_rows_different for arm in self.arms) else "matched"

    @property
    def is_close(self) -> bool:
        """Whether all differences are between numbers and within the tolerance."""
        distances = [distance for arm in self.arms for distance in arm.columns.values()]
        return all(distance is not None and distance <= self.tolerance for distance in distances)
