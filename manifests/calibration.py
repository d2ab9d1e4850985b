"""Calibration: how often the gate would decide wrongly on the scores of one run, as the ledger records it."""

from typing import Annotated

from pydantic import Field

from assay.manifests.base import CIRCUMSTANCE, Digest, Manifest, Name, Named

Share = Annotated[float, Field(ge=0, le=1)]


class Rates(Manifest):
    """How the gate decided at one planted effect size, as fractions of replicates."""

    multiple: float | None
    """The planted effect in multiples of the minimum detectable effect, added to the improvement that the policy
    requires; negative: harm, measured from no difference. Null: nothing was planted, and no arm differs from
    another."""
    effect: float
    """The mean planted improvement, in units of the primary metric; negative: harm."""
    promote: Share
    """Replicates in which the planted arm was promoted; where nothing was planted, any arm."""
    hold: Share
    """Replicates in which the planted arm was held; where nothing was planted, every arm."""
    reject: Share
    """Replicates in which the planted arm was rejected; where nothing was planted, any arm."""
    held_by_guardrails: Share
    """Replicates in which only guardrails kept the planted arm from promotion; where nothing was planted, any arm."""
    false_promote: Share
    """Replicates that promoted an arm whose true effect is not larger than the improvement that the policy requires."""
    false_reject: Share
    """Replicates that rejected an arm that is truly not worse than the control."""


class Calibration(Manifest):
    """Error rates of one run's plan and policy on its own scores. Stored as canonical JSON plus the seal."""

    run_id: Name
    """The run's id."""
    commit_digest: Digest
    """The sha256 of the run's stored commit record, which identifies the scores that were permuted."""
    plan_digest: Digest
    """Digest of the analysis plan."""
    policy_digest: Digest
    """Digest of the gate's policy."""
    alpha: float = Field(gt=0, lt=1)
    """The plan's family-wise error rate, two-sided."""
    seed: int = Field(ge=0)
    """Seed of the permutations."""
    num_permutations: int = Field(ge=1)
    """Replicates for each entry of `rates`."""
    arms: tuple[Name, ...]
    """The arms whose names were permuted within rows."""
    left_out: Named[str]
    """The other arms of the run, each with the reason why it was left out."""
    planted: Name
    """The arm in which effects were planted."""
    rates: tuple[Rates, ...]
    """First the rates without any difference, then one entry for each planted size."""
    seal: Digest = Field(json_schema_extra=CIRCUMSTANCE)
    """Digest of all other fields."""
