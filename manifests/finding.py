"""Finding: what was found out about a frozen dataset after it was frozen."""

from typing import Annotated, Literal

from pydantic import Field

from manifests.base import Digest, Manifest, Reference

Instant = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?\+00:00$")]
"""A moment in UTC, ISO 8601."""


class Withdrawal(Manifest):
    """A version that nobody should use any more. Its rows stay; runs on it say so."""

    kind: Literal["Withdrawal"] = "Withdrawal"
    """Always `Withdrawal`."""
    reference: Reference
    """The version."""
    rows_digest: Digest
    """The rows that it stands for."""
    found_at: Instant
    """When it was withdrawn."""
    found_by: str = Field(max_length=200)
    """Who says so: a label that everyone may read."""
    reason: str = Field(min_length=1, max_length=2000)
    """Why, in words."""


Finding = Withdrawal
"""Any finding; told apart by `kind`."""
