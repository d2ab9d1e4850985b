"""Manifests: every document that a person writes or that Assay records. Pydantic models only: no I/O, no arrays."""

from assay.manifests.arm import Arm
from assay.manifests.base import Manifest
from assay.manifests.base_variant import BaseVariant
from assay.manifests.budget import Budget, Prices
from assay.manifests.callable_variant import CallableVariant
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from assay.manifests.dataset import Dataset, Shard, Source
from assay.manifests.errors import AssayError, InvalidInput, ManifestError
from assay.manifests.experiment import Experiment
from assay.manifests.metric import Metric
from assay.manifests.parse import KINDS, parse
from assay.manifests.plan import Plan, PlanColumns
from assay.manifests.policy import Policy
from assay.manifests.race import Race
from assay.manifests.resources import Resources
from assay.manifests.suite import Determinism, Suite
from assay.manifests.sweep import Sweep
from assay.manifests.torch_variant import TorchVariant
from assay.manifests.variant import Variant

__all__ = [
    "KINDS",
    "Arm",
    "AssayError",
    "BaseVariant",
    "Budget",
    "CallableVariant",
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
    "TorchVariant",
    "Variant",
    "parse",
]
