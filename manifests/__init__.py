"""What was promised: every manifest a person writes or Assay records. Pydantic only, no I/O, no arrays."""

from manifests.arm import Arm
from manifests.base import Manifest
from manifests.budget import Budget, Prices
from manifests.contract import Column, Contract
from manifests.dataset import Dataset, Shard, Source
from manifests.errors import AssayError, InvalidInput, ManifestError
from manifests.experiment import Experiment
from manifests.metric import Metric
from manifests.parse import KINDS, parse
from manifests.plan import Plan, PlanColumns
from manifests.policy import Policy
from manifests.race import Race
from manifests.resources import Resources
from manifests.suite import Determinism, Suite
from manifests.sweep import Sweep
from manifests.variant import Variant

__all__ = [
    "KINDS",
    "Arm",
    "AssayError",
    "Budget",
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
    "Prices",
    "Race",
    "Resources",
    "Shard",
    "Source",
    "Suite",
    "Sweep",
    "Variant",
    "parse",
]
