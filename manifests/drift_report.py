"""Drift report: how much the values of each column changed between two versions of a dataset."""

from typing import Literal

from pydantic import Field

from assay.manifests.base import CIRCUMSTANCE, Digest, Instant, Manifest, Reference
from assay.manifests.profile import ValueCount


class DriftStatistic(Manifest):
    """One drift statistic of a column."""

    name: Literal["psi", "jensen_shannon", "kolmogorov_smirnov", "l_infinity", "null_fraction"]
    """The statistic: the name of its threshold in the contract."""
    value: float = Field(ge=0)
    """The measured value; for `null_fraction`, the absolute difference."""
    threshold: float = Field(gt=0)
    """The contract's threshold: a larger value counts as drift if it also exceeds `chance`."""
    chance: float = Field(ge=0)
    """Upper bound on what chance alone would produce for versions of these sizes: where nothing has changed, all
    statistics of the report together stay below their bounds with 95 % probability, if rows are drawn independently."""

    @property
    def is_past(self) -> bool:
        """Whether the value exceeds both its threshold and what chance would produce."""
        return self.value > self.threshold and self.value > self.chance


class ColumnDrift(Manifest):
    """Drift of the values of one column."""

    column: str
    """The column's name."""
    compared: Literal["numbers", "elements", "seconds", "lengths", "categories", "nothing"]
    """What was compared: numbers, the elements of a tensor, dates and timestamps in seconds, the lengths of strings
    with too many distinct values for categories, or the frequencies of categories; `nothing`: a version has no
    values."""
    null_fraction_earlier: float = Field(ge=0, le=1)
    """Fraction of rows without a value in the earlier version."""
    null_fraction_later: float = Field(ge=0, le=1)
    """Fraction of rows without a value in the later version."""
    has_null_explosion: bool
    """Whether the earlier version had no nulls and the later one has so many that it counts as drift."""
    num_new_values: int = Field(ge=0)
    """Number of categories that only the later version has."""
    new_values: tuple[ValueCount, ...]
    """The most frequent of them."""
    num_lost_values: int = Field(ge=0)
    """Number of categories that only the earlier version has."""
    lost_values: tuple[ValueCount, ...]
    """The most frequent of them."""
    statistics: tuple[DriftStatistic, ...]
    """The statistics that have a threshold."""
    has_drifted: bool
    """Whether any statistic exceeds both its threshold and what chance would produce."""

    @property
    def summary(self) -> str:
        """The drift of the column in one line."""
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
    """The result of comparing a version with an earlier one: a finding about the later one."""

    kind: Literal["Drift"] = "Drift"
    """Always `Drift`."""
    reference: Reference
    """The later version."""
    rows_digest: Digest
    """Digest of its rows."""
    earlier: Reference
    """The version that it was compared with."""
    earlier_rows_digest: Digest
    """Digest of the earlier version's rows."""
    found_at: Instant = Field(json_schema_extra=CIRCUMSTANCE)
    """When they were compared. Comparing them again gives the same result, so the time is not part of the digest."""
    found_by: str = Field(max_length=200, json_schema_extra=CIRCUMSTANCE)
    """Who compared them."""
    columns: tuple[ColumnDrift, ...]
    """Every column that both versions have, except those of role id, cluster and timestamp."""
    is_fine: bool
    """Whether no column has drifted."""
    summary: str
    """The result as text."""
