"""The record of an analysis: the planned comparisons of one metric, their power, and the JSON form."""

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from pydantic import TypeAdapter

from assay.stats.results.comparison import ArmEstimate, Comparison, Margin, OmnibusTest, SecondMethod, Segment
from assay.stats.results.guardrail_result import GuardrailResult
from assay.stats.results.missingness import Missingness


@dataclass(frozen=True)
class BestArm:
    """The best variant's difference from the control, raw and corrected for selection as the best.

    Attributes:
        arm: The variant with the best estimate.
        reference: The control.
        estimate: Its uncorrected estimate.
        estimate_corrected: The estimate corrected for selection; None if it cannot be computed.
        ci_low_corrected: Lower end of the interval corrected for selection, at level 1 - alpha; not simultaneous with
            the intervals of the comparisons. None without a corrected estimate or without variation.
        ci_high_corrected: Upper end of this interval.
        method: Method of the correction.
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
    """The power of one comparison.

    Attributes:
        arm: The arm.
        reference: The arm it is compared with.
        mde: Minimum detectable effect: the smallest true difference that is detected with the given power, in units of
            the score; None if unknown.
    """

    arm: str
    reference: str
    mde: float | None


@dataclass(frozen=True)
class Power:
    """The power of the analysis with this number of rows.

    Attributes:
        mde: Minimum detectable effect of the family: the largest of those of its comparisons; None if unknown.
        power: Probability with which such an effect is detected.
        critical: Critical value of the family that was used; None if unknown.
        pairs: The power of each comparison.
    """

    mde: float | None
    power: float
    critical: float | None
    pairs: tuple[PairPower, ...]


@dataclass(frozen=True)
class NotTestable:
    """Something in the plan that could not be tested, and why.

    Attributes:
        what: `omnibus`, `comparison`, `segment`, `guardrail`, ...
        name: Its name.
        reason: Why it could not be tested.
    """

    what: str
    name: str
    reason: str


@dataclass(frozen=True)
class Analysis:
    """All planned comparisons of one metric, and everything needed to judge them.

    Attributes:
        design: `paired` or `unpaired`.
        metric: The primary metric.
        direction: Which direction of the metric is better.
        scale: Kind of scores: `binary`, `continuous`, `count` or `ordinal`.
        control: The arm that the others are compared with.
        alpha: The family-wise error rate, two-sided.
        family: `dunnett` or `tukey`.
        num_rows: Rows that were analysed; in an unpaired design, the number of all scores.
        num_clusters: Clusters of rows; None without clusters.
        num_repeats: Scores per row and arm that were averaged before the analysis.
        arms: The mean of each arm.
        omnibus: The test that no arms differ; None with one arm.
        comparisons: The comparisons of the family.
        letters: For all pairs: arms that share a letter do not differ significantly. Empty for `dunnett`.
        interaction: The test whether differences between arms depend on the segment; None without segments.
        segments: Comparisons by segment; always exploratory.
        guardrails: The result of each arm on each guardrail of the plan.
        margins: The result of each arm that has a non-inferiority margin on the primary metric.
        best: The best variant, corrected for selection.
        missing: Missing scores by arm; None if there are none.
        checks: The results of second methods.
        power: The power of the comparisons.
        warnings: What a reader should know, as text.
        not_testable: What could not be tested, and why.
        plan_digest: Digest of the plan that was carried out.
        exploratory: Whether this plan differs from the recorded one, so that nothing can be promoted.
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
    checks: tuple[SecondMethod, ...]
    power: Power
    warnings: tuple[str, ...]
    not_testable: tuple[NotTestable, ...]
    plan_digest: str
    exploratory: bool

    def against_control(self, arm: str) -> Comparison | None:
        """The comparison of an arm with the control, or None."""
        return next((each for each in self.comparisons if (each.arm, each.reference) == (arm, self.control)), None)

    def to_json(self) -> dict[str, Any]:
        """The analysis as plain JSON values. Numbers have full precision; an undefined number is null."""
        return _plain(self)

    @classmethod
    def from_json(cls, plain: Any) -> "Analysis":
        """The analysis from the values that `to_json` returned.

        Raises:
            ValueError: They are not an analysis.
        """
        return TypeAdapter(cls).validate_python(_fields(plain))


NAMED_VALUES = frozenset({"details", "letters"})
"""Fields that are pairs of names and values; objects in JSON."""


def _fields(value: Any) -> Any:
    """The values of fields from plain JSON values."""
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
