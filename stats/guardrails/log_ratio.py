"""Comparisons of logarithms as comparisons of ratios."""

import math

from assay.manifests.comparison import Comparison


def exponentiated(comparison: Comparison) -> Comparison:
    """A comparison of logarithms as one of ratios; only the estimate and its interval remain meaningful."""
    return comparison.model_copy(
        update={
            "estimate": _exp(comparison.estimate),
            "ci_low": _exp(comparison.ci_low),
            "ci_high": _exp(comparison.ci_high),
            "std_error": None,
            "statistic": None,
            "p_value": None,
            "p_adjusted": None,
        }
    )


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(value)
