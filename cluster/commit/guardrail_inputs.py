"""What a plan compares: the primary metric's scores and the measurements of every guardrail."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.cluster.commit.ledger_samples import columns_of, samples_of
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.run_scores import RunScores
from assay.manifests import Metric, Plan, Suite
from assay.manifests.guardrail import (
    GroupGapGuardrail,
    MetricGuardrail,
    SegmentsGuardrail,
    SelectionRatioGuardrail,
)
from assay.manifests.guardrail import Guardrail as Rule
from assay.manifests.ledger_layout import SEGMENT_COLUMN_PREFIX
from assay.stats.guardrails.group_checks import GroupGapCheck, Groups, SelectionRatioCheck
from assay.stats.guardrails.guardrail_check import GuardrailCheck
from assay.stats.guardrails.metric_check import MetricCheck
from assay.stats.guardrails.resource_checks import LatencyCheck, SizeCheck
from assay.stats.guardrails.segments_check import SegmentsCheck
from assay.stats.samples.samples import Samples

SIZES = ("weights_bytes", "num_parameters", "peak_memory_bytes")
"""Columns of the arms table with an arm's size."""
Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class ArmMeasurements:
    """What a run has measured about its arms in addition to scores.

    Attributes:
        latency: Rows of the table `latency`.
        arms: Rows of the table `arms`.
    """

    latency: Sequence[Row]
    arms: Sequence[Row]


def planned_columns(suite: Suite, plan: Plan) -> list[str]:
    """The columns of the table `scores` that a plan, which need not be the suite's, is carried out on."""
    columns = [name for metric in _metrics(suite, plan) for name in columns_of(metric, columns=plan.columns)]
    for rule in plan.guardrails:
        if isinstance(rule, GroupGapGuardrail | SelectionRatioGuardrail):
            columns.append(SEGMENT_COLUMN_PREFIX + rule.column)
        if isinstance(rule, SelectionRatioGuardrail):
            columns.append("prediction")
    return list(dict.fromkeys(columns))


def planned_samples(
    scores: RunScores, plan: Plan, measured: ArmMeasurements, *, arms: Sequence[str]
) -> tuple[Samples, tuple[GuardrailCheck, ...]]:
    """The primary metric's samples and the guardrail checks of a plan. Each metric's samples are made once.

    Args:
        scores: The scores of these arms and perhaps of others, with the `planned_columns` kept. Predictions and
            probabilities are forgotten afterwards.
        plan: The plan, which need not be the recorded one.
        measured: Latencies and sizes of the arms.
        arms: The arms to compare.

    Raises:
        DamageError: A file was changed, or the arms do not have the same rows.
    """
    metrics = _metrics(scores.run.experiment.suite, plan)
    samples = {metric.name: samples_of(scores, metric, plan, arms=arms) for metric in metrics}
    inputs = _PlanInputs(scores, plan, measured, samples)
    checks = [inputs.guardrail(rule) for rule in plan.guardrails]
    scores.forget(planned_columns(scores.run.experiment.suite, plan))
    return samples[metrics[0].name], tuple(check for check in checks if check is not None)


def _metrics(suite: Suite, plan: Plan) -> list[Metric]:
    """The metrics that a plan compares, each once: the primary metric first, then those of guardrails."""
    names = [plan.metric or suite.primary.name]
    of_metrics = (MetricGuardrail, SegmentsGuardrail, GroupGapGuardrail)
    names += [rule.metric for rule in plan.guardrails if isinstance(rule, of_metrics)]
    return [suite.metric(name) for name in dict.fromkeys(names)]


@dataclass(frozen=True, eq=False)
class _PlanInputs:
    scores: RunScores
    plan: Plan
    measured: ArmMeasurements
    samples: Mapping[str, Samples]

    def guardrail(self, rule: Rule) -> GuardrailCheck | None:
        """The check of a guardrail with its inputs; None for `suspicious_improvement`, which needs none of its own."""
        match rule.kind:
            case "metric":
                return self._metric(rule.metric, rule)
            case "segments":
                return SegmentsCheck(self._metric(rule.metric, rule), rule.minimum_rows)
            case "group_gap":
                return GroupGapCheck(self._metric(rule.metric, rule), self._groups(rule.column, rule.minimum_rows))
            case "selection_ratio":
                groups = self._groups(rule.column, rule.minimum_rows)
                selected = MetricCheck(
                    str(rule.positive), "higher", "binary", rule.min_ratio, self._selected(rule), rule.severity
                )
                return SelectionRatioCheck(selected, groups)
            case "latency":
                return LatencyCheck(rule, pairs_s(self.measured.latency), _problems(self.measured.latency))
            case "size":
                sizes = {row["arm"]: row.get(rule.quantity) for row in self.measured.arms}
                return SizeCheck(rule, {arm: size for arm, size in sizes.items() if size is not None})
            case "suspicious_improvement":
                return None

    def _metric(self, name: str, rule: Any) -> MetricCheck:
        metric = self.scores.run.experiment.suite.metric(name)
        return MetricCheck(name, metric.direction, metric.scale, rule.margin, self.samples[name], rule.severity)

    def _groups(self, column: str, minimum_rows: int) -> Groups:
        return Groups(column, self.scores.rows()[SEGMENT_COLUMN_PREFIX + column].to_numpy(), minimum_rows)

    def _selected(self, rule: Any) -> Samples:
        """Rows x arms: whether the arm predicts the positive class, on the rows of the primary metric."""
        primary = self.samples[self.plan.metric or self.scores.run.experiment.suite.primary.name]
        predicted = [self.scores.predictions(arm, "prediction") for arm in primary.arms]
        selected_RA = np.stack([column.to_numpy() == rule.positive for column in predicted], axis=1)
        if any(column.null_count for column in predicted):
            is_missing_RA = np.stack([column.is_null().to_numpy() for column in predicted], axis=1)
            selected_RA = np.where(is_missing_RA, np.nan, selected_RA)
        return Samples(primary.arms, selected_RA, primary.row_ids, clusters_R=primary.clusters_R)


def latency_rows(arm: str, receipts: Iterable[UnitReceipt]) -> list[dict[str, Any]]:
    """One arm's rows of the table `latency`: the batches that slots have timed, from its units' receipts."""
    rows: list[dict[str, Any]] = []
    for receipt in receipts:
        times = receipt.facts.latency
        if times is None:
            continue
        place = {"arm": arm, "unit": receipt.unit, "host": receipt.facts.conditions.host, "reason": times.reason}
        pairs = zip(times.control_s, times.arm_s, strict=True)
        rows += [{**place, "control_s": control_s, "arm_s": arm_s} for control_s, arm_s in pairs]
        if times.reason:
            rows.append({**place, "control_s": None, "arm_s": None})
    return rows


def pairs_s(rows: Iterable[Row]) -> dict[str, np.ndarray]:
    """Per arm, an array of seconds, batches x (control, arm)."""
    pairs_by_arm: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["arm_s"] is not None:
            pairs_by_arm.setdefault(row["arm"], []).append((row["control_s"], row["arm_s"]))
    return {arm: np.array(pairs) for arm, pairs in pairs_by_arm.items()}


def _problems(rows: Iterable[Row]) -> dict[str, str]:
    return {row["arm"]: row["reason"] for row in rows if row["reason"]}
