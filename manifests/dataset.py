"""Dataset: frozen rows with a digest."""

from typing import Annotated, Literal

from pydantic import Field

from assay.manifests.base import CIRCUMSTANCE, Digest, Instant, Manifest, Reference
from assay.manifests.check_report import CheckReport
from assay.manifests.column import FrozenColumn
from assay.manifests.contract import Contract, RowSample
from assay.manifests.profile import Profile

Blake3 = Annotated[str, Field(pattern=r"^blake3:[0-9a-f]{64}$")]


class Shard(Manifest):
    """One frozen Arrow IPC file, named by what is in it."""

    index: int = Field(ge=0)
    """The place of the shard in the dataset."""
    key: str = Field(json_schema_extra=CIRCUMSTANCE)
    """The object's key in the dataset store."""
    first_row: int = Field(ge=0)
    """The global index of its first row."""
    num_rows: int = Field(ge=1)
    """How many rows it holds."""
    size_bytes: int = Field(ge=1)
    """The size of the file in bytes."""
    blake3: Blake3
    """Checked on every fetch."""
    sha256: Digest
    """Recorded once for auditors: what `sha256sum` prints."""


class Source(Manifest):
    """A file that rows were frozen from."""

    name: str
    """The file's name, without its folder."""
    sha256: Digest
    """The digest of the file's bytes."""
    num_rows: int = Field(ge=0)
    """How many rows it gave."""


class Parent(Manifest):
    """The rows that a sample was drawn from."""

    num_rows: int = Field(ge=1)
    """How many they were."""
    rows_digest: Digest
    """Their digest."""
    sample: RowSample
    """Which of them were kept."""


class Dataset(Manifest):
    """Frozen rows: which columns, which shards, in which order. Its digest is the identity of the rows.

    What the rows are called, where they came from and what was found in them takes no part in the digest, so the same
    rows have the same digest under any name.
    """

    kind: Literal["Dataset"]
    """Always `Dataset`."""
    version: Literal[1]
    """The version of this manifest's form."""
    reference: Reference = Field(json_schema_extra=CIRCUMSTANCE)
    """`name@version`: never moves to other rows."""
    frozen_at: Instant = Field(json_schema_extra=CIRCUMSTANCE)
    """When it was frozen."""
    num_rows: int = Field(ge=1)
    """How many rows the dataset has."""
    columns: tuple[FrozenColumn, ...] = Field(min_length=1)
    """The stored columns, in order."""
    schema_digest: Digest
    """The digest of the Arrow schema."""
    rows_digest: Digest
    """The digest of the rows themselves, whatever the shards."""
    shard_rows: int = Field(ge=1)
    """Rows in every shard but the last."""
    shards: tuple[Shard, ...] = Field(min_length=1)
    """The shards in row order."""
    sources: tuple[Source, ...] = Field(json_schema_extra=CIRCUMSTANCE)
    """The files that were frozen, in order."""
    contract: Contract = Field(json_schema_extra=CIRCUMSTANCE)
    """What the rows were held to."""
    check: CheckReport = Field(json_schema_extra=CIRCUMSTANCE)
    """What that found: nothing that refuses rows, but perhaps warnings."""
    profile: Profile = Field(json_schema_extra=CIRCUMSTANCE)
    """How the values of each column are spread."""
    parent: Parent | None = Field(default=None, json_schema_extra=CIRCUMSTANCE)
    """The rows that these are a sample of."""

    def names(self, role: str) -> tuple[str, ...]:
        """The names of the columns of one role, in order."""
        return tuple(column.name for column in self.columns if column.role == role)

    @property
    def label(self) -> FrozenColumn:
        """The label column."""
        return next(column for column in self.columns if column.role == "label")
