"""Dataset: the manifest of frozen rows, with their digest."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import CIRCUMSTANCE, Digest, Instant, Manifest, Reference
from assay.manifests.check_report import CheckReport
from assay.manifests.column import FrozenColumn
from assay.manifests.contract import Contract, RowSample
from assay.manifests.profile import Profile

Blake3 = Annotated[str, Field(pattern=r"^blake3:[0-9a-f]{64}$")]


class Shard(Manifest):
    """One frozen Arrow IPC file, named by its content."""

    index: int = Field(ge=0)
    """Position of the shard in the dataset, from 0."""
    key: str = Field(json_schema_extra=CIRCUMSTANCE)
    """The object's key in the dataset store."""
    first_row: int = Field(ge=0)
    """Index of its first row in the whole dataset."""
    num_rows: int = Field(ge=1)
    """Number of rows in the shard."""
    size_bytes: int = Field(ge=1)
    """Size of the file in bytes."""
    blake3: Blake3
    """BLAKE3 digest of the file, checked on every fetch."""
    sha256: Digest
    """The file's sha256, for auditors: compare it with the output of `sha256sum`."""

    @model_validator(mode="after")
    def _has_its_own_key(self) -> Self:
        """Nobody who can write a manifest can make its readers read, and tell about, another object of the store."""
        if self.key != shard_key(self.blake3):
            raise ValueError(f"the key of a shard follows from its digest: {shard_key(self.blake3)}, not {self.key}")
        return self


def shard_key(digest: str) -> str:
    """The key of a shard in a dataset store, by the file's digest `blake3:<hex>`."""
    hexadecimal = digest.removeprefix("blake3:")
    return f"objects/blake3/{hexadecimal[:2]}/{hexadecimal}.arrow"


class Source(Manifest):
    """A file from which rows were frozen."""

    name: str
    """The file's name, without its folder."""
    sha256: Digest
    """The sha256 of the file's bytes."""
    num_rows: int = Field(ge=0)
    """Number of rows read from it."""


class Parent(Manifest):
    """The rows from which a sample was drawn."""

    num_rows: int = Field(ge=1)
    """Number of rows before sampling."""
    rows_digest: Digest
    """Digest of these rows."""
    sample: RowSample
    """How the sample was drawn."""


class Dataset(Manifest):
    """Frozen rows: their columns, their shards and the order of the shards. Its digest identifies the rows.

    The reference, the sources, the contract and all findings are not part of the digest: the same rows have the same
    digest under any name. `assay freeze` writes this manifest; nobody edits it.
    """

    kind: Literal["Dataset"]
    """Always `Dataset`."""
    version: Literal[1]
    """The version of this schema: always 1."""
    reference: Reference = Field(json_schema_extra=CIRCUMSTANCE)
    """`name@version`; it always refers to these rows and cannot be overwritten."""
    frozen_at: Instant = Field(json_schema_extra=CIRCUMSTANCE)
    """When the rows were frozen."""
    num_rows: int = Field(ge=1)
    """Number of rows in the dataset."""
    columns: tuple[FrozenColumn, ...] = Field(min_length=1)
    """The stored columns, in order."""
    schema_digest: Digest
    """Digest of the Arrow schema."""
    rows_digest: Digest
    """Digest of the rows themselves; it does not depend on how they are divided into shards."""
    shard_rows: int = Field(ge=1)
    """Rows in each shard except the last, which may have fewer."""
    shards: tuple[Shard, ...] = Field(min_length=1)
    """The shards in row order."""
    sources: tuple[Source, ...] = Field(json_schema_extra=CIRCUMSTANCE)
    """The source files, in order."""
    contract: Contract = Field(json_schema_extra=CIRCUMSTANCE)
    """The contract that the rows were checked against."""
    check: CheckReport = Field(json_schema_extra=CIRCUMSTANCE)
    """The result of that check: no errors, possibly warnings."""
    profile: Profile = Field(json_schema_extra=CIRCUMSTANCE)
    """Summary statistics of the values of each column."""
    parent: Parent | None = Field(default=None, json_schema_extra=CIRCUMSTANCE)
    """The rows from which these were sampled. Null: these are all rows of the sources."""

    def names(self, role: str) -> tuple[str, ...]:
        """The names of the columns of one role, in order."""
        return tuple(column.name for column in self.columns if column.role == role)

    @property
    def label(self) -> FrozenColumn:
        """The label column."""
        return next(column for column in self.columns if column.role == "label")
