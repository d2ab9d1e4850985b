"""The record of an opened run: what was planned, from which dataset, variants and code."""

from typing import Literal

from pydantic import Field

from assay.manifests.base import CIRCUMSTANCE, Digest, Manifest, Name, Parameters
from assay.manifests.check_report import CheckReport
from assay.manifests.column import FrozenColumn
from assay.manifests.experiment import Experiment


class Lineage(Manifest):
    """Where a run came from: what must be equal for numbers to be comparable, and what is recorded beside it."""

    identity: Parameters
    """Package versions and code that the numbers depend on; equal for every arm."""
    circumstance: Parameters
    """Where and how the driver ran: host, hardware, repository state."""


class Run(Manifest):
    """The opened run: written before the first unit, so that the plan comes before the results."""

    kind: Literal["Run"] = "Run"
    """Always `Run`."""
    version: Literal[1] = 1
    """The version of this form."""
    run_id: Name
    """The experiment's name and the start of the resolved experiment's digest."""
    experiment: Experiment
    """The experiment with every digest filled."""
    experiment_digest: Digest
    """Digest of the resolved experiment: dataset, suite, arms, weights and code."""
    dataset_digest: Digest
    """Digest of the dataset's rows."""
    suite_digest: Digest
    """Digest of the suite."""
    plan_digest: Digest
    """Digest of the analysis plan: what is pre-registered."""
    policy_digest: Digest
    """Digest of the gate's policy."""
    variant_digests: Parameters
    """Digest of each arm's variant."""
    label: FrozenColumn
    """The dataset's label column: what the labels in the scores table mean."""
    dataset_description: str = Field(default="", json_schema_extra=CIRCUMSTANCE)
    """What a row of the dataset is, in its contract's words."""
    dataset_check: CheckReport = Field(json_schema_extra=CIRCUMSTANCE)
    """What the dataset's contract found when the rows were frozen."""
    unit_keys: Parameters
    """Digest, per arm, of all that the scores of its units depend on beside the device. Another run takes over units
    of an equal key."""
    lineage: Lineage
    """The driver's lineage."""
    opened_at: str = Field(json_schema_extra=CIRCUMSTANCE)
    """When the run was opened: UTC, ISO 8601."""
    supersedes: str | None = None
    """The run that this one repeats, because some of its arms failed or were not finished when it was stopped."""
