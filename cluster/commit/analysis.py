"""Carries out a plan on the arms of a run: at its commit, and again later with any other plan."""

from collections.abc import Mapping, Sequence

from assay.cluster.commit import arm_status
from assay.cluster.commit.guardrail_inputs import ArmMeasurements, planned_samples
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.commit_record import LedgerFile
from assay.evaluator.storage import Store
from assay.manifests import InvalidInput, Plan
from assay.manifests.errors import did_you_mean
from assay.manifests.run import Run
from assay.stats import analysis
from assay.stats.results.analysis_record import Analysis


def analysed(
    run: Run,
    files: Sequence[LedgerFile],
    store: Store,
    measured: ArmMeasurements,
    *,
    plan: Plan,
    failed: Mapping[str, str],
    eliminated: Mapping[str, str],
) -> Analysis:
    """Carries out a plan on the complete arms of a run.

    A plan other than the recorded one makes the analysis exploratory: it can promote nothing. Arms that a race has
    eliminated keep their share of alpha, because the remaining arms were selected by the same scores.

    Raises:
        RunError: The arms do not have the same rows.
    """
    samples, guardrails = planned_samples(store, files, run, plan, measured, without={*failed, *eliminated})
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


def reanalysed(store: Store, run_id: str, plan: Plan) -> Analysis:
    """Analyses a committed run again, by another plan.

    Raises:
        LedgerError: The run is unknown or not committed.
        InvalidInput: The plan names a metric, an arm or a column that the run does not have.
    """
    files = reader.committed_files(store, run_id)
    recorded = reader.read_run(store, run_id)
    _check_measured(recorded, files, store, plan)
    arms = reader.read_table(store, files, "arms").to_pylist()
    measured = ArmMeasurements(reader.read_table(store, files, "latency").to_pylist(), arms)
    failed, eliminated = arm_status.left_out(arms)
    return analysed(recorded, files, store, measured, plan=plan, failed=failed, eliminated=eliminated)


def _check_measured(run: Run, files: Sequence[LedgerFile], store: Store, plan: Plan) -> None:
    """Raises InvalidInput if a plan names a metric, an arm or a column that the run does not have."""
    suite = run.experiment.suite
    metrics, arms = [metric.name for metric in suite.metrics], [arm.name for arm in run.experiment.arms]
    columns = reader.segment_columns(store, files, plan.control)
    references = [("metric", plan.metric, metrics)]
    references += [(f"margins.{name}", name, arms) for name in plan.margins]
    for number, rule in enumerate(plan.guardrails):
        names_by_field = {"metric": metrics, "column": columns}
        references += [
            (f"guardrails[{number}].{field}", getattr(rule, field), names)
            for field, names in names_by_field.items()
            if hasattr(rule, field)
        ]
    for field, name, names in references:
        if name is not None and name not in names:
            raise InvalidInput(
                f"the run has no such {'arm' if names is arms else 'column' if names is columns else 'metric'}",
                place=run.run_id,
                field=field,
                value=name,
                remedy=did_you_mean(name, names),
            )
