"""Finding: something that was found about a dataset after it was frozen."""

from typing import Annotated, Literal

from pydantic import Field

from assay.manifests.base import Computed, Digest, Instant, Manifest, Reference
from assay.manifests.drift_report import DriftReport
from assay.manifests.leakage import Leakage

LONGEST_REASON = 2000
"""Maximum length of a reason in characters."""
LONGEST_NAME = 200
"""Maximum length of the name of a finder in characters."""


class Withdrawal(Manifest):
    """The withdrawal of a version. Its rows are kept; runs that use it show a warning and cannot promote."""

    kind: Literal["Withdrawal"] = "Withdrawal"
    """Always `Withdrawal`."""
    reference: Reference
    """The version that is withdrawn."""
    rows_digest: Digest
    """Digest of its rows."""
    found_at: Instant
    """When it was withdrawn."""
    found_by: str = Field(max_length=LONGEST_NAME)
    """Who withdrew it: a label that anyone with access can read."""
    reason: str = Field(min_length=1, max_length=LONGEST_REASON)
    """Why it was withdrawn, as text."""

    @property
    def is_fine(self) -> bool:
        """Always false: a withdrawn version must not be used."""
        return False

    @property
    def summary(self) -> str:
        """The finding in one line."""
        by = f" by {self.found_by}" if self.found_by else ""
        return f"withdrawn on {self.found_at[:10]}{by}: {self.reason}"


Finding = Annotated[Withdrawal | DriftReport | Leakage, Field(discriminator="kind")]
"""Any finding, distinguished by `kind`. Each has `is_fine` and, in `summary`, a description of one line."""


FindingKind = Literal["Withdrawal", "Leakage", "Drift"]


class FindingSummary(Computed):
    """The part of a finding that a run or its gate needs."""

    kind: FindingKind
    """Kind of the finding."""
    digest: Digest
    """Digest of the finding."""
    is_fine: bool
    """Whether nothing bad was found."""
    summary: str
    """What was found, in one sentence."""
    found_at: Instant
    """When it was found."""
    compared_with: tuple[str, ...] = ()
    """Digests of what the dataset was compared with: training sets, or the earlier version."""
