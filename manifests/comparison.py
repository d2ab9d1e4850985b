"""Comparison: records of tests and comparisons of arms; each can state why it could not be made."""

from typing import Literal

from pydantic import Field

from assay.manifests.base import Computed, Named

Degenerate = Literal["identical", "constant_difference"]
"""`identical`: the arms have equal scores on every row. `constant_difference`: they differ by the same amount
everywhere."""


class ArmEstimate(Computed):
    """The mean score of one arm with its own, not simultaneous, interval."""

    arm: str
    """The arm's name."""
    mean: float | None
    """The mean score."""
    std_error: float | None
    """The standard error of the mean; cluster-robust where the plan names clusters."""
    ci_low: float | None
    """Lower end of the interval at level 1 - alpha."""
    ci_high: float | None
    """Upper end of the interval."""
    num_rows: int
    """Analysed rows with a score of this arm."""
    num_missing: int
    """Rows without a score of this arm, before the plan's rule for missing scores was applied."""
    method: str
    """Method of the interval."""


class OmnibusTest(Computed):
    """A test of no difference among all arms."""

    test: str
    """Name of the test that was made, as in the plan, such as `rm_anova`; never `auto`."""
    statistic: float | None
    """The F, chi-square or Q statistic."""
    df_numerator: float | None
    """Degrees of freedom (of the numerator)."""
    df_denominator: float | None
    """Degrees of freedom of the denominator; None for a chi-square test."""
    p_value: float | None
    """The p-value without correction for sphericity."""
    p_value_corrected: float | None = None
    """The p-value with the Greenhouse-Geisser correction; None if the test has none."""
    epsilon: float | None = None
    """The Greenhouse-Geisser epsilon; None if the test has none."""
    details: Named[float | None] = Field(default_factory=dict)
    """Further numbers by name, such as `epsilon_hf`, `mauchly_w`, `mauchly_p`."""
    degenerate: Degenerate | None = None
    """Set if the arms are identical or differ only by constants, else None."""
    not_testable: str | None = None
    """Why there is no p-value; None if there is one."""


class Comparison(Computed):
    """One arm against another: the difference `arm - reference` in units of the score."""

    arm: str
    """The arm."""
    reference: str
    """The arm it is compared with."""
    estimate: float | None
    """The difference of the means."""
    std_error: float | None
    """Standard error of the difference."""
    statistic: float | None
    """The test statistic, such as t."""
    df: float | None
    """Degrees of freedom of its null distribution; None if it has none."""
    p_value: float | None
    """Two-sided p-value of this comparison, not adjusted for the family."""
    p_adjusted: float | None
    """The p-value adjusted for the family."""
    ci_low: float | None
    """Lower end of the interval; simultaneous over the family if `method` provides that."""
    ci_high: float | None
    """Upper end of the interval."""
    method: str
    """Method of `p_adjusted` and of the interval, such as `max_t`."""
    degenerate: Degenerate | None = None
    """Set if there is no variation to test with, else None."""
    not_testable: str | None = None
    """Why there is no p-value; None if there is one."""


class SecondMethodPair(Computed):
    """The result of a second method for one comparison."""

    arm: str
    """The arm."""
    reference: str
    """The arm it is compared with."""
    p_value: float | None
    """Its two-sided p-value, not adjusted for the family."""
    p_adjusted: float | None
    """The p-value adjusted for the family."""


class SecondMethod(Computed):
    """A second method, which checks the one that decides."""

    method: str
    """Name of the method."""
    reason: str
    """Why it was used."""
    pairs: tuple[SecondMethodPair, ...]
    """Its result for each comparison."""
    agrees: bool
    """Whether it finds the same comparisons significant."""


class Segment(Computed):
    """Comparisons within one segment. They are for information and do not affect decisions."""

    segment: str
    """The segment's name."""
    num_rows: int
    """Number of rows in the segment."""
    comparisons: tuple[Comparison, ...]
    """The comparisons. `p_adjusted` is adjusted by Benjamini-Hochberg over all segments; intervals are not
    simultaneous."""
    not_testable: str | None = None
    """Why there are no comparisons; None if there are."""


class Margin(Computed):
    """An arm's primary metric compared with its non-inferiority margin."""

    arm: str
    """The arm."""
    reference: str
    """The control."""
    margin: float
    """How much worse than the control the arm may be, in units of the score."""
    ci_low: float | None
    """Lower end of the interval that is compared with the margin, simultaneous over the family."""
    ci_high: float | None
    """Upper end of the interval."""
    non_inferior: bool
    """Whether the whole interval is within the margin."""
    p_non_inferior: float | None
    """One-sided p-value of non-inferiority, not adjusted for the family."""
    p_equivalent: float | None
    """The larger of the two one-sided p-values of equivalence (TOST), not adjusted for the family."""
    equivalent: bool
    """Whether `p_equivalent` is at most alpha."""
