"""Comparisons of unpaired arms: Tukey HSD, Games-Howell, Dunnett, Welch t with Holm.

Axes: A arms, P pairs (index of the arm, index of its reference). Differences are arm minus reference. All intervals
are simultaneous over the family.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from assay.manifests.comparison import Comparison
from assay.manifests.errors import InvalidInput
from assay.stats.comparisons import degenerate
from assay.stats.comparisons.family import holm, pairs_named
from assay.stats.distributions.dunnett import DunnettDistribution
from assay.stats.distributions.max_t import Pair
from assay.stats.distributions.studentized_range import StudentizedRange
from assay.stats.errors import SamplesError
from assay.stats.moments.moments import Floats, moments_of
from assay.stats.moments.score_range import finite


@dataclass(frozen=True, eq=False)
class _Arms:
    names: tuple[str, ...]
    num_rows_A: Floats
    offset_A: Floats
    variance_A: Floats
    rounding: float

    @property
    def pooled_df(self) -> float:
        return float(self.num_rows_A.sum() - len(self.names))

    @property
    def pooled_variance(self) -> float:
        return float(((self.num_rows_A - 1) * self.variance_A).sum()) / self.pooled_df


def tukey_hsd(
    groups: Sequence[ArrayLike], names: Sequence[str], *, control: str, alpha: float, family: str = "tukey"
) -> tuple[Comparison, ...]:
    """Tukey's HSD with Kramer's standard errors (1956): all pairs; assumes equal variances.

    Args:
        groups: Scores of each arm on its own rows: finite, at least two rows.
        names: Names of the arms.
        control: Name of the control, whose pairs come first.
        alpha: Family-wise error rate, two-sided.
        family: `tukey`, or `dunnett` to return the control's pairs only (p-values remain adjusted for all pairs).

    Raises:
        InvalidInput: The control is not an arm, or there are fewer than two arms.
        SamplesError: An arm has fewer than two rows, or a score is not finite.
    """
    arms = _arms(groups, names)
    pairs = pairs_named(arms.names, control=control, family=family)
    pooled_P = np.array([arms.pooled_variance * (1 / arms.num_rows_A[i] + 1 / arms.num_rows_A[j]) for i, j in pairs])
    df_P = np.full(len(pairs), arms.pooled_df)
    return _studentized(arms, pairs, pooled_P, df_P, alpha=alpha, method="tukey_hsd")


def games_howell(
    groups: Sequence[ArrayLike], names: Sequence[str], *, control: str, alpha: float, family: str = "tukey"
) -> tuple[Comparison, ...]:
    """Games & Howell (1976, J. Educ. Stat. 1:113): all pairs, each with its own variances and Welch's df.

    Arguments and errors as in `tukey_hsd`.
    """
    arms = _arms(groups, names)
    pairs = pairs_named(arms.names, control=control, family=family)
    variance_P, df_P = _welch(arms, pairs)
    return _studentized(arms, pairs, variance_P, df_P, alpha=alpha, method="games_howell")


def dunnett(
    groups: Sequence[ArrayLike], names: Sequence[str], *, control: str, alpha: float, family: str = "dunnett"
) -> tuple[Comparison, ...]:
    """Dunnett's test (1955, JASA 50:1096): every variant against the control; assumes equal variances.

    Arguments and errors as in `tukey_hsd`. Nothing is simulated: the same scores give the same bits.

    Raises:
        InvalidInput: The family is not `dunnett`.
    """
    if family != "dunnett":
        raise InvalidInput(
            "Dunnett's test compares variants with the control only",
            field="posthoc",
            value=f"dunnett with family {family}",
            remedy="set family: dunnett, or posthoc: tukey_hsd",
        )
    arms = _arms(groups, names)
    pairs = pairs_named(arms.names, control=control, family=family)
    variants = [int(arms.num_rows_A[i]) for i, _ in pairs]
    largest = DunnettDistribution.of_sizes(
        variants, num_rows_control=int(arms.num_rows_A[pairs[0][1]]), df=arms.pooled_df
    )
    critical = largest.critical(alpha)
    variance_P = [arms.pooled_variance * (1 / arms.num_rows_A[i] + 1 / arms.num_rows_A[j]) for i, j in pairs]
    return tuple(
        _comparison(
            arms, pair, variance, df=arms.pooled_df, p_adjusted=largest.p_adjusted, critical=critical, method="dunnett"
        )
        for pair, variance in zip(pairs, variance_P, strict=True)
    )


def welch_t_holm(
    groups: Sequence[ArrayLike], names: Sequence[str], *, control: str, alpha: float, family: str = "dunnett"
) -> tuple[Comparison, ...]:
    """Welch's t per pair, with p-values by Holm and intervals by Bonferroni.

    Holm's procedure has no two-sided simultaneous intervals. Bonferroni's are simultaneous and never contradict it in
    the dangerous direction: an interval that excludes 0 implies an adjusted p-value below alpha. Conversely, Holm may
    reject although the interval still contains 0. A single pair gets Welch's t-test with its own interval.

    Arguments and errors as in `tukey_hsd`.
    """
    arms = _arms(groups, names)
    pairs = pairs_named(arms.names, control=control, family=family)
    variance_P, df_P = _welch(arms, pairs)
    method = "welch_t" if len(pairs) == 1 else "welch_t_holm"
    comparisons = []
    for pair, variance, df in zip(pairs, variance_P.tolist(), df_P.tolist(), strict=True):
        critical = float(stats.t.isf(alpha / 2 / len(pairs), df))
        comparisons.append(
            _comparison(arms, pair, variance, df=df, p_adjusted=_unadjusted(df), critical=critical, method=method)
        )
    return holm(comparisons, method)


def _studentized(
    arms: _Arms, pairs: Sequence[Pair], variance_P: Floats, df_P: Floats, *, alpha: float, method: str
) -> tuple[Comparison, ...]:
    largest = {df: StudentizedRange(len(arms.names), df) for df in set(df_P.tolist())}
    critical = {df: largest[df].critical(alpha) for df in largest}
    return tuple(
        _comparison(
            arms, pair, variance, df=df, p_adjusted=largest[df].p_adjusted, critical=critical[df], method=method
        )
        for pair, variance, df in zip(pairs, variance_P.tolist(), df_P.tolist(), strict=True)
    )


def _comparison(
    arms: _Arms,
    pair: Pair,
    variance: float,
    *,
    df: float,
    p_adjusted: Callable[[float], float],
    critical: float,
    method: str,
) -> Comparison:
    estimate = float(arms.offset_A[pair[0]] - arms.offset_A[pair[1]])
    if variance == 0:
        names = arms.names[pair[0]], arms.names[pair[1]]
        return degenerate.without_variance(*names, estimate, rounding=arms.rounding, df=None, method=method)
    std_error = float(np.sqrt(variance))
    statistic = estimate / std_error
    return Comparison(
        arm=arms.names[pair[0]],
        reference=arms.names[pair[1]],
        estimate=estimate,
        std_error=std_error,
        statistic=statistic,
        df=df,
        p_value=float(2 * special.stdtr(df, -abs(statistic))),
        p_adjusted=p_adjusted(statistic),
        ci_low=estimate - critical * std_error,
        ci_high=estimate + critical * std_error,
        method=method,
    )


def _welch(arms: _Arms, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    """Variances of the differences, and Satterthwaite's degrees of freedom."""
    share_A = arms.variance_A / arms.num_rows_A
    variance_P = np.array([share_A[i] + share_A[j] for i, j in pairs])
    df_P = np.ones(len(pairs))
    for index, (i, j) in enumerate(pairs):
        if variance_P[index] > 0:  # in units of the variance, whose square may underflow
            part_2 = share_A[[i, j]] / variance_P[index]
            df_P[index] = 1 / (part_2**2 / (arms.num_rows_A[[i, j]] - 1)).sum()
    return variance_P, df_P


def _arms(groups: Sequence[ArrayLike], names: Sequence[str]) -> _Arms:
    if len(groups) != len(names) or len(groups) < 2:
        raise InvalidInput(
            "a comparison needs at least two arms, and one name per arm",
            field="arms",
            value=f"{len(groups)} groups, {len(names)} names",
        )
    arrays = [finite(values, place=f"arm '{name}'") for values, name in zip(groups, names, strict=True)]
    for values, name in zip(arrays, names, strict=True):
        if len(values) < 2:
            raise SamplesError(
                "an arm has too few rows to estimate its variance",
                place=f"arm '{name}'",
                value=len(values),
                bound="at least 2 rows",
            )
    moments = [moments_of(values[:, None], arms=(name,), control=0) for values, name in zip(arrays, names, strict=True)]
    base = moments[0].shift_Y[0]
    return _Arms(
        names=tuple(names),
        num_rows_A=np.array([arm.num_rows for arm in moments], dtype=np.float64),
        # relative to one common shift, so differences of means lose no precision to an offset that all scores share
        offset_A=np.array([(arm.shift_Y[0] - base) + arm.offset_Y[0] for arm in moments]),
        variance_A=np.array([arm.covariance_AA[0, 0] for arm in moments]),
        rounding=max(arm.rounding for arm in moments),
    )


def _unadjusted(df: float) -> Callable[[float], float]:
    return lambda statistic: float(2 * special.stdtr(df, -abs(statistic)))
