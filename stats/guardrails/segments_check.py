"""The check of a metric in every segment: it must not get worse in any, whatever it does on average.

An arm passes if every segment's own interval is within the margin: an intersection-union test, which needs no
correction (Berger 1982, Technometrics 24:295). It is in breach if any segment's interval is entirely beyond the margin:
a union of as many tests as there are segments, so these intervals are Bonferroni-corrected, at alpha divided by the
number of segments.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay.manifests.comparison import Comparison
from assay.manifests.guardrail_result import GuardrailPart, GuardrailResult, GuardrailVerdict
from assay.manifests.plan import Plan
from assay.stats.comparisons import degenerate
from assay.stats.designs import paired
from assay.stats.errors import SamplesError
from assay.stats.guardrails.guardrail_check import verdict_of
from assay.stats.guardrails.metric_check import MetricCheck, bound_of, compared, on_rows_of
from assay.stats.moments.clusters import MIN_CLUSTERS
from assay.stats.samples.samples import Samples

_WORST_FIRST: tuple[GuardrailVerdict, ...] = ("breach", "not_testable", "undecided", "non_inferior")
"""Order of verdicts: the guardrail has the verdict of its worst segment."""


@dataclass(frozen=True, eq=False)
class SegmentsCheck:
    """A metric that must not get worse by more than its margin in any segment of the primary metric's samples.

    Attributes:
        metric: The metric, its margin and its scores.
        minimum_rows: Segments with fewer rows are not judged.
    """

    metric: MetricCheck
    minimum_rows: int

    def check(self, plan: Plan, *, primary: Samples) -> tuple[GuardrailResult, ...]:
        """See `GuardrailCheck.check`."""
        if primary.segments_R is None:
            raise SamplesError(
                "a guardrail by segment needs the segment of every row",
                field="columns.segment",
                remedy="set it to the column that defines segments",
            )
        samples = on_rows_of(self.metric, primary)
        inside = {name: samples.subset(primary.segments_R == name) for name in np.unique(primary.segments_R).tolist()}
        skipped = {name: why for name, part in inside.items() if (why := too_small(part, self.minimum_rows))}
        judged = [name for name in inside if name not in skipped]
        alphas = (plan.alpha, plan.alpha / max(len(judged), 1))
        comparisons = {
            name: compared(self.metric, inside[name], plan, alphas=alphas, arms=primary.arms) for name in judged
        }
        others = [arm for arm in primary.arms if arm != plan.control]
        not_judged = tuple(f"{name} ({why})" for name, why in skipped.items())
        return tuple(
            self._result(
                plan,
                arm,
                [
                    _Segment(name, inside[name].num_rows, own[place], together[place])
                    for name, (own, together) in comparisons.items()
                ],
                not_judged,
            )
            for place, arm in enumerate(others)
        )

    def _result(
        self, plan: Plan, arm: str, segments: "Sequence[_Segment]", not_judged: tuple[str, ...]
    ) -> GuardrailResult:
        metric, bound = self.metric, bound_of(self.metric)
        verdicts: list[GuardrailVerdict] = [
            segment.verdict(bound=bound, direction=metric.direction) for segment in segments
        ]
        where: str | None = None
        verdict: GuardrailVerdict = "not_testable"
        comparison = degenerate.untestable(arm, plan.control, method="paired_t", reason="every segment is too small")
        if segments:
            order = [(_WORST_FIRST.index(v), s.gain(metric.direction)) for s, v in zip(segments, verdicts, strict=True)]
            worst = min(range(len(order)), key=order.__getitem__)
            where, verdict = segments[worst].name, verdicts[worst]
            comparison = segments[worst].together if verdict == "breach" else segments[worst].own
        return GuardrailResult(
            name=f"{metric.metric} by segment",
            kind="segments",
            severity=metric.severity,
            metric=metric.metric,
            direction=metric.direction,
            scale="difference",
            bound=bound,
            comparison=comparison,
            verdict=verdict,
            where=where,
            parts=tuple(
                GuardrailPart(
                    name=each.name,
                    num_rows=each.num_rows,
                    estimate=each.own.estimate,
                    ci_low=each.own.ci_low,
                    ci_high=each.own.ci_high,
                    verdict=its_own,
                )
                for each, its_own in zip(segments, verdicts, strict=True)
            ),
            not_judged=not_judged,
        )


@dataclass(frozen=True)
class _Segment:
    """One arm in one segment, with its own interval and with the Bonferroni-corrected one."""

    name: str
    num_rows: int
    own: Comparison
    together: Comparison

    def verdict(self, *, bound: float, direction: str) -> GuardrailVerdict:
        if verdict_of(self.together, bound=bound, direction=direction) == "breach":
            return "breach"
        own = verdict_of(self.own, bound=bound, direction=direction)
        return "undecided" if own == "breach" else own

    def gain(self, direction: str) -> float:
        """The less favourable end of the interval."""
        gain = paired.gains(self.own, direction)
        return -np.inf if gain is None else gain[0]


def too_small(inside: Samples, minimum_rows: int) -> str:
    """The reason why a segment or group is too small to be judged; empty if it is large enough."""
    if inside.num_rows < minimum_rows:
        return f"{inside.num_rows} of {minimum_rows} rows"
    if inside.clusters_R is not None and (num_clusters := len(np.unique(inside.clusters_R))) < MIN_CLUSTERS:
        return f"{num_clusters} of {MIN_CLUSTERS} clusters"
    return ""
