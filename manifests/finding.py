"""Finding: what was found out about a frozen dataset after it was frozen."""

from typing import Annotated, Literal

from pydantic import Field

from assay.manifests.base import Digest, Instant, Manifest, Reference
from assay.manifests.drift_report import DriftReport
from assay.manifests.leakage import Leakage

LONGEST_REASON = 2000
"""Characters that a reason has at most."""
LONGEST_NAME = 200
"""Characters that the name of who found something has at most."""


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
    found_by: str = Field(max_length=LONGEST_NAME)
    """Who says so: a label that everyone may read."""
    reason: str = Field(min_length=1, max_length=LONGEST_REASON)
    """Why, in words."""

    @property
    def is_fine(self) -> bool:
        """Never: nobody should use it."""
        return False

    @property
    def words(self) -> str:
        """The finding in one line."""
        by = f" by {self.found_by}" if self.found_by else ""
        return f"withdrawn on {self.found_at[:10]}{by}: {self.reason}"


Finding = Annotated[Withdrawal | DriftReport | Leakage, Field(discriminator="kind")]
"""Any finding; told apart by `kind`. Each says `is_fine`, and what was found in `words`."""
