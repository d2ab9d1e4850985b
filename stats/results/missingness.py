"""Records of missing scores: how many each arm lacks, and how they were treated."""

from dataclasses import dataclass
from typing import Literal

MissingRule = Literal["refuse", "worst", "listwise"]


@dataclass(frozen=True)
class ArmMissingness:
    """Missing scores of one arm.

    Attributes:
        arm: The arm's name.
        num_missing: Rows without a score.
        rate: Fraction of rows without a score.
        p_value: Test whether scores are missing on other rows than the control's: McNemar's mid-p on the missing flags,
            adjusted by Holm over the arms; None for the control and for unpaired arms.
        estimate_low: Smallest possible difference from the control over all rows, whatever the missing scores are.
        estimate_high: Largest possible difference from the control.
    """

    arm: str
    num_missing: int
    rate: float
    p_value: float | None
    estimate_low: float | None
    estimate_high: float | None


@dataclass(frozen=True)
class Missingness:
    """Missing scores and how they were treated.

    Attributes:
        rule: The plan's rule for missing scores.
        num_rows_given: Rows before the rule was applied.
        num_rows_left_out: Rows that the rule removed from every arm.
        worst_score: The score that replaced missing ones; None if none were replaced.
        arms: Missing scores of each arm.
    """

    rule: MissingRule
    num_rows_given: int
    num_rows_left_out: int
    worst_score: float | None
    arms: tuple[ArmMissingness, ...]
