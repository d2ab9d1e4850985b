"""What was promised: every manifest a person writes or Assay records. Pydantic only, no I/O, no arrays."""

from manifests.base import Manifest
from manifests.contract import Column, Contract
from manifests.dataset import Dataset, Shard, Source
from manifests.errors import AssayError, InvalidInput, ManifestError
from manifests.experiment import Arm, Experiment
from manifests.metric import Metric
from manifests.parse import KINDS, parse
from manifests.plan import Plan, PlanColumns
from manifests.policy import Policy
from manifests.resources import Resources
from manifests.suite import Determinism, Suite
from manifests.variant import Variant

__all__ = [
    "KINDS",
    "Arm",
    "AssayError",
    "Column",
    "Contract",
    "Dataset",
    "Determinism",
    "Experiment",
    "InvalidInput",
    "Manifest",
    "ManifestError",
    "Metric",
    "Plan",
    "PlanColumns",
    "Policy",
    "Resources",
    "Shard",
    "Source",
    "Suite",
    "Variant",
    "parse",
]
