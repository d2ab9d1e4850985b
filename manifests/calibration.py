"""Calibration: how often the gate decides wrongly on the scores of one run, as the ledger keeps it."""

from typing import Annotated

from pydantic import Field

from assay.manifests.base import CIRCUMSTANCE, Digest, Manifest, Name

Share = Annotated[float, Field(ge=0, le=1)]


class Rates(Manifest):
    """How the gate decided about effects of one size, as shares of replicates."""

    multiple: float | None
    """The size in smallest detectable effects beyond what the policy wants; negative: harm, from no difference. Null:
    nothing was planted, no arm differs from another."""
    effect: float
    """The improvement that was planted, in units of the primary metric, on average; negative: harm."""
    promote: Share
    """The planted arm was promoted; without one, any arm."""
    hold: Share
    """The planted arm was held; without one, every arm."""
    reject: Share
    """The planted arm was rejected; without one, any arm."""
    held_by_guardrails: Share
    """The planted arm would have been promoted without its guardrails, and was not; without one, any arm."""
    false_promote: Share
    """An arm was promoted, whichever it is, that is no better than the policy wants."""
    false_reject: Share
    """An arm was rejected, whichever it is, that is not worse than the control."""


class Calibration(Manifest):
    """The error rates of one run's plan and policy on its own scores. Its file is canonical JSON with the seal."""

    run_id: Name
    """The run."""
    commit_digest: Digest
    """The sha256 of the run's commit record as it is stored: which scores were permuted."""
    plan_digest: Digest
    """Digest of the analysis plan."""
    policy_digest: Digest
    """Digest of the gate's policy."""
    alpha: float = Field(gt=0, lt=1)
    """The family-wise error rate that the plan promises, two-sided."""
    seed: int = Field(ge=0)
    """Seed of the permutations."""
    num_permutations: int = Field(ge=1)
    """Replicates of each row."""
    arms: tuple[Name, ...]
    """The arms whose labels were permuted."""
    planted: Name
    """The arm that effects were planted in."""
    rates: tuple[Rates, ...]
    """No difference first, then each planted size."""
    seal: Digest = Field(json_schema_extra=CIRCUMSTANCE)
    """The digest of all the rest."""
