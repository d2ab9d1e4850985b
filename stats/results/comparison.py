"""Records of tests and comparisons of arms; each can state why it could not be made."""

from dataclasses import dataclass
from typing import Literal

Degenerate = Literal["identical", "constant_difference"]
"""`identical`: the arms have equal scores on every row. `constant_difference`: they differ by the same amount
everywhere."""


@dataclass(frozen=True)
class ArmEstimate:
    """The mean score of one arm with its own, not simultaneous, interval.

    Attributes:
        arm: The arm's name.
        mean: The mean score.
        std_error: The standard error of the mean; cluster-robust where the plan names clusters.
        ci_low: Lower end of the interval at level 1 - alpha.
        ci_high: Upper end of the interval.
        num_rows: Analysed rows with a score of this arm.
        num_missing: Rows without a score of this arm, before the plan's rule for missing scores was applied.
        method: Method of the interval.
    """

    arm: str
    mean: float | None
    std_error: float | None
    ci_low: float | None
    ci_high: float | None
    num_rows: int
    num_missing: int
    method: str


@dataclass(frozen=True)
class OmnibusTest:
    """A test of no difference among all arms.

    Attributes:
        test: Name of the test that was made, as in the plan, such as `rm_anova`; never `auto`.
        statistic: The F, chi-square or Q statistic.
        df_num: Degrees of freedom (of the numerator).
        df_den: Degrees of freedom of the denominator; None for a chi-square test.
        p_value: The p-value without correction for sphericity.
        p_value_corrected: The p-value with the Greenhouse-Geisser correction; None if the test has none.
        epsilon: The Greenhouse-Geisser epsilon; None if the test has none.
        details: Further numbers by name, such as `epsilon_hf`, `mauchly_w`, `mauchly_p`.
        degenerate: Set if the arms are identical or differ only by constants, else None.
        not_testable: Why there is no p-value; None if there is one.
    """

    test: str
    statistic: float | None
    df_num: float | None
    df_den: float | None
    p_value: float | None
    p_value_corrected: float | None = None
    epsilon: float | None = None
    details: tuple[tuple[str, float], ...] = ()
    degenerate: Degenerate | None = None
    not_testable: str | None = None


@dataclass(frozen=True)
class Comparison:
    """One arm against another: the difference `arm - reference` in units of the score.

    Attributes:
        arm: The arm.
        reference: The arm it is compared with.
        estimate: The difference of the means.
        std_error: Standard error of the difference.
        statistic: The test statistic, such as t.
        df: Degrees of freedom of its null distribution; None if it has none.
        p_value: Two-sided p-value of this comparison, not adjusted for the family.
        p_adjusted: The p-value adjusted for the family.
        ci_low: Lower end of the interval; simultaneous over the family if `method` provides that.
        ci_high: Upper end of the interval.
        method: Method of `p_adjusted` and of the interval, such as `max_t`.
        degenerate: Set if there is no variation to test with, else None.
        not_testable: Why there is no p-value; None if there is one.
    """

    arm: str
    reference: str
    estimate: float | None
    std_error: float | None
    statistic: float | None
    df: float | None
    p_value: float | None
    p_adjusted: float | None
    ci_low: float | None
    ci_high: float | None
    method: str
    degenerate: Degenerate | None = None
    not_testable: str | None = None


@dataclass(frozen=True)
class SecondMethodPair:
    """The result of a second method for one comparison."""

    arm: str
    reference: str
    p_value: float | None
    p_adjusted: float | None


@dataclass(frozen=True)
class SecondMethod:
    """A second method, which checks the one that decides.

    Attributes:
        method: Name of the method.
        reason: Why it was used.
        pairs: Its result for each comparison.
        agrees: Whether it finds the same comparisons significant.
    """

    method: str
    reason: str
    pairs: tuple[SecondMethodPair, ...]
    agrees: bool


@dataclass(frozen=True)
class Segment:
    """Comparisons within one segment. They are for information and do not affect decisions.

    Attributes:
        segment: The segment's name.
        num_rows: Number of rows in the segment.
        comparisons: The comparisons. `p_adjusted` is adjusted by Benjamini-Hochberg over all segments; intervals are
            not simultaneous.
        not_testable: Why there are no comparisons; None if there are.
    """

    segment: str
    num_rows: int
    comparisons: tuple[Comparison, ...]
    not_testable: str | None = None


@dataclass(frozen=True)
class Margin:
    """An arm's primary metric compared with its non-inferiority margin.

    Attributes:
        arm: The arm.
        reference: The control.
        margin: How much worse than the control the arm may be, in units of the score.
        ci_low: Lower end of the interval that is compared with the margin, simultaneous over the family.
        ci_high: Upper end of the interval.
        non_inferior: Whether the whole interval is within the margin.
        p_non_inferior: One-sided p-value of non-inferiority, not adjusted for the family.
        p_equivalent: The larger of the two one-sided p-values of equivalence (TOST), not adjusted for the family.
        equivalent: Whether `p_equivalent` is at most alpha.
    """

    arm: str
    reference: str
    margin: float
    ci_low: float | None
    ci_high: float | None
    non_inferior: bool
    p_non_inferior: float | None
    p_equivalent: float | None
    equivalent: bool
