"""An entry of the version log: a decision about an arm, or a verification of a run."""

from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import CIRCUMSTANCE, Digest, Manifest, Name
from assay.manifests.verification import Outcome, Verification


class LogEntry(Manifest):
    """One entry of the version log. Its file is canonical JSON plus the seal, so that changing any byte is detected."""

    version: Literal[1] = 1
    """The version of this schema: always 1."""
    number: int = Field(ge=1)
    """Position in the log, from 1."""
    previous: Digest | None
    """The seal of the previous entry. Null in the first."""
    kind: Literal["promote", "hold", "reject", "override", "verification"]
    """What is recorded: the gate's decision, `override` for a decision by a person, or a verification."""
    at: str
    """Time of the entry: UTC, ISO 8601."""
    run_id: Name
    """The run's id."""
    arm: Name | None
    """The arm concerned. Null for a verification, which lists its arms itself."""
    decision: Literal["promote", "hold", "reject"] | None
    """The decision about the arm that is now in force; for the gate's decisions, the same as `kind`. Null for a
    verification, which decides nothing."""
    verification: Verification | None
    """The result of scoring rows again. Null for other kinds."""
    reasons: tuple[str, ...]
    """The gate's reasons for its decision about the arm."""
    by: str = Field(min_length=1, max_length=100)
    """Who decided: `gate`, or the name that a person gave (a label that anyone with access can read); `verify` for a
    verification."""
    reason: str | None = Field(min_length=1)
    """The person's reason for an override. Null for other kinds."""
    record_digest: Digest
    """The sha256 of the stored record of the opened run."""
    commit_digest: Digest
    """The sha256 of the stored commit record, through which the entry covers every file of the run."""
    analysis_digest: Digest
    """The sha256 of the run's file with the planned analysis."""
    plan_digest: Digest
    """Digest of the analysis plan."""
    policy_digest: Digest
    """Digest of the gate's policy."""
    seal: Digest = Field(json_schema_extra=CIRCUMSTANCE)
    """Digest of all other fields: a change to an entry, even to the newest, is detected."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.kind == "override") != (self.reason is not None):
            raise ValueError("an override needs a reason, and no other entry can have one")
        of_rows = (self.verification is not None, self.arm is None, self.decision is None)
        if any(of_rows) or self.kind == "verification":
            if not all(of_rows) or self.kind != "verification":
                raise ValueError(
                    "a verification needs its result and cannot have an arm or a decision; no other entry has a result"
                )
        elif self.kind not in ("override", self.decision):
            raise ValueError(f"an entry of kind '{self.kind}' cannot have the decision '{self.decision}'")
        return self

    @property
    def outcome(self) -> Outcome | None:
        """Whether the rows that were scored again match; None if the entry is not a verification."""
        return None if self.verification is None else self.verification.outcome
