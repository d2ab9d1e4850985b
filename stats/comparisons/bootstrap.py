"""The paired bootstrap: a metric of all arms on the same replicates of the rows, and comparisons from these.

Axes: R rows, A arms, S sums that a metric is a function of, B replicates, P pairs (arm, reference).
Rows are processed in blocks of their given order; in the canonical order, the same rows give the same bits. Keys of
clusters instead of rows resample whole clusters.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.manifests.comparison import Comparison
from assay.stats.comparisons import degenerate
from assay.stats.comparisons.family import pairs_named
from assay.stats.distributions.max_t import Pair
from assay.stats.errors import SamplesError
from assay.stats.moments.bootstrap_weights import Keys, poisson_weights
from assay.stats.moments.moments import Floats

SumsMetric = Callable[[Floats], Floats]
"""Maps sums over rows (... x A x S) to the metric (... x A)."""

MAX_SHARE_UNDEFINED = 0.01
"""Largest share of replicates with an undefined metric, such as recall without a positive row; more is untestable."""

_BLOCK_NUM_ROWS = 4096
_BLOCK_NUM_REPLICATES = 512


@dataclass(frozen=True, eq=False)
class Replicates:
    """A metric of all arms, on the rows and on bootstrap replicates of them.

    Attributes:
        estimate_A: The metric on the rows.
        replicates_BA: The metric on each replicate; a replicate resamples all arms together.
        num_undefined: Number of replicates left out because the metric is undefined for some arm.
    """

    estimate_A: Floats
    replicates_BA: Floats
    num_undefined: int = 0

    @classmethod
    def of(cls, estimate_A: Floats, replicates_BA: Floats) -> "Replicates":
        """Builds replicates without those in which the metric of an arm is undefined (NaN)."""
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
            return "the metric is undefined on these rows"
        if self.num_undefined > MAX_SHARE_UNDEFINED * total:
            return f"the metric is undefined in {self.num_undefined} of {total} replicates: too few rows of some class"
        return None


def bootstrap_sums(
    statistics_RAS: Floats, metric: SumsMetric, *, keys_R: Keys, num_replicates: int = 10_000, seed: int = 0
) -> Replicates:
    """Paired bootstrap of a metric that is a function of sums over rows: F1, BLEU, word error rate, ratios.

    Koehn 2004 (EMNLP); Berg-Kirkpatrick, Burkett & Klein 2012 (EMNLP). Rows have Poisson(1) weights (bootstrap_weights).

    Args:
        statistics_RAS: The contribution of each row to each arm's sums.
        metric: The metric as a function of sums; must accept leading axes and return NaN where it is undefined.
        keys_R: Keys of the rows, or of their clusters.
        num_replicates: Number of replicates; 10,000 give a p-value of 0.05 within 0.004.
        seed: Seed of the replicates.

    Raises:
        SamplesError: The number of keys differs from the number of rows.
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

    Single-step max-T (Romano & Wolf 2005, Econometrica 73:1237) from the largest |theta* - theta| / se over the family
    in each replicate: the interval is theta -+ its 1 - alpha quantile times se, the adjusted p-value the share of
    replicates that are at least as large as |theta| / se, plus one in numerator and denominator.

    Args:
        replicates: The metric and its replicates.
        arms: Names on the axis A.
        control: Name of the control.
        family: `dunnett` or `tukey`.
        alpha: Family-wise error rate, two-sided.
        method: Name of the method in the result.

    Raises:
        InvalidInput: The control is not an arm, or there are fewer than two arms.
    """
    pairs = pairs_named(arms, control=control, family=family)
    if reason := replicates.unusable:
        return tuple(
            degenerate.untestable(
                arms[i],
                arms[j],
                method=method,
                reason=reason,
                estimate=difference(replicates.estimate_A, (i, j)),
            )
            for i, j in pairs
        )
    arm_P, reference_P = np.array(pairs, dtype=np.intp).T
    estimate_P = replicates.estimate_A[arm_P] - replicates.estimate_A[reference_P]
    # theta* - theta for each pair: exactly 0 in every replicate if the arms are equal
    deviation_BP = (replicates.replicates_BA[:, arm_P] - replicates.replicates_BA[:, reference_P]) - estimate_P
    std_error_P = deviation_BP.std(axis=0, ddof=1)
    rounding = 1e-14 * float(np.abs(replicates.replicates_BA).max())
    std_error_P[std_error_P <= rounding] = 0.0
    varying_P = std_error_P > 0
    null_BP = np.zeros_like(deviation_BP)
    null_BP[:, varying_P] = np.abs(deviation_BP[:, varying_P]) / std_error_P[varying_P]
    names = [(arms[i], arms[j]) for i, j in pairs]
    return simulated_max_t(
        PairEstimates(names, estimate_P, std_error_P, rounding),
        null_BP,
        critical=upper_quantile(null_BP.max(axis=1), alpha),
        method=method,
    )


@dataclass(frozen=True, eq=False)
class PairEstimates:
    """Differences between arms on the original rows.

    Attributes:
        names: Arm and reference of each pair.
        estimate_P: Differences.
        std_error_P: Their standard errors; exactly 0 for a difference that does not vary.
        rounding: A difference without variance counts as 0 if it is no larger than this.
        rows_vary_P: Whether the difference varies over rows, even if no cluster total does.
    """

    names: Sequence[tuple[str, str]]
    estimate_P: Floats
    std_error_P: Floats
    rounding: float
    rows_vary_P: NDArray[np.bool_] | None = None


def simulated_max_t(
    pairs: PairEstimates, null_BP: Floats, *, critical: float, method: str, exact: bool = False
) -> tuple[Comparison, ...]:
    """Single-step max-T comparisons from replicates of |t| under the null.

    Args:
        pairs: Differences and their standard errors.
        null_BP: |t| of each pair in each replicate; 0 for a difference that does not vary.
        critical: Half the width of an interval in standard errors.
        method: Name of the method in the result.
        exact: Whether the replicates enumerate the whole null distribution.
    """
    largest_B = null_BP.max(axis=1)
    results = []
    for index, pair in enumerate(pairs.names):
        estimate, std_error = float(pairs.estimate_P[index]), float(pairs.std_error_P[index])
        if std_error == 0:
            rows_vary = pairs.rows_vary_P is not None and bool(pairs.rows_vary_P[index])
            results.append(
                degenerate.without_variance(
                    *pair, estimate, rounding=pairs.rounding, df=None, method=method, rows_vary=rows_vary
                )
            )
            continue
        statistic = estimate / std_error
        results.append(
            Comparison(
                arm=pair[0],
                reference=pair[1],
                estimate=estimate,
                std_error=std_error,
                statistic=statistic,
                df=None,
                p_value=share_beyond(null_BP[:, index], statistic, exact=exact),
                p_adjusted=share_beyond(largest_B, statistic, exact=exact),
                ci_low=estimate - critical * std_error,
                ci_high=estimate + critical * std_error,
                method=method,
            )
        )
    return tuple(results)


def blocks(num_rows: int, num_replicates: int) -> Iterator[tuple[int, int, slice]]:
    """First replicate, number of replicates and rows of each block. Blocks depend only on the two numbers."""
    for start in range(0, num_rows, _BLOCK_NUM_ROWS):
        for first in range(0, num_replicates, _BLOCK_NUM_REPLICATES):
            count = min(_BLOCK_NUM_REPLICATES, num_replicates - first)
            yield first, count, slice(start, min(start + _BLOCK_NUM_ROWS, num_rows))


def share_beyond(null_B: Floats, statistic: float, *, exact: bool = False) -> float:
    """Share of replicates at least as large as |statistic|; the observed value counts as one (Phipson & Smyth 2010).

    With `exact`, the replicates already include the observed value.
    """
    beyond = int((null_B >= abs(statistic) * (1 - 1e-9)).sum())
    return beyond / len(null_B) if exact else (1 + beyond) / (1 + len(null_B))


def upper_quantile(values_B: Floats, alpha: float) -> float:
    """The value that at most a share alpha of the replicates exceeds."""
    return float(np.quantile(values_B, 1 - alpha, method="higher"))


def difference(estimate_A: Floats, pair: Pair) -> float:
    """Arm minus reference."""
    return float(estimate_A[pair[0]] - estimate_A[pair[1]])


def check_keys(keys_R: Keys, num_rows: int) -> None:
    """Raises SamplesError unless every row has a key."""
    if len(keys_R) != num_rows:
        raise SamplesError(
            "the number of keys differs from the number of rows", field="keys_R", value=len(keys_R), bound=f"{num_rows}"
        )
