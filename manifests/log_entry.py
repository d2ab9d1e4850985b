"""Entries of the version log: a class for each kind, distinguished by `kind`."""

from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter

from assay.manifests.base import CIRCUMSTANCE, Digest, Manifest, Name
from assay.manifests.decision import Verdict
from assay.manifests.verification import Verification


class BaseLogEntry(Manifest):
    """What every entry has. Its file is canonical JSON plus the seal, so that changing any byte is detected.

    Each kind is a subclass with a `Literal` field `kind`, a `version` of its own schema, and a `summary`.
    """

    number: int = Field(ge=1)
    """Position in the log, from 1."""
    previous: Digest | None
    """The seal of the previous entry. Null in the first."""
    at: str
    """Time of the entry: UTC, ISO 8601."""
    by: str = Field(min_length=1, max_length=100)
    """Who made the entry: `run`, `gate`, `verify`, or the name that a person gave (a label that anyone with access can
    read)."""
    seal: Digest = Field(json_schema_extra=CIRCUMSTANCE)
    """Digest of all other fields: a change to an entry, even to the newest, is detected."""

    @property
    def summary(self) -> str:
        """The entry in one line, without its number and time."""
        raise NotImplementedError


class BaseRunEntry(BaseLogEntry):
    """An entry about a committed run, with the digests of its two records."""

    run_id: Name
    """The run's id."""
    record_digest: Digest
    """The sha256 of the stored record of the opened run."""
    commit_digest: Digest
    """The sha256 of the stored commit record, through which the entry covers every file of the run."""


class CommitEntry(BaseRunEntry):
    """A run was committed. Every committed run has one such entry, before all others about it."""

    kind: Literal["commit"] = "commit"
    """Always `commit`."""
    version: Literal[1] = 1
    """The version of this schema: always 1."""

    @property
    def summary(self) -> str:
        """Run, and the digest of its commit record."""
        return f"{self.run_id}  committed as {self.commit_digest}"


class BaseReviewEntry(BaseRunEntry):
    """An entry about what a committed run shows, with the digests of what that rests on."""

    analysis_digest: Digest
    """The sha256 of the run's file with the planned analysis."""
    plan_digest: Digest
    """Digest of the analysis plan."""
    policy_digest: Digest
    """Digest of the gate's policy."""


class DecisionEntry(BaseReviewEntry):
    """The gate's decision about an arm."""

    kind: Literal["decision"] = "decision"
    """Always `decision`."""
    version: Literal[1] = 1
    """The version of this schema: always 1."""
    arm: Name
    """The arm's name."""
    decision: Verdict
    """The gate's decision."""
    reasons: tuple[str, ...]
    """The gate's reasons."""

    @property
    def summary(self) -> str:
        """Run, arm, decision and reasons."""
        return f"{self.run_id}  {self.arm}  {self.decision}  by {self.by}: {'; '.join(self.reasons)}"


class OverrideEntry(BaseReviewEntry):
    """A person's decision about an arm, in place of the gate's."""

    kind: Literal["override"] = "override"
    """Always `override`."""
    version: Literal[1] = 1
    """The version of this schema: always 1."""
    arm: Name
    """The arm's name."""
    decision: Verdict
    """The decision that is now in force."""
    reasons: tuple[str, ...]
    """The gate's reasons for its own decision."""
    reason: str = Field(min_length=1)
    """The person's reason."""

    @property
    def summary(self) -> str:
        """Run, arm, decision, person and reason."""
        return f"{self.run_id}  {self.arm}  override: {self.decision}  by {self.by}: {self.reason}"


class VerificationEntry(BaseReviewEntry):
    """The result of scoring rows of a run again."""

    kind: Literal["verification"] = "verification"
    """Always `verification`."""
    version: Literal[1] = 1
    """The version of this schema: always 1."""
    verification: Verification
    """What was scored again, and how many rows differ."""

    @property
    def summary(self) -> str:
        """Run, outcome, and the number of rows that differ per arm."""
        verified = self.verification
        arms = ", ".join(f"{arm.arm} {arm.num_rows_different} of {arm.num_rows} rows differ" for arm in verified.arms)
        return f"{self.run_id}  {verified.outcome} (against {verified.against}): {arms}"


class UnknownEntry(BaseLogEntry):
    """An entry that another release of Assay wrote. This one knows its place in the chain, but not what it means."""

    model_config = ConfigDict(extra="allow")

    kind: str
    """The kind, which this release does not know, or not in this version."""
    version: int
    """The version of the kind's schema."""

    @property
    def summary(self) -> str:
        """The kind, and what to do to read the entry."""
        return (
            f"an entry of kind '{self.kind}', version {self.version}, which this release of Assay cannot read; use the "
            "release that wrote it, or a later one"
        )


LogEntry = Annotated[CommitEntry | DecisionEntry | OverrideEntry | VerificationEntry, Field(discriminator="kind")]
"""An entry of any kind, distinguished by `kind`."""

_VERSIONS = {
    (kind.model_fields["kind"].default, kind.model_fields["version"].default)
    for kind in get_args(get_args(LogEntry)[0])
}
_ENTRIES: TypeAdapter[BaseLogEntry] = TypeAdapter(LogEntry)


def read_entry(plain: dict[str, Any], content: bytes) -> BaseLogEntry:
    """The entry in a file of the log; an `UnknownEntry` if its kind, or this version of it, is not known.

    Args:
        plain: The file's JSON.
        content: The file's bytes.

    Raises:
        ValueError: A field is missing, unexpected or of the wrong type.
    """
    if (plain.get("kind"), plain.get("version")) in _VERSIONS:
        return _ENTRIES.validate_json(content)
    return UnknownEntry.model_validate_json(content)
