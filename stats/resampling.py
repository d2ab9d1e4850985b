"""The paired bootstrap: a metric of all arms in the same replicates of the rows, and comparisons made from them.

Axes: R rows, A arms, S sums that a metric is made of, B replicates, P pairs (arm, reference). Rows are taken in blocks of their given order, so give them in the canonical order: then the same rows give
the same bits. Keys of clusters instead of rows resample whole clusters.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from manifests.errors import InvalidInput, did_you_mean
from stats import posthoc
from stats.errors import SamplesError
from stats.max_t import Pair
from stats.moments import Floats
from stats.results import Comparison
from stats.row_weights import Keys, poisson_weights

SumsMetric = Callable[[Floats], Floats]
"""From sums over rows (... x A x S) to the metric (... x A)."""
WeightsMetric = Callable[[Floats], Floats]
"""From weights of the rows (R) to the metric of every arm (A)."""

MAX_SHARE_UNDEFINED = 0.01
"""Replicates in which a metric is undefined, such as recall without a positive row; beyond this nothing is said."""

_BLOCK_NUM_ROWS = 4096
_BLOCK_NUM_REPLICATES = 512
_WEIGHTED_NUM_REPLICATES = 16


@dataclass(frozen=True, eq=False)
class Replicates:
    """A metric of all arms, and what it is in replicates of the rows.

    Attributes:
        estimate_A: The metric on the rows as they are.
        replicates_BA: The metric in each replicate; the same replicate resamples all arms together.
        num_undefined: Replicates left out because the metric is undefined for some arm.
    """

    estimate_A: Floats
    replicates_BA: Floats
    num_undefined: int = 0

    @classmethod
    def of(cls, estimate_A: Floats, replicates_BA: Floats) -> "Replicates":
        """Leaves out replicates in which the metric of an arm is undefined (NaN)."""
        defined_B = np.isfinite(replicates_BA).all(axis=1)
        return cls(estimate_A, replicates_BA[defined_B], int((~defined_B).sum()))

    @property
    def covariance_AA(self) -> Floats:
        """Bootstrap covariance of the arms' estimates."""
        return np.atleast_2d(np.cov(self.replicates_BA, rowvar=False))

    @property
    def unusable(self) -> str | None:
        """Why nothing can be inferred, or None."""
        total = len(self.replicates_BA) + self.num_undefined
        if not np.isfinite(self.estimate_A).all():
            return "the metric is undefined on the rows as they are"
        if self.num_undefined > MAX_SHARE_UNDEFINED * total:
            return f"the metric is undefined in {self.num_undefined} of {total} replicates: too few rows of one kind"
        return None


def bootstrap_sums(
    statistics_RAS: Floats, metric: SumsMetric, *, keys_R: Keys, num_replicates: int = 10_000, seed: int = 0
) -> Replicates:
    """Paired bootstrap of a metric that is a function of sums over rows: F1, BLEU, word error rate, ratios.

    Koehn 2004 (EMNLP); Berg-Kirkpatrick, Burkett & Klein 2012 (EMNLP). Rows weigh Poisson(1) each (row_weights).

    Args:
        statistics_RAS: What each row adds to each arm's sums.
        metric: The metric of sums; must accept leading axes, and answer NaN where it is undefined.
        keys_R: Keys of the rows, or of their clusters.
        num_replicates: Replicates; 10,000 give a p-value of 0.05 within 0.004.
        seed: Another seed, another set of replicates.
    """
    num_rows, num_arms, num_sums = statistics_RAS.shape
    check_keys(keys_R, num_rows)
    flat_RS = statistics_RAS.reshape(num_rows, num_arms * num_sums)
    sums_BS = np.zeros((num_replicates, flat_RS.shape[1]))
    for first, count, rows in blocks(num_rows, num_replicates):
        weights_BR = poisson_weights(keys_R[rows], first=first, num_replicates=count, seed=seed)
        sums_BS[first : first + count] += weights_BR.astype(np.float64) @ flat_RS[rows]
    with np.errstate(all="ignore"):
        estimate_A = metric(flat_RS.sum(axis=0).reshape(num_arms, num_sums))
        replicates_BA = metric(sums_BS.reshape(num_replicates, num_arms, num_sums))
    return Replicates.of(estimate_A, replicates_BA)


def bootstrap_weighted(
    metric: WeightsMetric, *, keys_R: Keys, num_replicates: int = 2_000, seed: int = 0
) -> Replicates:
    """Paired bootstrap of any metric that can weigh its rows, such as calibration error.

    Args:
        metric: The metric of every arm for given weights of the rows.
        keys_R: Keys of the rows, or of their clusters.
        num_replicates: Replicates; the metric is computed once for each.
        seed: Another seed, another set of replicates.
    """
    replicates = []
    with np.errstate(all="ignore"):
        estimate_A = metric(np.ones(len(keys_R)))
        for first in range(0, num_replicates, _WEIGHTED_NUM_REPLICATES):
            count = min(_WEIGHTED_NUM_REPLICATES, num_replicates - first)
            weights_BR = poisson_weights(keys_R, first=first, num_replicates=count, seed=seed)
            replicates += [metric(weights_R.astype(np.float64)) for weights_R in weights_BR]
    return Replicates.of(np.asarray(estimate_A, dtype=np.float64), np.array(replicates, dtype=np.float64))


def comparisons(
    replicates: Replicates,
    *,
    arms: Sequence[str],
    control: str,
    family: str,
    alpha: float,
    method: str = "bootstrap_max_t",
) -> tuple[Comparison, ...]:
    """All comparisons of a family from one set of replicates, with simultaneous intervals.

    The largest |theta* - theta| / se over the family is compared with its replicates (single-step; Romano & Wolf
    2005, Econometrica 73:1237): the interval is theta -+ its 1 - alpha quantile times se, the adjusted p-value the
    share of replicates that are at least as large as |theta| / se, plus one in numerator and denominator.

    Args:
        replicates: The metric and its replicates.
        arms: Names on the axis A.
        control: Name of the control.
        family: `dunnett` or `tukey`.
        alpha: Family-wise error rate, two-sided.
        method: What the method is called in the answer.
    """
    pairs = pairs_named(arms, control=control, family=family)
    if reason := replicates.unusable:
        return tuple(
            untestable(arms[i], arms[j], difference(replicates.estimate_A, (i, j)), method=method, reason=reason)
            for i, j in pairs
        )
    arm_P, reference_P = np.array(pairs, dtype=np.intp).T
    estimate_P = replicates.estimate_A[arm_P] - replicates.estimate_A[reference_P]
    # theta* - theta pair by pair: for equal arms exactly 0 in every replicate
    deviation_BP = (replicates.replicates_BA[:, arm_P] - replicates.replicates_BA[:, reference_P]) - estimate_P
    std_error_P = deviation_BP.std(axis=0, ddof=1)
    scale = np.abs(replicates.replicates_BA).max()
    std_error_P[std_error_P <= 1e-14 * scale] = 0.0
    varying_P = std_error_P > 0
    ratio_BP = np.abs(deviation_BP[:, varying_P]) / std_error_P[varying_P]
    largest_B = ratio_BP.max(axis=1) if varying_P.any() else np.zeros(len(deviation_BP))
    critical = upper_quantile(largest_B, alpha)
    column_P = np.cumsum(varying_P) - 1
    found = []
    for index, (arm, reference) in enumerate(pairs):
        estimate, std_error = float(estimate_P[index]), float(std_error_P[index])
        names = arms[arm], arms[reference]
        if std_error == 0:
            found.append(posthoc.without_variance(*names, estimate, rounding=1e-14 * scale, df=None, method=method))
            continue
        statistic = estimate / std_error
        found.append(
            Comparison(
                arm=names[0],
                reference=names[1],
                estimate=estimate,
                std_error=std_error,
                statistic=statistic,
                df=None,
                p_value=share_beyond(ratio_BP[:, column_P[index]], statistic),
                p_adjusted=share_beyond(largest_B, statistic),
                ci_low=estimate - critical * std_error,
                ci_high=estimate + critical * std_error,
                method=method,
            )
        )
    return tuple(found)


def percentile_interval(replicates: Replicates, arm: int, *, alpha: float) -> tuple[float, float] | None:
    """Percentile interval of one arm's own metric; None where replicates are unusable."""
    if replicates.unusable:
        return None
    low, high = np.quantile(replicates.replicates_BA[:, arm], [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def pairs_named(arms: Sequence[str], *, control: str, family: str) -> tuple[Pair, ...]:
    """The pairs of a family, by the control's name.

    Raises:
        InvalidInput: The control is no arm, or there is nothing to compare.
    """
    if control not in arms:
        raise InvalidInput(
            "the control is no arm", field="control", value=control, remedy=did_you_mean(control, list(arms))
        )
    if len(arms) < 2:
        raise InvalidInput("one arm has nothing to be compared with", field="arms", value=len(arms), bound="2 or more")
    return posthoc.pairs_of(len(arms), control=list(arms).index(control), family=family)


def blocks(num_rows: int, num_replicates: int) -> Iterator[tuple[int, int, slice]]:
    """First replicate, number of replicates and rows of each block. Blocks depend on the numbers alone."""
    for start in range(0, num_rows, _BLOCK_NUM_ROWS):
        for first in range(0, num_replicates, _BLOCK_NUM_REPLICATES):
            count = min(_BLOCK_NUM_REPLICATES, num_replicates - first)
            yield first, count, slice(start, min(start + _BLOCK_NUM_ROWS, num_rows))


def share_beyond(null_B: Floats, statistic: float, *, exact: bool = False) -> float:
    """Share of replicates at least as large; what was observed is one of them (Phipson & Smyth 2010)."""
    beyond = int((null_B >= abs(statistic) * (1 - 1e-9)).sum())
    return beyond / len(null_B) if exact else (1 + beyond) / (1 + len(null_B))


def upper_quantile(values_B: Floats, alpha: float) -> float:
    """The value that a share of at most alpha of the replicates exceeds."""
    return float(np.quantile(values_B, 1 - alpha, method="higher"))


def difference(estimate_A: Floats, pair: Pair) -> float:
    """Arm minus reference."""
    return float(estimate_A[pair[0]] - estimate_A[pair[1]])


def untestable(arm: str, reference: str, estimate: float, *, method: str, reason: str) -> Comparison:
    """A comparison that has an estimate at most, and why."""
    return Comparison(
        arm=arm,
        reference=reference,
        estimate=estimate if np.isfinite(estimate) else None,
        std_error=None,
        statistic=None,
        df=None,
        p_value=None,
        p_adjusted=None,
        ci_low=None,
        ci_high=None,
        method=method,
        not_testable=reason,
    )


def check_keys(keys_R: Keys, num_rows: int) -> None:
    """Raises SamplesError unless every row has a key."""
    if len(keys_R) != num_rows:
        raise SamplesError("keys and rows differ in number", field="keys_R", value=len(keys_R), bound=f"{num_rows}")
