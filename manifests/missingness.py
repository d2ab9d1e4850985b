"""Missingness: how many scores each arm lacks, and how they were treated."""

from typing import Literal

from assay.manifests.base import Computed

MissingRule = Literal["refuse", "worst", "listwise"]


class ArmMissingness(Computed):
    """Missing scores of one arm."""

    arm: str
    """The arm's name."""
    num_missing: int
    """Rows without a score."""
    rate: float
    """Fraction of rows without a score."""
    p_value: float | None
    """Test whether scores are missing on other rows than the control's: McNemar's mid-p on the missing flags, adjusted
    by Holm over the arms; None for the control and for unpaired arms."""
    estimate_low: float | None
    """Smallest possible difference from the control over all rows, whatever the missing scores are."""
    estimate_high: float | None
    """Largest possible difference from the control."""


class Missingness(Computed):
    """Missing scores and how they were treated."""

    rule: MissingRule
    """The plan's rule for missing scores."""
    num_rows_given: int
    """Rows before the rule was applied."""
    num_rows_left_out: int
    """Rows that the rule removed from every arm."""
    worst_score: float | None
    """The score that replaced missing ones; None if none were replaced."""
    arms: tuple[ArmMissingness, ...]
    """Missing scores of each arm."""
