"""Margins on the primary metric: non-inferiority and equivalence of an arm to the control.

Non-inferiority is decided by the arm's interval within the family, so it holds for all arms simultaneously.
Equivalence is decided by TOST (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657) per arm, without adjustment.
"""

from scipy import stats

from assay.manifests.comparison import Comparison, Margin
from assay.manifests.plan import Plan
from assay.stats.comparisons import tost
from assay.stats.designs import paired
from assay.stats.distributions import proportions
from assay.stats.moments.arm_means import ArmMeans


def margin_of(comparison: Comparison, arms: ArmMeans, plan: Plan, *, is_binary: bool, num_comparisons: int) -> Margin:
    """Checks an arm's comparison with the control against the arm's margin in the plan.

    Args:
        comparison: The comparison with the control, within its family.
        arms: Means of the arms.
        plan: The plan: margins, direction, alpha.
        is_binary: Whether scores are 0 or 1.
        num_comparisons: Number of comparisons in the family.
    """
    margin = plan.margins[comparison.arm]
    if is_binary and comparison.degenerate == "identical":
        pair = arms.arms.index(comparison.arm), arms.control
        comparison = paired.with_score_interval(comparison, arms, pair, alpha=plan.alpha / num_comparisons)
    worse, better = _one_sided(comparison, arms, plan, margin=margin, is_binary=is_binary)
    gain = paired.gains(comparison, plan.direction)
    non_inferior = gain is not None and (gain[0] > -margin or gain == (0.0, 0.0))
    p_equivalent = None if worse is None or better is None else max(worse, better)
    return Margin(
        arm=comparison.arm,
        reference=comparison.reference,
        margin=margin,
        ci_low=comparison.ci_low,
        ci_high=comparison.ci_high,
        non_inferior=non_inferior,
        p_non_inferior=worse,
        p_equivalent=p_equivalent,
        equivalent=p_equivalent is not None and p_equivalent <= plan.alpha,
    )


def _one_sided(
    comparison: Comparison, arms: ArmMeans, plan: Plan, *, margin: float, is_binary: bool
) -> tuple[float | None, float | None]:
    """P-values of the hypotheses "worse by the margin or more" and "better by the margin or more"."""
    sign = 1 if plan.direction == "higher" else -1
    moments = arms.moments
    if is_binary and arms.num_clusters is None and moments is not None and moments.discordant_AA is not None:
        pair = arms.arms.index(comparison.arm), arms.control
        b, c = int(moments.discordant_AA[pair]), int(moments.discordant_AA[pair[::-1]])
        if sign < 0:
            b, c = c, b
        return (
            proportions.tango_noninferiority(b, c, num_rows=moments.num_rows, margin=margin).p_value,
            proportions.tango_noninferiority(c, b, num_rows=moments.num_rows, margin=margin).p_value,
        )
    if comparison.estimate is None or not comparison.std_error:
        return None, None
    df = arms.df if comparison.df is None else comparison.df
    gain = sign * comparison.estimate
    if margin == 0:  # no difference is smaller than 0, so only non-inferiority can be tested
        return float(stats.t.sf(gain / comparison.std_error, df)), None
    tests = tost.tost_paired(gain, comparison.std_error, df, margin=margin)
    return tests.p_above, tests.p_below
