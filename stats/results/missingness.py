"""Records of missing scores: what was missing in each arm, and what was done about it."""

from dataclasses import dataclass
from typing import Literal

MissingRule = Literal["refuse", "worst", "listwise"]


@dataclass(frozen=True)
class ArmMissingness:
    """What is missing in one arm.

    Attributes:
        arm: The arm's name.
        num_missing: Rows without a score.
        rate: Their share.
        p_value: Whether scores are missing on other rows than in the control: McNemar's mid-p on the missing flags,
            Holm over the arms; None for the control and for unpaired arms.
        estimate_low: The least that the difference from the control over all rows can be, whatever the missing scores.
        estimate_high: The most that it can be.
    """

    arm: str
    num_missing: int
    rate: float
    p_value: float | None
    estimate_low: float | None
    estimate_high: float | None


@dataclass(frozen=True)
class Missingness:
    """What was missing and what was done about it.

    Attributes:
        rule: The plan's rule.
        num_rows_given: Rows before the rule.
        num_rows_left_out: Rows that the rule took out of every arm.
        worst_score: The score that missing ones were given, if any.
        arms: Arm by arm.
    """

    rule: MissingRule
    num_rows_given: int
    num_rows_left_out: int
    worst_score: float | None
    arms: tuple[ArmMissingness, ...]
