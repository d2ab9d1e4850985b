"""The critical value of a family of comparisons before any data exist."""

import math
from typing import Literal

from scipy import stats

from assay.manifests.errors import InvalidInput
from assay.stats.distributions.dunnett import DunnettDistribution
from assay.stats.distributions.studentized_range import StudentizedRange

Family = Literal["dunnett", "tukey"]


def critical_value(*, num_arms: int, family: Family, df: float, alpha: float, correlation: float = 0.5) -> float:
    """The value that |t| of a comparison must exceed for a family-wise error rate of alpha, two-sided.

    Args:
        num_arms: Number of arms. Two arms are a single comparison, which is not adjusted.
        family: `dunnett`: every variant against the control. `tukey`: all pairs.
        df: Degrees of freedom of the standard errors; inf for a normal limit.
        alpha: Family-wise error rate.
        correlation: Correlation of two comparisons with the control: 0.5 if all arms are equally noisy and equally
            correlated, more if the control is the noisiest.

    Raises:
        InvalidInput: There are fewer than two arms, there is no such family, or alpha or correlation is out of range.
    """
    if num_arms < 2:
        raise InvalidInput("a comparison needs at least two arms", field="arms", value=num_arms, bound="2 or more")
    if not 0 < alpha < 1:
        raise InvalidInput("alpha must be a probability", field="alpha", value=alpha, bound="above 0, below 1")
    if not 0 <= correlation < 1:
        raise InvalidInput(
            "not a valid correlation", field="correlation", value=correlation, bound="0 or more, below 1"
        )
    if num_arms == 2:
        return float(stats.norm.isf(alpha / 2) if math.isinf(df) else stats.t.isf(alpha / 2, df))
    if family == "dunnett":
        return DunnettDistribution.of_correlation(correlation, num_variants=num_arms - 1, df=df).critical(alpha)
    if family == "tukey":
        return StudentizedRange(num_arms, df).critical(alpha)
    raise InvalidInput("unknown family", field="family", value=family, bound="dunnett or tukey")
