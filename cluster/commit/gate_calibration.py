"""Gate calibration: the gate's error rates, estimated by permuting a run's own scores."""

from assay.cluster.commit import arm_status, gate_review
from assay.cluster.commit.analysis import arms_without, plan_after_race
from assay.cluster.commit.guardrail_inputs import ArmMeasurements, planned_columns, planned_samples
from assay.evaluator.ledger import calibrations
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.manifests.calibration import Calibration
from assay.stats.gate import calibration
from assay.stats.gate.evidence import ArmEvidence


def calibrate(run: CommittedRun, *, num_permutations: int, seed: int) -> Calibration:
    """The error rates of a run's recorded plan and policy on its own scores; kept in the ledger and read from there.

    Args:
        run: The run.
        num_permutations: How many permutations to draw.
        seed: The seed of the permutations.

    Raises:
        DamageError: One of its files was changed.
        SamplesError: Its scores cannot be permuted.
    """
    stored = calibrations.find(run.store, run.run_id, seed=seed, num_permutations=num_permutations)
    if stored is not None:
        return stored
    record = run.record
    suite, arms = record.experiment.suite, run.rows("arms")
    failed, eliminated = arm_status.left_out(arms)
    plan = plan_after_race(suite.plan, record, eliminated)
    # Arms that were shown to do harm are not candidates; permuted with the others, their scores would mask true effects.
    harmful = {
        row["arm"]: "rejected when the run was committed"
        for row in run.rows("decisions")
        if row["decision"] == "reject"
    }
    left_out = {**harmful, **failed, **eliminated}
    candidates = arms_without(record, set(left_out))
    scores = run.scores(candidates, planned_columns(suite, plan))
    samples, guardrails = planned_samples(scores, plan, ArmMeasurements((), arms), arms=candidates)
    rates = calibration.calibrated(
        samples,
        guardrails,
        plan,
        suite.policy,
        num_permutations=num_permutations,
        seed=seed,
        evidence=ArmEvidence(noise_floors=gate_review.noise_floors(arms), aa_arm=record.experiment.aa_arm),
    )
    calibrated = Calibration(
        run_id=run.run_id,
        commit_digest=run.commit.sha256,
        plan_digest=record.plan_digest,
        policy_digest=record.policy_digest,
        alpha=plan.alpha,
        seed=seed,
        num_permutations=num_permutations,
        arms=samples.arms,
        left_out=left_out,
        planted=next(arm for arm in samples.arms if arm not in (plan.control, record.experiment.aa_arm)),
        rates=rates,
        seal=record.plan_digest,  # a placeholder: `keep` computes the seal
    )
    return calibrations.keep(run.store, calibrated)
