"""Arm: a variant in one experiment."""

from pydantic import Field

from assay.manifests.base import CIRCUMSTANCE, Manifest, Name
from assay.manifests.variant import Variant


class Arm(Manifest):
    """A variant in one experiment."""

    name: Name
    """The arm's name in reports, tables and file names; unique within the experiment."""
    variant: Variant
    """The variant to evaluate: inline, or the path of its file."""
    accelerator_type: str | None = Field(default=None, min_length=1, json_schema_extra=CIRCUMSTANCE)
    """The accelerator type that this arm's slots require, by Ray's name for it, such as `H100`. Null (default): any
    type."""
