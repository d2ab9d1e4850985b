"""The record of an analysis: all comparisons of one metric as planned, what they could have seen, and their JSON form."""

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from pydantic import TypeAdapter

from assay.stats.results.comparison import ArmEstimate, Comparison, Margin, OmnibusTest, SecondMethod, Segment
from assay.stats.results.guardrail_result import GuardrailResult
from assay.stats.results.missingness import Missingness


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
    checks: tuple[SecondMethod, ...]
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
