"""The check for an improvement that is too good to be true, by the estimate only: it does not need to be proven."""

from collections.abc import Sequence

from assay.manifests.comparison import Comparison
from assay.manifests.guardrail_result import GuardrailResult
from assay.manifests.plan import Plan


def suspicious_improvements(
    comparisons: Sequence[Comparison], plan: Plan, *, metric: str
) -> tuple[GuardrailResult, ...]:
    """The results of each arm's estimate against the bounds of the plan's guardrails of this kind.

    Args:
        comparisons: The family's comparisons on the primary metric.
        plan: The plan, for its guardrails, control and direction.
        metric: The primary metric's name.
    """
    sign = 1.0 if plan.direction == "higher" else -1.0
    return tuple(
        GuardrailResult(
            name=rule.name,
            kind=rule.kind,
            severity=rule.severity,
            metric=metric,
            direction="lower" if plan.direction == "higher" else "higher",
            scale="difference",
            bound=sign * rule.max_improvement,
            comparison=comparison,
            verdict="not_testable"
            if comparison.estimate is None
            else "breach"
            if sign * comparison.estimate > rule.max_improvement
            else "non_inferior",
        )
        for rule in plan.guardrails
        if rule.kind == "suspicious_improvement"
        for comparison in comparisons
        if comparison.reference == plan.control
    )
