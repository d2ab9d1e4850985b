"""Gate calibration: the gate's error rates, estimated by permuting a run's own scores."""

from assay.cluster.commit import arm_status, gate_review
from assay.cluster.commit.analysis import plan_after_race
from assay.cluster.commit.guardrail_inputs import ArmMeasurements, planned_samples
from assay.evaluator import fingerprint
from assay.evaluator.ledger import calibrations, reader
from assay.evaluator.storage import Store
from assay.manifests.calibration import Calibration
from assay.manifests.ledger_layout import commit_key
from assay.stats.gate import calibration
from assay.stats.gate.evidence import ArmEvidence


def calibrate(store: Store, run_id: str, *, num_permutations: int, seed: int) -> Calibration:
    """The error rates of a run's recorded plan and policy on its own scores; kept in the ledger and read from there.

    Args:
        store: The ledger.
        run_id: The run.
        num_permutations: How many permutations to draw.
        seed: The seed of the permutations.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: One of its files was changed.
        SamplesError: Its scores cannot be permuted.
    """
    files = reader.committed_files(store, run_id)
    stored = calibrations.find(store, run_id, seed=seed, num_permutations=num_permutations)
    if stored is not None:
        return stored
    run = reader.read_run(store, run_id)
    suite = run.experiment.suite
    arms = reader.read_table(store, files, "arms").to_pylist()
    failed, eliminated = arm_status.left_out(arms)
    plan = plan_after_race(suite.plan, run, eliminated)
    # Arms that were shown to do harm are not candidates; permuted with the others, their scores would mask true effects.
    decisions = reader.read_table(store, files, "decisions").to_pylist()
    harmful = {row["arm"] for row in decisions if row["decision"] == "reject"}
    without = {*failed, *eliminated, *harmful}
    samples, guardrails = planned_samples(store, files, run, plan, ArmMeasurements((), arms), without=without)
    rates = calibration.calibrated(
        samples,
        guardrails,
        plan,
        suite.policy,
        num_permutations=num_permutations,
        seed=seed,
        evidence=ArmEvidence(noise_floors=gate_review.noise_floors(arms), aa_arm=run.experiment.aa_arm),
    )
    calibrated = Calibration(
        run_id=run_id,
        commit_digest=fingerprint.sha256_digest(store.get(commit_key(run_id))),
        plan_digest=run.plan_digest,
        policy_digest=run.policy_digest,
        alpha=plan.alpha,
        seed=seed,
        num_permutations=num_permutations,
        arms=samples.arms,
        planted=next(arm for arm in samples.arms if arm not in (plan.control, run.experiment.aa_arm)),
        rates=rates,
        seal=run.plan_digest,  # a placeholder: `keep` computes the seal
    )
    return calibrations.keep(store, calibrated)
