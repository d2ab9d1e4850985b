"""Arm: a variant in one experiment."""

from pydantic import Field

from assay.manifests.base import CIRCUMSTANCE, Manifest, Name
from assay.manifests.variant import Variant


class Arm(Manifest):
    """A variant in one experiment."""

    name: Name
    """The arm's name in tables and file names."""
    variant: Variant
    """The variant, inline or as a path to its file."""
    accelerator_type: str | None = Field(default=None, min_length=1, json_schema_extra=CIRCUMSTANCE)
    """The GPU that its slots need, as Ray names it, such as `H100`. Null: any."""
