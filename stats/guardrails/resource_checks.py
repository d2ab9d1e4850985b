"""Resource guardrails: how long an arm takes and how large it is, as ratios to the control.

Times drift with the load of a host, so the arm and the control are timed in turn on the same batches in one slot, and
only the ratio is reported. Batches are resampled in pairs; the interval is that of a difference of logarithms.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.manifests.comparison import Comparison
from assay.manifests.guardrail import LatencyGuardrail, SizeGuardrail
from assay.manifests.guardrail_result import GuardrailResult
from assay.manifests.plan import Plan
from assay.stats.comparisons import bootstrap, degenerate
from assay.stats.comparisons.bootstrap import Replicates
from assay.stats.guardrails import latency_quantile, log_ratio
from assay.stats.guardrails.fieller import fieller_interval
from assay.stats.guardrails.guardrail_check import verdict_of
from assay.stats.moments.bootstrap_weights import row_keys
from assay.stats.samples.samples import Samples

Seconds = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LatencyCheck:
    """An arm's time relative to the control's, batch by batch.

    Attributes:
        rule: The plan's guardrail.
        pairs_s: Per arm, seconds of the control and the arm on the same batch in one slot, shape (batches, 2).
        problems: Per arm without times, the reason.
    """

    rule: LatencyGuardrail
    pairs_s: Mapping[str, Seconds]
    problems: Mapping[str, str]

    def check(self, plan: Plan, *, primary: Samples) -> tuple[GuardrailResult, ...]:
        """See `GuardrailCheck.check`."""
        return tuple(
            _ratio_result(self.rule, "latency", self._compared(arm, plan))
            for arm in primary.arms
            if arm != plan.control
        )

    def _compared(self, arm: str, plan: Plan) -> Comparison:
        method = "fieller" if self.rule.share_below is None else "paired_bootstrap_log"
        if arm not in self.pairs_s:
            reason = self.problems.get(arm, "it was not timed")
            return degenerate.untestable(arm, plan.control, method=method, reason=reason)
        pairs_s, needed = self.pairs_s[arm], self.rule.num_batches_needed
        if len(pairs_s) < needed:
            reason = f"{len(pairs_s)} batches were timed; {self.rule.quantity} needs {needed}"
            return degenerate.untestable(arm, plan.control, method=method, reason=reason)
        if self.rule.share_below is None:
            return _mean_ratio(pairs_s, arm, plan)
        return _quantile_ratio(pairs_s, self.rule.share_below, arm, plan)


def _mean_ratio(pairs_s: Seconds, arm: str, plan: Plan) -> Comparison:
    interval = fieller_interval(pairs_s[:, 1], pairs_s[:, 0], alpha=plan.alpha)
    ratio = float(pairs_s[:, 1].sum() / pairs_s[:, 0].sum())
    untested = degenerate.untestable(
        arm, plan.control, method="fieller", reason="the control's times vary too much", estimate=ratio
    )
    if interval is None:
        return untested
    return untested.model_copy(update={"ci_low": interval[0], "ci_high": interval[1], "not_testable": None})


def _quantile_ratio(pairs_s: Seconds, share_below: float, arm: str, plan: Plan) -> Comparison:
    quantiles = latency_quantile.quantiles(pairs_s, probability=share_below, keys_R=row_keys(np.arange(len(pairs_s))))
    logs = Replicates(np.log(quantiles.estimate_A), np.log(quantiles.replicates_BA), quantiles.num_undefined)
    (comparison,) = bootstrap.comparisons(
        logs,
        arms=(plan.control, arm),
        control=plan.control,
        family="dunnett",
        alpha=plan.alpha,
        method="paired_bootstrap_log",
    )
    return log_ratio.exponentiated(comparison)


@dataclass(frozen=True, eq=False)
class SizeCheck:
    """An arm's size relative to the control's. It is known exactly, not estimated.

    Attributes:
        rule: The plan's guardrail.
        sizes: Size of each arm; an arm without an entry has an unknown size.
    """

    rule: SizeGuardrail
    sizes: Mapping[str, int]

    def check(self, plan: Plan, *, primary: Samples) -> tuple[GuardrailResult, ...]:
        """See `GuardrailCheck.check`."""
        return tuple(
            _ratio_result(self.rule, "size", self._compared(arm, plan.control))
            for arm in primary.arms
            if arm != plan.control
        )

    def _compared(self, arm: str, control: str) -> Comparison:
        unknown = [f"'{name}'" for name in (arm, control) if not self.sizes.get(name)]
        untested = degenerate.untestable(
            arm, control, method="exact", reason=f"{self.rule.quantity} of {' and '.join(unknown)} is not known"
        )
        if unknown:
            return untested
        ratio = self.sizes[arm] / self.sizes[control]
        return untested.model_copy(update={"estimate": ratio, "ci_low": ratio, "ci_high": ratio, "not_testable": None})


def _ratio_result(rule: LatencyGuardrail | SizeGuardrail, kind: str, comparison: Comparison) -> GuardrailResult:
    return GuardrailResult(
        name=rule.name,
        kind=kind,
        severity=rule.severity,
        metric=rule.quantity,
        direction="lower",
        scale="ratio",
        bound=rule.max_ratio,
        comparison=comparison,
        verdict=verdict_of(comparison, bound=rule.max_ratio, direction="lower"),
    )
