"""A plan carried out on the arms of a run: at its commit, and whenever somebody takes another look."""

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
    """Carries out a plan on the arms that were measured.

    A plan other than the recorded one makes the analysis exploratory: it can promote nothing. Arms that a race has
    eliminated keep their share of alpha, for those that are left were chosen by the same scores.
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
    """The plan with the share of alpha that is left for the arms that a race has not eliminated."""
    num_variants = len(run.experiment.arms) - 1
    share = (num_variants - len(eliminated)) / num_variants if eliminated else 1.0
    return plan.model_copy(update={"alpha": plan.alpha * share})


def reanalysed(store: Store, run_id: str, plan: Plan) -> Analysis:
    """Another look at a committed run.

    Raises:
        LedgerError: The run is unknown or not committed.
        InvalidInput: The plan asks for what the run has not.
    """
    files = reader.committed_files(store, run_id)
    recorded = reader.read_run(store, run_id)
    _check_measured(recorded, files, store, plan)
    arms = reader.read_table(store, files, "arms").to_pylist()
    measured = ArmMeasurements(reader.read_table(store, files, "latency").to_pylist(), arms)
    failed, eliminated = arm_status.left_out(arms)
    return analysed(recorded, files, store, measured, plan=plan, failed=failed, eliminated=eliminated)


def _check_measured(run: Run, files: Sequence[LedgerFile], store: Store, plan: Plan) -> None:
    """Raises InvalidInput where a plan names a metric, an arm or a column that the run does not have."""
    suite = run.experiment.suite
    metrics, arms = [metric.name for metric in suite.metrics], [arm.name for arm in run.experiment.arms]
    columns = reader.segment_columns(store, files, plan.control)
    asked = [("metric", plan.metric, metrics)]
    asked += [(f"margins.{name}", name, arms) for name in plan.margins]
    for number, rule in enumerate(plan.guardrails):
        known = {"metric": metrics, "column": columns}
        asked += [
            (f"guardrails[{number}].{field}", getattr(rule, field), names)
            for field, names in known.items()
            if hasattr(rule, field)
        ]
    for field, name, names in asked:
        if name is not None and name not in names:
            raise InvalidInput(
                "the run has not measured this",
                place=run.run_id,
                field=field,
                value=name,
                remedy=did_you_mean(name, names),
            )
