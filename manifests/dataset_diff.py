"""Dataset diff: what changed from one version of a dataset to another: columns, rows, and how values are spread."""

from typing import Literal

from pydantic import Field

from assay.manifests.base import Digest, Manifest, Reference
from assay.manifests.drift_report import DriftReport


class ContractChange(Manifest):
    """Something that the contracts of two versions say differently."""

    column: str
    """The column that it is about; empty: the whole table."""
    field: str
    """What: `added`, `removed`, or the dotted name of the contract's field, such as `type` or `class_balance.min_rows`."""
    earlier: str
    """What the earlier version says, as JSON; empty: nothing."""
    later: str
    """What the later version says, as JSON; empty: nothing."""


class Relabelled(Manifest):
    """A row whose label changed."""

    row: str
    """Its id; or its number, as in `row 17`."""
    earlier: str
    """The label that it had."""
    later: str
    """The label that it has."""


class ChangedColumn(Manifest):
    """A column in which rows changed."""

    column: str
    """Its name."""
    num_rows: int = Field(ge=1)
    """Rows of the same id with another value there."""


class RowsDiff(Manifest):
    """Which rows came, went and changed."""

    matched_by: Literal["id", "content"]
    """Whether rows are the same by their id, or, where a version has none, by their values: then a row that changed is
    one that went and one that came."""
    num_earlier: int = Field(ge=1)
    """Rows of the earlier version."""
    num_later: int = Field(ge=1)
    """Rows of the later version."""
    num_added: int = Field(ge=0)
    """Rows that only the later version has."""
    num_removed: int = Field(ge=0)
    """Rows that only the earlier version has."""
    num_changed: int = Field(ge=0)
    """Rows that differ in a column other than the label, of those that both have with the same type."""
    num_relabelled: int | None = Field(ge=0)
    """Rows whose label differs; None where the labels are of different types."""
    added: tuple[str, ...]
    """The first few that came, in the order of the later version."""
    removed: tuple[str, ...]
    """The first few that went, in the order of the earlier version."""
    changed: tuple[str, ...]
    """The first few that changed, in the order of the later version."""
    relabelled: tuple[Relabelled, ...]
    """The first few with another label, in the order of the later version."""
    changed_columns: tuple[ChangedColumn, ...]
    """Where rows changed, most first; not told of very wide tables."""


class DatasetDiff(Manifest):
    """What changed from one version to another."""

    earlier: Reference
    """The version that is compared with."""
    earlier_rows_digest: Digest
    """Its rows."""
    later: Reference
    """The version that is compared."""
    later_rows_digest: Digest
    """Its rows."""
    contract: tuple[ContractChange, ...]
    """What the contracts say differently: columns in the order of the versions, then the table's rules."""
    rows: RowsDiff
    """Which rows came, went and changed."""
    drift: DriftReport
    """How far the values of each column moved."""
