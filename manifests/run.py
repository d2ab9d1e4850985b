"""Run: the record of an opened run, with the plan, the dataset, the variants and the code."""

import json
from typing import Any, Literal, Self

from pydantic import Field

from assay.manifests.base import CIRCUMSTANCE, Digest, Manifest, Name, Parameters, sha256_digest
from assay.manifests.check_report import CheckReport
from assay.manifests.code import Code
from assay.manifests.column import FrozenColumn
from assay.manifests.experiment import Experiment


class Lineage(Manifest):
    """Origin of a run: what must be equal for scores to be comparable, and what is recorded for information."""

    identity: Parameters
    """Package versions and code on which scores depend; equal for every arm."""
    circumstance: Parameters
    """Where and how the driver ran: host, hardware, state of the repository."""


class Run(Manifest):
    """An opened run. Written before the first unit is scored, so that the plan precedes the results."""

    kind: Literal["Run"] = "Run"
    """Always `Run`."""
    version: Literal[1] = 1
    """The version of this schema: always 1."""
    run_id: Name
    """Id of the run: the experiment's name and the first digits of the resolved experiment's digest."""
    experiment: Experiment
    """The resolved experiment: arms written out and all digests filled in."""
    experiment_digest: Digest
    """Digest of the resolved experiment: dataset, suite, arms, weights and code."""
    dataset_digest: Digest
    """Digest of the dataset's rows."""
    suite_digest: Digest
    """Digest of the suite."""
    plan_digest: Digest
    """Digest of the analysis plan, which is thereby pre-registered."""
    policy_digest: Digest
    """Digest of the gate's policy."""
    variant_digests: Parameters
    """Digest of each arm's variant."""
    code: tuple[Code, ...] = Field(json_schema_extra=CIRCUMSTANCE)
    """The code of variants and scorers, each state once: what their `code_digest` and `scorer_digest` are made of."""
    base_digests: Parameters
    """Digest of each arm's variant without the files that its code was seen to open: by it, other runs find out which
    files those were."""
    label: FrozenColumn
    """The dataset's label column, which defines the meaning of the labels in the scores table."""
    dataset_description: str = Field(default="", json_schema_extra=CIRCUMSTANCE)
    """The description of a row from the dataset's contract."""
    dataset_check: CheckReport = Field(json_schema_extra=CIRCUMSTANCE)
    """The contract check of the dataset, made when its rows were frozen."""
    unit_keys: Parameters
    """Per arm, digest of everything except the device on which the scores of its units depend. Other runs reuse units
    with an equal key."""
    lineage: Lineage
    """The driver's lineage."""
    opened_at: str = Field(json_schema_extra=CIRCUMSTANCE)
    """When the run was opened: UTC, ISO 8601."""
    supersedes: str | None = None
    """Id of the run that this one continues, because some of its arms failed or were incomplete when it stopped. Null:
    none."""
    seal: str = Field(default="", json_schema_extra=CIRCUMSTANCE)
    """Digest of all other fields, by which a change to the record is found. Empty: not recorded yet."""

    def sealed(self) -> Self:
        """The record with its seal, to be stored."""
        return self.model_copy(update={"seal": seal_of(self.model_dump(mode="json"))})


def seal_of(record: dict[str, Any]) -> str:
    """The seal that belongs to a record, given as plain JSON values."""
    others = {name: value for name, value in record.items() if name != "seal"}
    return sha256_digest(json.dumps(others, sort_keys=True).encode())
