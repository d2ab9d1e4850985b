"""Analysis: the planned comparisons of one metric and their power, as `assay analyze --json` prints them."""

from typing import Literal

from assay.manifests.base import Computed, Digest, Named
from assay.manifests.comparison import ArmEstimate, Comparison, Margin, OmnibusTest, SecondMethod, Segment
from assay.manifests.guardrail_result import GuardrailResult
from assay.manifests.measures import Direction, Scale
from assay.manifests.missingness import Missingness


class BestArm(Computed):
    """The best variant's difference from the control, raw and corrected for selection as the best."""

    arm: str
    """The variant with the best estimate."""
    reference: str
    """The control."""
    estimate: float
    """Its uncorrected estimate."""
    estimate_corrected: float | None
    """The estimate corrected for selection; None if it cannot be computed."""
    ci_low_corrected: float | None
    """Lower end of the interval corrected for selection, at level 1 - alpha; not simultaneous with the intervals of the
    comparisons. None without a corrected estimate or without variation."""
    ci_high_corrected: float | None
    """Upper end of this interval."""
    method: str
    """Method of the correction."""


class PairPower(Computed):
    """The power of one comparison."""

    arm: str
    """The arm."""
    reference: str
    """The arm it is compared with."""
    mde: float | None
    """Minimum detectable effect: the smallest true difference that is detected with the given power, in units of the
    score; None if unknown."""


class Power(Computed):
    """The power of the analysis with this number of rows."""

    mde: float | None
    """Minimum detectable effect of the family: the largest of those of its comparisons; None if unknown."""
    power: float
    """Probability with which such an effect is detected."""
    critical: float | None
    """Critical value of the family that was used; None if unknown."""
    pairs: tuple[PairPower, ...]
    """The power of each comparison."""


class NotTestable(Computed):
    """Something in the plan that could not be tested, and why."""

    what: str
    """`omnibus`, `comparison`, `segment`, `guardrail`, ..."""
    name: str
    """Its name."""
    reason: str
    """Why it could not be tested."""


class Analysis(Computed):
    """All planned comparisons of one metric, and everything needed to judge them."""

    design: Literal["paired", "unpaired"]
    """Whether all arms scored the same rows."""
    metric: str
    """The primary metric."""
    direction: Direction
    """Which direction of the metric is better."""
    scale: Scale
    """Kind of scores."""
    control: str
    """The arm that the others are compared with."""
    alpha: float
    """The family-wise error rate, two-sided."""
    family: Literal["dunnett", "tukey"]
    """`dunnett`: every arm against the control. `tukey`: all pairs of arms."""
    num_rows: int
    """Rows that were analysed; in an unpaired design, the number of all scores."""
    num_clusters: int | None
    """Clusters of rows; None without clusters."""
    num_repeats: int
    """Scores per row and arm that were averaged before the analysis."""
    arms: tuple[ArmEstimate, ...]
    """The mean of each arm."""
    omnibus: OmnibusTest | None
    """The test that no arms differ; None with one arm."""
    comparisons: tuple[Comparison, ...]
    """The comparisons of the family."""
    letters: Named[str]
    """For all pairs: arms that share a letter do not differ significantly. Empty for `dunnett`."""
    interaction: OmnibusTest | None
    """The test whether differences between arms depend on the segment; None without segments."""
    segments: tuple[Segment, ...]
    """Comparisons by segment; always exploratory."""
    guardrails: tuple[GuardrailResult, ...]
    """The result of each arm on each guardrail of the plan."""
    margins: tuple[Margin, ...]
    """The result of each arm that has a non-inferiority margin on the primary metric."""
    best: BestArm | None
    """The best variant, corrected for selection."""
    missing: Missingness | None
    """Missing scores by arm; None if there are none."""
    checks: tuple[SecondMethod, ...]
    """The results of second methods."""
    power: Power
    """The power of the comparisons."""
    warnings: tuple[str, ...]
    """What a reader should know, as text."""
    not_testable: tuple[NotTestable, ...]
    """What could not be tested, and why."""
    plan_digest: Digest
    """Digest of the plan that was carried out."""
    exploratory: bool
    """Whether this plan differs from the recorded one, so that nothing can be promoted."""

    def against_control(self, arm: str) -> Comparison | None:
        """The comparison of an arm with the control, or None."""
        return next((each for each in self.comparisons if (each.arm, each.reference) == (arm, self.control)), None)
