"""Drift report: how far the values of each column moved from one version of a dataset to another."""

from typing import Literal

from pydantic import Field

from assay.manifests.base import CIRCUMSTANCE, Digest, Instant, Manifest, Reference
from assay.manifests.profile import ValueCount


class DriftStatistic(Manifest):
    """One way to measure how far a column moved."""

    name: Literal["psi", "jensen_shannon", "kolmogorov_smirnov", "l_infinity", "null_fraction"]
    """Which, by the contract's name for its threshold."""
    value: float = Field(ge=0)
    """What was measured; of `null_fraction` the difference, whichever way."""
    threshold: float = Field(gt=0)
    """Past it is too far."""
    chance: float = Field(ge=0)
    """What chance alone stays under where nothing has changed, for versions of these sizes: with 95 % probability for
    all statistics of the report together. The rows are taken to be drawn independently."""

    @property
    def is_past(self) -> bool:
        """Whether it is too far, and further than chance goes."""
        return self.value > self.threshold and self.value > self.chance


class ColumnDrift(Manifest):
    """How far the values of one column moved."""

    column: str
    """The column's name."""
    compared: Literal["numbers", "elements", "seconds", "lengths", "categories", "nothing"]
    """What of the values: numbers, a tensor's elements, dates and timestamps in seconds, the lengths of texts of
    which there are too many for categories, or how often each value comes; `nothing` where a version has no values."""
    null_fraction_earlier: float = Field(ge=0, le=1)
    """The part of the earlier version's rows without a value."""
    null_fraction_later: float = Field(ge=0, le=1)
    """The part of the later version's rows without a value."""
    has_null_explosion: bool
    """Whether there were no nulls, and now are so many that it is drift."""
    num_new_values: int = Field(ge=0)
    """Of categories: those that only the later version has."""
    new_values: tuple[ValueCount, ...]
    """The commonest of them."""
    num_lost_values: int = Field(ge=0)
    """Of categories: those that only the earlier version has."""
    lost_values: tuple[ValueCount, ...]
    """The commonest of them."""
    statistics: tuple[DriftStatistic, ...]
    """Those that have a threshold."""
    has_drifted: bool
    """Whether any statistic is past its threshold and past chance."""

    @property
    def words(self) -> str:
        """What moved, in one line."""
        past = [f"{each.name} {each.value:.3g} > {each.threshold:g}" for each in self.statistics if each.is_past]
        parts = [f"drifted ({', '.join(past)})" if past else "no drift"]
        if self.has_null_explosion:
            parts.insert(0, f"null explosion: from no nulls to {self.null_fraction_later:.1%} of the rows")
        for number, values, word in (
            (self.num_new_values, self.new_values, "new"),
            (self.num_lost_values, self.lost_values, "lost"),
        ):
            if number:
                shown = ", ".join(f"'{each.value}' ({each.num_rows:,} rows)" for each in values[:3])
                parts.append(f"{number} {word}: {shown}{', …' * (number > 3)}")
        return "; ".join(parts)


class DriftReport(Manifest):
    """What a comparison of a version with an earlier one found: a finding about the later one."""

    kind: Literal["Drift"] = "Drift"
    """Always `Drift`."""
    reference: Reference
    """The later version."""
    rows_digest: Digest
    """Its rows."""
    earlier: Reference
    """What it was compared with."""
    earlier_rows_digest: Digest
    """The rows of that."""
    found_at: Instant = Field(json_schema_extra=CIRCUMSTANCE)
    """When they were compared. To compare them again finds the same, so the time takes no part in the digest."""
    found_by: str = Field(max_length=200, json_schema_extra=CIRCUMSTANCE)
    """Who compared them."""
    columns: tuple[ColumnDrift, ...]
    """Every column that both versions have, but names of rows and clusters, and times."""
    is_fine: bool
    """Whether no column has drifted."""
    words: str
    """What was found, in words."""
