"""Dataset diff: what changed between two versions of a dataset: contract, rows, and the distribution of values."""

from typing import Literal

from pydantic import Field

from assay.manifests.base import Digest, Manifest, Reference
from assay.manifests.drift_report import DriftReport


class ContractChange(Manifest):
    """One difference between the contracts of two versions."""

    column: str
    """The column concerned; empty: the whole table."""
    field: str
    """`added`, `removed`, or the dotted name of the field that differs, such as `type` or `class_balance.min_rows`."""
    earlier: str
    """Value in the earlier version, as JSON; empty: not present."""
    later: str
    """Value in the later version, as JSON; empty: not present."""


class Relabelled(Manifest):
    """A row whose label changed."""

    row: str
    """The row's id, or its number, as in `row 17`."""
    earlier: str
    """Label in the earlier version."""
    later: str
    """Label in the later version."""


class ChangedColumn(Manifest):
    """A column in which values changed."""

    column: str
    """The column's name."""
    num_rows: int = Field(ge=1)
    """Rows whose value in this column differs between the versions, matched by id."""


class RowsDiff(Manifest):
    """Rows that were added, removed or changed."""

    matched_by: Literal["id", "content"]
    """How rows of the two versions were matched: by `id`, or, where a version has no ids, by `content`; then a changed
    row counts as one removed and one added."""
    num_earlier: int = Field(ge=1)
    """Number of rows in the earlier version."""
    num_later: int = Field(ge=1)
    """Number of rows in the later version."""
    num_added: int = Field(ge=0)
    """Rows that are only in the later version."""
    num_removed: int = Field(ge=0)
    """Rows that are only in the earlier version."""
    num_changed: int = Field(ge=0)
    """Rows whose values differ in a column other than the label; only columns that have the same type in both count."""
    num_relabelled: int | None = Field(ge=0)
    """Rows whose label differs. Null: the labels are of different types."""
    added: tuple[str, ...]
    """The first few rows that were added, in the order of the later version."""
    removed: tuple[str, ...]
    """The first few rows that were removed, in the order of the earlier version."""
    changed: tuple[str, ...]
    """The first few rows that changed, in the order of the later version."""
    relabelled: tuple[Relabelled, ...]
    """The first few rows whose label changed, in the order of the later version."""
    changed_columns: tuple[ChangedColumn, ...]
    """The columns in which values changed, those with most changes first. Empty for tables of more than 64 columns."""


class DatasetDiff(Manifest):
    """What changed between two versions of a dataset."""

    earlier: Reference
    """The earlier version."""
    earlier_rows_digest: Digest
    """Digest of its rows."""
    later: Reference
    """The later version."""
    later_rows_digest: Digest
    """Digest of its rows."""
    contract: tuple[ContractChange, ...]
    """Differences between the contracts: columns in their order, then rules of the table."""
    rows: RowsDiff
    """Rows that were added, removed or changed."""
    drift: DriftReport
    """Drift of the values of each column."""
