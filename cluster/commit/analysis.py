"""Carries out a plan on the arms of a run: at its commit, and again later with any other plan."""

from collections.abc import Container, Mapping, Sequence

from assay.cluster.commit import arm_status
from assay.cluster.commit.guardrail_inputs import ArmMeasurements, planned_columns, planned_samples
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.run_scores import RunScores
from assay.manifests import InvalidInput, Plan
from assay.manifests.analysis import Analysis
from assay.manifests.errors import did_you_mean
from assay.manifests.run import Run
from assay.stats import analysis


def analysed(
    scores: RunScores, measured: ArmMeasurements, *, plan: Plan, arms: Sequence[str], eliminated: Mapping[str, str]
) -> Analysis:
    """Carries out a plan on arms of a run.

    A plan other than the recorded one makes the analysis exploratory: it can promote nothing. Arms that a race has
    eliminated keep their share of alpha, because the remaining arms were selected by the same scores.

    Args:
        scores: The scores of these arms and perhaps of others, with the plan's columns kept.
        measured: Latencies and sizes of the arms.
        plan: The plan.
        arms: The arms to compare.
        eliminated: The arms that a race has eliminated, with the reason.

    Raises:
        DamageError: A file was changed, or the arms do not have the same rows.
    """
    run = scores.run
    samples, guardrails = planned_samples(scores, plan, measured, arms=arms)
    return analysis.analyze(
        samples,
        plan_after_race(plan, run, eliminated),
        metric=plan.metric or run.experiment.suite.primary.name,
        guardrails=guardrails,
        exploratory=plan.digest() != run.plan_digest,
    )


def plan_after_race(plan: Plan, run: Run, eliminated: Mapping[str, str]) -> Plan:
    """The plan with its alpha multiplied by the share of variants that a race has not eliminated."""
    num_variants = len(run.experiment.arms) - 1
    share = (num_variants - len(eliminated)) / num_variants if eliminated else 1.0
    return plan.model_copy(update={"alpha": plan.alpha * share})


def reanalysed(run: CommittedRun, plan: Plan) -> Analysis:
    """Analyses a committed run again, by another plan. Each of its score files is read once.

    Raises:
        InvalidInput: The plan names a metric, an arm or a column that the run does not have.
        DamageError: A file of the run was changed.
    """
    _check_measured(run.record, plan)
    failed, eliminated = arm_status.left_out(run.rows("arms"))
    if plan.missing != "refuse":
        unanswered = {
            row["arm"]
            for row in run.rows("arms")
            if row["status"] == "unanswered" and row["num_unanswered"] < row["num_rows"]
        }
        failed = {arm: reason for arm, reason in failed.items() if arm not in unanswered}
    arms = arms_without(run.record, {*failed, *eliminated})
    scores = run.scores(arms, planned_columns(run.record.experiment.suite, plan))
    _check_columns(run.record, plan, segments=scores.segment_columns)
    measured = ArmMeasurements(run.rows("latency"), run.rows("arms"))
    return analysed(scores, measured, plan=plan, arms=arms, eliminated=eliminated)


def arms_without(run: Run, others: Container[str]) -> list[str]:
    """The run's arms that are not among these, in the experiment's order."""
    return [arm.name for arm in run.experiment.arms if arm.name not in others]


def _check_measured(run: Run, plan: Plan) -> None:
    """Raises InvalidInput if a plan names a metric or an arm that the run does not have."""
    metrics = [metric.name for metric in run.experiment.suite.metrics]
    arms = [arm.name for arm in run.experiment.arms]
    _check_known(run, "metric", plan.metric, metrics, field="metric")
    for name in plan.margins:
        _check_known(run, "arm", name, arms, field=f"margins.{name}")
    for number, rule in enumerate(plan.guardrails):
        _check_known(run, "metric", getattr(rule, "metric", None), metrics, field=f"guardrails[{number}].metric")


def _check_columns(run: Run, plan: Plan, *, segments: Sequence[str]) -> None:
    """Raises InvalidInput if a plan names a column that the run's scores do not have."""
    _check_known(run, "column", plan.columns.segment, segments, field="columns.segment")
    cluster = run.experiment.suite.plan.columns.cluster
    _check_known(run, "column", plan.columns.cluster, [cluster] if cluster else [], field="columns.cluster")
    for number, rule in enumerate(plan.guardrails):
        _check_known(run, "column", getattr(rule, "column", None), segments, field=f"guardrails[{number}].column")


def _check_known(run: Run, noun: str, name: str | None, names: Sequence[str], *, field: str) -> None:
    if name is not None and name not in names:
        raise InvalidInput(
            f"the run has no such {noun}",
            place=run.run_id,
            field=field,
            value=name,
            remedy=did_you_mean(name, list(names)),
        )
