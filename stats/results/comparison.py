"""Records of tests and comparisons of arms, each able to say that it could not be made."""

from dataclasses import dataclass
from typing import Literal

Degenerate = Literal["identical", "constant_difference"]
"""`identical`: the two arms agree on every row. `constant_difference`: they differ by the same amount on every row."""


@dataclass(frozen=True)
class ArmEstimate:
    """The mean score of one arm with its own interval (not simultaneous).

    Attributes:
        arm: The arm's name.
        mean: The mean score.
        std_error: The standard error of the mean; cluster-robust where the plan names clusters.
        ci_low: Lower end of the interval at the plan's alpha.
        ci_high: Upper end.
        num_rows: Rows with a score of this arm that were analysed.
        num_missing: Rows without one, before the plan's rule was applied.
        method: How the interval was made.
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
        test: Its name as in the plan, such as `rm_anova`; the test that was made, never `auto`.
        statistic: F, chi-square or Q.
        df_num: Degrees of freedom (of the numerator).
        df_den: Degrees of freedom of the denominator; None for a chi-square.
        p_value: Without correction for sphericity.
        p_value_corrected: With it (Greenhouse-Geisser) where the test has one, else None.
        epsilon: The Greenhouse-Geisser epsilon, or None.
        details: Further named numbers, such as `epsilon_hf`, `mauchly_w`, `mauchly_p`.
        degenerate: Set when the arms are identical, or differ only by constants.
        not_testable: Why there is no p-value, or None.
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
        std_error: Its standard error.
        statistic: What was compared with its null distribution, such as t.
        df: Degrees of freedom of that distribution, or None.
        p_value: Two-sided, of this comparison alone.
        p_adjusted: Adjusted for the whole family.
        ci_low: Lower end of the interval; simultaneous over the family where the method says so.
        ci_high: Upper end.
        method: How p_adjusted and the interval were made, such as `max_t`.
        degenerate: Set when there is no variation to test with.
        not_testable: Why there is no p-value, or None.
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
    """What a second method says of one comparison."""

    arm: str
    reference: str
    p_value: float | None
    p_adjusted: float | None


@dataclass(frozen=True)
class SecondMethod:
    """A second method beside the one that decides.

    Attributes:
        method: Its name.
        reason: Why it was made.
        pairs: What it says.
        agrees: Whether it calls the same comparisons significant.
    """

    method: str
    reason: str
    pairs: tuple[SecondMethodPair, ...]
    agrees: bool


@dataclass(frozen=True)
class Segment:
    """Comparisons within one segment. They inform; they decide nothing.

    Attributes:
        segment: The segment's name.
        num_rows: Its rows.
        comparisons: p_adjusted by Benjamini-Hochberg over all segments; intervals are of one comparison alone.
        not_testable: Why there are none, or None.
    """

    segment: str
    num_rows: int
    comparisons: tuple[Comparison, ...]
    not_testable: str | None = None


@dataclass(frozen=True)
class Margin:
    """An arm's primary metric held against its non-inferiority margin.

    Attributes:
        arm: The arm.
        reference: The control.
        margin: How much worse is still acceptable, in units of the score.
        ci_low: Lower end of the interval that is held against the margin, simultaneous over the family.
        ci_high: Upper end.
        non_inferior: Whether the whole interval is better than the margin.
        p_non_inferior: One-sided, of this arm alone.
        p_equivalent: The larger of two one-sided p-values (TOST), of this arm alone.
        equivalent: Whether p_equivalent is at most alpha.
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
