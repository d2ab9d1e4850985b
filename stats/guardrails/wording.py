"""Texts about guardrail results."""

from assay.manifests.comparison import Comparison
from assay.manifests.guardrail_result import GuardrailResult

_VERDICTS = {
    "non_inferior": "within",
    "breach": "beyond",
}


def summary(result: GuardrailResult, *, alpha: float) -> str:
    """One sentence: what was measured, where, and how it compares with the bound.

    Args:
        result: The result of one arm on one guardrail.
        alpha: One minus the level of its interval.
    """
    name = f"{'advisory ' * (result.severity == 'advisory')}guardrail {result.name}"
    where = f", in '{result.where}'" if result.kind == "segments" and result.where else ""
    small = f"; not judged: {', '.join(result.not_judged)}" if result.not_judged else ""
    if result.verdict == "not_testable":
        return f"{name}{where}: not testable, {result.comparison.not_testable or 'it has no interval'}{small}"
    if result.kind == "suspicious_improvement":
        measured = f"{result.metric} {result.comparison.estimate:+.4g}"
        is_more = result.verdict == "breach"
        bound = f"{abs(result.bound):.4g}"
        return f"{name}: {measured}, " + (f"more than {bound}: too good to be true" if is_more else f"at most {bound}")
    if result.kind == "segments" and result.verdict == "non_inferior":
        gain = (result.comparison.estimate or 0.0) * (1 if result.direction == "higher" else -1)
        judged = "better" if gain > 0 else "worse" if gain < 0 else "equal to the control"
        closest = f"the segment closest to that limit is '{result.where}', where the arm is {judged}"
        measured = with_interval(f"{closest}: difference", result.comparison, alpha=alpha)
        return f"{name}: {_conclusion(result)} in all {len(result.parts)} segments; {measured}{small}"
    return f"{_measured(name + where, result, alpha=alpha)}: {_conclusion(result)}{small}"


def remedy(result: GuardrailResult) -> str:
    """What to do about a guardrail that could not be tested."""
    match result.kind:
        case "latency":
            return f"find out why guardrail {result.name} could not be timed, then run it again"
        case "size":
            return f"remove guardrail {result.name}, or use variants that have this size"
        case "segments" | "group_gap" | "selection_ratio" if not result.parts:
            return f"provide more rows of each group for guardrail {result.name}, or lower its minimum_rows"
        case _:
            return "provide scores that can be tested"


def with_interval(metric: str, comparison: Comparison, *, alpha: float) -> str:
    """An estimate with its interval, such as `accuracy +0.024, 95 % interval [+0.012, +0.036]`."""
    low, high = comparison.ci_low, comparison.ci_high
    assert low is not None
    assert high is not None
    level = f"{100 * (1 - alpha):.4g} %"
    return f"{metric} {comparison.estimate:+.4g}, {level} interval [{low:+.4g}, {high:+.4g}]"


def _measured(name: str, result: GuardrailResult, *, alpha: float) -> str:
    comparison = result.comparison
    low, high = comparison.ci_low, comparison.ci_high
    if result.kind == "segments":
        measured = with_interval(f"{name}: difference", comparison, alpha=alpha)
        return f"{measured} (corrected for the number of segments)" if result.verdict == "breach" else measured
    if result.kind == "group_gap":
        means = ", ".join(f"{part.name} {part.estimate:.4g}" for part in result.parts)
        compared = with_interval(f"{name}: difference from the control's gap", comparison, alpha=alpha)
        return f"{compared} ({result.metric} of '{comparison.arm}' by group: {means})"
    if result.scale == "difference":
        return with_interval(f"{name}: difference", comparison, alpha=alpha)
    of_control = " times the control's" if comparison.reference else f" of {result.where}"
    if low == high:
        return f"{name} {comparison.estimate:.4g}{of_control}"
    return f"{name} {comparison.estimate:.4g}{of_control}, {100 * (1 - alpha):.4g} % interval [{low:.4g}, {high:.4g}]"


def _conclusion(result: GuardrailResult) -> str:
    bound = f"{abs(result.bound):.4g}"
    if result.verdict == "undecided":
        if result.scale == "ratio":
            return f"the ratio may be {'below' if result.direction == 'higher' else 'above'} {bound}"
        if result.kind == "group_gap":
            return f"the gap may be more than {bound} wider than the control's"
        return f"it may be worse by more than {bound}"
    return f"{_VERDICTS[result.verdict]} its {'ratio' if result.scale == 'ratio' else 'margin'} of {bound}"
