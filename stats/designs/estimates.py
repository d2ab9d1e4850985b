"""Intervals of single arms in either design: of a mean, a proportion, a corpus metric."""

import math

import numpy as np
from scipy import special, stats
from statsmodels.stats.proportion import proportion_confint

from assay.manifests.comparison import ArmEstimate
from assay.manifests.errors import InvalidInput
from assay.stats.distributions.error_rate import check_alpha
from assay.stats.moments.arm_means import ArmMeans


def mean_interval(mean: float, std_error: float, df: float, alpha: float) -> tuple[float, float]:
    """Student's t interval of a mean at level 1 - alpha.

    Args:
        mean: The mean.
        std_error: Its standard error, 0 or more.
        df: Degrees of freedom of the standard error: n - 1, or clusters - 1; inf for a normal interval.
        alpha: One minus the level, two-sided.

    Raises:
        InvalidInput: Alpha, the standard error or the degrees of freedom are out of range.
    """
    check_alpha(alpha)
    if not (std_error >= 0 and math.isfinite(std_error)):
        raise InvalidInput("not a valid standard error", field="std_error", value=std_error, bound="0 or more, finite")
    if not df > 0:
        raise InvalidInput(
            "a single value has no interval", field="df", value=df, bound="above 0", remedy="give at least two rows"
        )
    half = float(stats.t.isf(alpha / 2, df)) * std_error
    return mean - half, mean + half


def wilson_interval(successes: int, num_rows: int, *, alpha: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22:209), without continuity correction.

    It stays within [0, 1] and does not collapse at 0 or 1: 0 of 20 gives (0, 0.161), where Wald's gives (0, 0).

    Raises:
        InvalidInput: There are more successes than rows, or alpha is not between 0 and 1.
    """
    check_alpha(alpha)
    if num_rows < 1 or not 0 <= successes <= num_rows:
        raise InvalidInput(
            "not a valid count of successes", field="successes", value=successes, bound=f"0 to num_rows = {num_rows}"
        )
    low, high = np.asarray(proportion_confint(successes, num_rows, alpha=alpha, method="wilson")).tolist()
    # At the ends, rounding would give 1e-17 instead of 0.
    return (0.0 if successes == 0 else low), (1.0 if successes == num_rows else high)


def arm_estimates(arms: ArmMeans, *, alpha: float, is_binary: bool) -> tuple[ArmEstimate, ...]:
    """Each arm's mean with its own interval: Wilson for 0/1 scores without clusters, else Student's t.

    The interval of a corpus metric between 0 and 1 is computed on the logit scale, where it cannot leave these bounds
    (Pepe 2003, The Statistical Evaluation of Medical Tests, section 5.2.4, for AUROC).
    """
    estimates = []
    suffix = "" if arms.num_clusters is None else "_cr1"
    for arm, mean, std_error, num_rows in zip(
        arms.arms, arms.arm_mean_A.tolist(), arms.arm_std_error_A.tolist(), arms.num_rows_A.tolist(), strict=True
    ):
        if is_binary and arms.num_clusters is None:
            method = "wilson"
            low, high = wilson_interval(round(mean * num_rows), num_rows, alpha=alpha)
        else:
            method = ("t" if arms.corpus is None else "jackknife_t") + suffix
            df = num_rows - 1 if arms.num_clusters is None else arms.df
            low, high = mean_interval(mean, std_error, df, alpha)
            if arms.corpus == "bounded" and 0 < mean < 1:
                method = "jackknife_logit_t" + suffix
                slope = mean * (1 - mean)
                low, high = special.expit(mean_interval(special.logit(mean), std_error / slope, df, alpha)).tolist()
        estimates.append(
            ArmEstimate(
                arm=arm,
                mean=mean,
                std_error=std_error,
                ci_low=low,
                ci_high=high,
                num_rows=num_rows,
                num_missing=0,
                method=method,
            )
        )
    return tuple(estimates)
