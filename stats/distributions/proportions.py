"""Two proportions: tests and intervals of their difference, paired and unpaired.

For paired rows, `b` counts those on which only the first arm scores 1, `c` those on which only the second does. The
difference is always first minus second, so `(b - c) / num_rows` if paired.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import optimize, stats
from statsmodels.stats.proportion import confint_proportions_2indep

from assay.manifests.errors import InvalidInput
from assay.stats.distributions.error_rate import check_alpha


@dataclass(frozen=True)
class NonInferiority:
    """A one-sided test of whether a difference is larger than minus the margin.

    Attributes:
        statistic: The score z.
        p_value: One-sided p-value; small means that the first arm is not worse by the margin or more.
    """

    statistic: float
    p_value: float


def mcnemar_midp(b: int, c: int) -> float:
    """Two-sided mid-p value of McNemar's test; 1 without discordant rows.

    Fagerland, Lydersen & Laake 2013, BMC Medical Research Methodology 13:91, equation 8: the two-sided exact p-value
    minus half the probability of the observed table on each side.

    Raises:
        InvalidInput: A count is negative.
    """
    _check_counts(b, c, None)
    if b == c:
        return 1.0
    low, total = min(b, c), b + c
    return min(1.0, float(2 * stats.binom.cdf(low, total, 0.5) - stats.binom.pmf(low, total, 0.5)))


def tango_interval(b: int, c: int, *, num_rows: int, alpha: float) -> tuple[float, float]:
    """Score interval of the paired difference of proportions at level 1 - alpha.

    Tango 1998, Statistics in Medicine 17:891. Without discordant rows it is not [0, 0]: it extends
    `z^2 / (num_rows + z^2)` to both sides, as `num_rows` concordant rows allow.

    Raises:
        InvalidInput: Counts contradict each other, or alpha is not between 0 and 1.
    """
    _check_counts(b, c, num_rows)
    check_alpha(alpha)
    z = float(stats.norm.isf(alpha / 2))
    estimate = (b - c) / num_rows
    low = (
        -1.0 if c == num_rows else _crossing(lambda d: tango_z(b, c, num_rows=num_rows, difference=d) - z, estimate, -1)
    )
    high = (
        1.0 if b == num_rows else _crossing(lambda d: tango_z(b, c, num_rows=num_rows, difference=d) + z, estimate, 1)
    )
    return low, high


def tango_z(b: int, c: int, *, num_rows: int, difference: float) -> float:
    """Tango's score statistic for the hypothesis that the true difference is `difference`, in which it decreases."""
    if difference < 0:  # mirrored, because here the root below would cancel
        return -tango_z(c, b, num_rows=num_rows, difference=-difference)
    n, d = num_rows, difference
    residual = b - c - n * d
    linear = -b - c + (2 * n - b + c) * d
    # Restricted maximum likelihood of the second cell: the larger root of 2n q^2 + linear q - c d (1 - d) = 0.
    root = math.sqrt(linear * linear + 8 * n * c * d * (1 - d))
    q = (root - linear) / (4 * n) if linear <= 0 else 2 * c * d * (1 - d) / (root + linear)
    variance = n * (2 * q + d * (1 - d))
    if variance <= 0:
        return 0.0 if residual == 0 else math.copysign(math.inf, residual)
    return residual / math.sqrt(variance)


def tango_noninferiority(b: int, c: int, *, num_rows: int, margin: float) -> NonInferiority:
    """Score test of whether the first arm is not worse than the second by `margin` (Tango 1998, section 2).

    Args:
        b: Rows on which only the first arm scores 1.
        c: Rows on which only the second arm scores 1.
        num_rows: Number of rows.
        margin: The margin, in [0, 1).

    Raises:
        InvalidInput: Counts contradict each other, or the margin is out of range.
    """
    _check_counts(b, c, num_rows)
    _check_margin(margin)
    z = tango_z(b, c, num_rows=num_rows, difference=-margin)
    return NonInferiority(z, float(stats.norm.sf(z)))


def newcombe_interval(
    successes: int, num_rows: int, *, successes_reference: int, num_rows_reference: int, alpha: float
) -> tuple[float, float]:
    """Interval of the difference of two independent proportions, from their Wilson intervals.

    Newcombe 1998, Statistics in Medicine 17:873, method 10.

    Raises:
        InvalidInput: There are more successes than rows, or alpha is not between 0 and 1.
    """
    _check_successes(successes, num_rows)
    _check_successes(successes_reference, num_rows_reference)
    check_alpha(alpha)
    low, high = confint_proportions_2indep(
        successes, num_rows, successes_reference, num_rows_reference, method="newcomb", compare="diff", alpha=alpha
    )
    return float(low), float(high)


def _crossing(excess: Callable[[float], float], estimate: float, side: int) -> float:
    """The zero of a decreasing function between the estimate and the end of [-1, 1] on one side."""
    end = float(side)
    if estimate == end:
        return end
    return float(optimize.brentq(excess, min(estimate, end), max(estimate, end), xtol=1e-14, rtol=1e-14))


def _check_counts(b: int, c: int, num_rows: int | None) -> None:
    if b < 0 or c < 0:
        raise InvalidInput("a count of rows is negative", field="b, c", value=(b, c), bound="0 or more")
    if num_rows is not None and (num_rows < 1 or b + c > num_rows):
        raise InvalidInput(
            "more discordant rows than rows", field="num_rows", value=num_rows, bound=f"at least {max(b + c, 1)}"
        )


def _check_successes(successes: int, num_rows: int) -> None:
    if num_rows < 1 or not 0 <= successes <= num_rows:
        raise InvalidInput(
            "not a valid count of successes", field="successes", value=successes, bound=f"0 to num_rows = {num_rows}"
        )


def _check_margin(margin: float) -> None:
    if not 0 <= margin < 1:
        raise InvalidInput(
            "not a valid margin for proportions", field="margin", value=margin, bound="0 or more, below 1"
        )
