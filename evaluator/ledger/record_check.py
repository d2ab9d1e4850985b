"""The check of a run's record: its id and digests against the manifests in it, and the record against its commit."""

import re
from collections.abc import Iterator

from assay.manifests.run import Run


def record_problems(run: Run, run_id: str, *, digest: str, committed_digest: str | None) -> Iterator[str]:
    """What contradicts that this is the record of a run, as phrases that follow the record's key.

    The digest of the experiment covers the dataset, the suite with its plan and policy, and the variants.

    Args:
        run: The record.
        run_id: The run whose record it should be.
        digest: The sha256 of the record's bytes.
        committed_digest: The sha256 in the run's commit record; None if the run is not committed.
    """
    if run.run_id != run_id:
        yield f"is the record of another run: {run.run_id}"
        return
    if committed_digest not in (None, digest):
        yield f"does not match the commit record, which has the digest {committed_digest}, now {digest}"
    experiment = run.experiment
    experiment_digest = experiment.digest()
    if run.experiment_digest != experiment_digest:
        yield _changed("experiment_digest", run.experiment_digest, experiment_digest)
    expected = f"{experiment.name}-{experiment_digest.removeprefix('sha256:')[:12]}"
    if re.fullmatch(rf"{re.escape(expected)}(\.[0-9]+)?", run_id) is None:
        yield f"was changed: by its content, the run's id is {expected}"
    earlier = _superseded(run_id)
    if run.supersedes != earlier:
        yield f"was changed: supersedes is {run.supersedes}, but a run of this name supersedes {earlier or 'none'}"
    if run.dataset_digest != experiment.dataset_digest:
        yield _changed("dataset_digest", run.dataset_digest, experiment.dataset_digest)


def all_digest_problems(run: Run) -> Iterator[str]:
    """The digests in a run's record that contradict the manifests in it, other than those of `record_problems`."""
    experiment = run.experiment
    suite = experiment.suite
    recorded_and_computed = {
        "suite_digest": (run.suite_digest, suite.digest()),
        "plan_digest": (run.plan_digest, suite.plan.digest()),
        "policy_digest": (run.policy_digest, suite.policy.digest()),
        "variant_digests": (dict(run.variant_digests), {arm.name: arm.variant.digest() for arm in experiment.arms}),
        "base_digests": (dict(run.base_digests), {arm.name: arm.variant.base_digest() for arm in experiment.arms}),
    }
    for field, (recorded, computed) in recorded_and_computed.items():
        if recorded != computed:
            yield _changed(field, recorded, computed)
    of_code = {arm.variant.code_digest for arm in experiment.arms} | {metric.scorer_digest for metric in suite.metrics}
    missing = of_code - {each.digest() for each in run.code} - {None}
    if missing:
        yield f"was changed: `code` does not have the code with the digest {', '.join(sorted(map(str, missing)))}"


def _changed(field: str, recorded: object, computed: object) -> str:
    return f"was changed: {field} is recorded as {recorded}, but the content gives {computed}"


def _superseded(run_id: str) -> str | None:
    """The run that a run of this id supersedes: `NAME-DIGEST.3` supersedes `NAME-DIGEST.2`, and that `NAME-DIGEST`."""
    first, dot, number = run_id.rpartition(".")
    if not dot or not number.isdecimal():
        return None
    return f"{first}.{int(number) - 1}" if int(number) > 2 else first
