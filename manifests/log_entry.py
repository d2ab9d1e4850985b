"""An entry of the version log: a decision that somebody acted on, or a verification of a run."""

from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import CIRCUMSTANCE, Digest, Manifest, Name
from assay.manifests.verification import Outcome, Verification


class LogEntry(Manifest):
    """One entry of the version log. Its file is its canonical JSON with the seal, so that every byte counts."""

    version: Literal[1] = 1
    """The version of this form."""
    number: int = Field(ge=1)
    """Its place in the log: 1 for the first."""
    previous: Digest | None
    """The seal of the entry before it. Null in the first."""
    kind: Literal["promote", "hold", "reject", "override", "verification"]
    """What happened: the gate's decision, a person's in its place, or that rows were scored again."""
    at: str
    """When: UTC, ISO 8601."""
    run_id: Name
    """The run it is about."""
    arm: Name | None
    """The arm it is about. Null for a verification, which names its arms."""
    decision: Literal["promote", "hold", "reject"] | None
    """What is to be done with the arm from now on; for the gate's decisions, the same as `kind`. Null for a
    verification, which decides nothing."""
    verification: Verification | None
    """What came of scoring rows again. Null for anything else."""
    reasons: tuple[str, ...]
    """What the gate said of the arm."""
    by: str = Field(min_length=1, max_length=100)
    """Who decided: `gate`, or the name that a person gave. A label that everyone may read. `verify`: nobody."""
    reason: str | None = Field(min_length=1)
    """Why a person decided otherwise. Null for the gate's own decisions."""
    record_digest: Digest
    """The sha256 of the opened run's record as it is stored."""
    commit_digest: Digest
    """The sha256 of the commit record as it is stored: with it the entry vouches for every file of the run."""
    analysis_digest: Digest
    """The sha256 of the run's file with the planned analysis."""
    plan_digest: Digest
    """Digest of the analysis plan."""
    policy_digest: Digest
    """Digest of the gate's policy."""
    seal: Digest = Field(json_schema_extra=CIRCUMSTANCE)
    """The digest of all the rest: a changed entry shows by itself, the newest one, too."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.kind == "override") != (self.reason is not None):
            raise ValueError("an override has a reason, and nothing else has one")
        of_rows = (self.verification is not None, self.arm is None, self.decision is None)
        if any(of_rows) or self.kind == "verification":
            if not all(of_rows) or self.kind != "verification":
                raise ValueError("a verification has what it found, no arm and no decision")
        elif self.kind not in ("override", self.decision):
            raise ValueError(f"the gate's '{self.kind}' cannot decide '{self.decision}'")
        return self

    @property
    def outcome(self) -> Outcome | None:
        """Whether the rows that were scored again are the same. Null for what is no verification."""
        return None if self.verification is None else self.verification.outcome
