"""Records of what an analysis found: estimates, tests and comparisons, each able to say that it could not be made."""

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

Rule = Literal["refuse", "worst", "listwise"]

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
class CheckedPair:
    """What a second method says of one comparison."""

    arm: str
    reference: str
    p_value: float | None
    p_adjusted: float | None


@dataclass(frozen=True)
class Check:
    """A second method beside the one that decides.

    Attributes:
        method: Its name.
        reason: Why it was made.
        pairs: What it says.
        agrees: Whether it calls the same comparisons significant.
    """

    method: str
    reason: str
    pairs: tuple[CheckedPair, ...]
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


GuardrailVerdict = Literal["non_inferior", "breach", "undecided", "not_testable"]
"""`non_inferior`: the interval is within the bound. `breach`: it is wholly beyond it. `undecided`: the bound is inside
the interval. `not_testable`: there is no interval."""


@dataclass(frozen=True)
class GuardrailPart:
    """One segment or group of a guardrail that looks at several.

    Attributes:
        name: The segment or group.
        num_rows: Its rows.
        estimate: What was found in it: of a segment the difference from the control, of a group the arm's own mean.
        ci_low: Lower end of the segment's own interval; None for a group.
        ci_high: Upper end.
        verdict: Of the segment; None for a group.
    """

    name: str
    num_rows: int
    estimate: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    verdict: GuardrailVerdict | None = None


@dataclass(frozen=True)
class GuardrailResult:
    """One arm on one guardrail of the plan.

    Attributes:
        name: What the guardrail is called: one of the plan's.
        kind: Which kind of guardrail, as in the plan.
        severity: `critical`, or `advisory`: that one is told and blocks nothing.
        metric: The metric or quantity.
        direction: Which direction of the estimate is better.
        scale: `difference`: the estimate is arm minus control. `ratio`: it is a ratio, and so are its interval and the
            bound; of the arm to the control, but of a selection between groups of the arm itself.
        bound: What the estimate must not pass: on the other side of it lies a breach.
        comparison: What was found; its interval is not simultaneous over arms (intersection-union). Of segments the
            one that decides: the worst.
        verdict: What its interval says.
        where: The segment or the groups that decide; None where all rows do.
        parts: Segment by segment, or group by group; empty where all rows are looked at together.
        not_judged: Segments or groups that are too small.
    """

    name: str
    kind: str
    severity: Literal["critical", "advisory"]
    metric: str
    direction: Literal["higher", "lower"]
    scale: Literal["difference", "ratio"]
    bound: float
    comparison: Comparison
    verdict: GuardrailVerdict
    where: str | None = None
    parts: tuple[GuardrailPart, ...] = ()
    not_judged: tuple[str, ...] = ()


@dataclass(frozen=True)
class BestArm:
    """The best variant's difference from the control, raw and corrected for having been picked as the best.

    Attributes:
        arm: The variant with the best estimate.
        reference: The control.
        estimate: Its raw estimate.
        estimate_corrected: The estimate corrected for selection, or None where it cannot be made.
        ci_low_corrected: Lower end of the interval at the plan's alpha that allows for the selection; not simultaneous
            with those of the comparisons. None where there is no corrected estimate, or no variation.
        ci_high_corrected: Upper end.
        method: How it was corrected.
    """

    arm: str
    reference: str
    estimate: float
    estimate_corrected: float | None
    ci_low_corrected: float | None
    ci_high_corrected: float | None
    method: str


@dataclass(frozen=True)
class PairPower:
    """What one comparison could have seen.

    Attributes:
        arm: The arm.
        reference: Its reference.
        mde: The smallest true difference that would have been found with the given power, in units of the score.
    """

    arm: str
    reference: str
    mde: float | None


@dataclass(frozen=True)
class Power:
    """What this number of rows could have seen.

    Attributes:
        mde: The smallest true difference that every comparison of the family would have found; None if unknown.
        power: With this probability.
        critical: The critical value of the family that it was computed with.
        pairs: Comparison by comparison.
    """

    mde: float | None
    power: float
    critical: float | None
    pairs: tuple[PairPower, ...]


@dataclass(frozen=True)
class NotTestable:
    """Something the plan asked for that could not be done, and why.

    Attributes:
        what: `omnibus`, `comparison`, `segment`, `guardrail`, ...
        name: Which one.
        reason: Why.
    """

    what: str
    name: str
    reason: str


@dataclass(frozen=True)
class MissingArm:
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

    rule: Rule
    num_rows_given: int
    num_rows_left_out: int
    worst_score: float | None
    arms: tuple[MissingArm, ...]


@dataclass(frozen=True)
class Analysis:
    """All comparisons of one metric as planned, and everything needed to judge them.

    Attributes:
        design: `paired` or `unpaired`.
        metric: The primary metric.
        direction: Which direction of it is better.
        scale: What its scores are.
        control: The arm compared with.
        alpha: The family-wise error rate, two-sided.
        family: `dunnett` or `tukey`.
        num_rows: Rows that were analysed; where arms have rows of their own, all their scores.
        num_clusters: Clusters of rows, or None.
        num_repeats: Scores of one row and arm that were averaged first.
        arms: The arms' means.
        omnibus: The test of no difference; None with one arm.
        comparisons: The family.
        letters: All pairs: arms that share a letter are not told apart. Empty for `dunnett`.
        interaction: Whether differences between arms depend on the segment; None without segments.
        segments: Comparisons by segment; exploratory always.
        guardrails: Each arm on each guardrail of the plan.
        margins: Each arm with a margin on the primary metric.
        best: The best variant, corrected for selection.
        missing: What was missing, by arm; None if nothing was.
        checks: Second methods.
        power: What could have been seen.
        warnings: What a reader should know, in words.
        not_testable: What could not be done, and why.
        plan_digest: Digest of the plan that was carried out.
        exploratory: Whether that plan is another than the recorded one: then nothing may be promoted.
    """

    design: str
    metric: str
    direction: str
    scale: str
    control: str
    alpha: float
    family: str
    num_rows: int
    num_clusters: int | None
    num_repeats: int
    arms: tuple[ArmEstimate, ...]
    omnibus: OmnibusTest | None
    comparisons: tuple[Comparison, ...]
    letters: tuple[tuple[str, str], ...]
    interaction: OmnibusTest | None
    segments: tuple[Segment, ...]
    guardrails: tuple[GuardrailResult, ...]
    margins: tuple[Margin, ...]
    best: BestArm | None
    missing: Missingness | None
    checks: tuple[Check, ...]
    power: Power
    warnings: tuple[str, ...]
    not_testable: tuple[NotTestable, ...]
    plan_digest: str
    exploratory: bool

    def against_control(self, arm: str) -> Comparison | None:
        """The comparison of an arm with the control, or None."""
        return next((found for found in self.comparisons if (found.arm, found.reference) == (arm, self.control)), None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values. Numbers are in full; a number that is none is null, and its reason stands beside it."""
        return _plain(self)

    @classmethod
    def from_json(cls, plain: Any) -> "Analysis":
        """The analysis that `to_json` made these values of.

        Raises:
            ValueError: They are no analysis.
        """
        return TypeAdapter(cls).validate_python(_fields(plain))


NAMED_VALUES = frozenset({"details", "letters"})
"""Fields of names with values: objects in JSON."""


def _fields(value: Any) -> Any:
    """What fields hold, from plain JSON values."""
    if isinstance(value, list):
        return tuple(_fields(item) for item in value)
    if not isinstance(value, dict):
        return value
    return {name: tuple(item.items()) if name in NAMED_VALUES else _fields(item) for name, item in value.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {
            field.name: dict(_plain(getattr(value, field.name)))
            if field.name in NAMED_VALUES
            else _plain(getattr(value, field.name))
            for field in fields(value)
        }
    return value
