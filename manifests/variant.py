"""Variant: one version of a model, of any kind."""

from typing import Annotated

from pydantic import Field

from assay.manifests.callable_variant import CallableVariant
from assay.manifests.torch_variant import TorchVariant

Variant = Annotated[CallableVariant | TorchVariant, Field(discriminator="predictor")]
"""A variant of any kind, distinguished by `predictor`. What each kind does is in `evaluator/predictors/kinds.py`."""
