"""Equivalence by two one-sided tests (TOST): whether a difference lies within a margin on both sides."""

import math
from dataclasses import dataclass

from scipy import stats

from assay.manifests.errors import InvalidInput


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of one difference (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15:657).

    The arms are equivalent if both p-values are at most the level of each test.

    Attributes:
        p_above: One-sided p-value that the difference is above minus the margin: the arm is not worse.
        p_below: One-sided p-value that it is below the margin.
    """

    p_above: float
    p_below: float


def tost_paired(estimate: float, std_error: float, df: float, *, margin: float) -> Equivalence:
    """Tests two paired arms for equivalence, from their mean difference.

    Args:
        estimate: The mean difference.
        std_error: Its standard error; cluster-robust if rows have clusters, 0 for a constant difference.
        df: Its degrees of freedom.
        margin: The smallest difference that would matter, above 0.

    Raises:
        InvalidInput: The margin is not above 0, or the standard error or the estimate is not a valid number.
    """
    if not (margin > 0 and math.isfinite(margin)):
        raise InvalidInput("the equivalence margin must be positive", field="margin", value=margin, bound="above 0")
    if not (std_error >= 0 and math.isfinite(std_error) and math.isfinite(estimate)):
        raise InvalidInput("not a valid standard error", field="std_error", value=std_error, bound="0 or more, finite")
    if std_error == 0:
        # A difference that does not vary is known exactly.
        return Equivalence(p_above=float(estimate <= -margin), p_below=float(estimate >= margin))
    return Equivalence(
        p_above=float(stats.t.sf((estimate + margin) / std_error, df)),
        p_below=float(stats.t.cdf((estimate - margin) / std_error, df)),
    )
