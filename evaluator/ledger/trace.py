"""Trace: follows a committed run, or one of its numbers, back to its sources, and compares the sources of two runs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assay.evaluator import batches
from assay.evaluator.data.frozen.shards import open_dataset
from assay.evaluator.errors import DataError, StoreError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.receipt import ReuseSource
from assay.evaluator.provenance import lineage
from assay.evaluator.provenance.dotted import flat
from assay.evaluator.storage import Store
from assay.manifests.errors import InvalidInput, did_you_mean
from assay.manifests.run import Run
from assay.manifests.verification import Change

_OF_UNITS = ("host", "cpu", "device_class")
# Scores do not depend on these. The settings of the suite that scores depend on are fields of their own.
_WITHOUT_EFFECT = (
    "identity.suite_digest",
    "identity.plan_digest",
    "identity.policy_digest",
    "identity.dataset.reference",
)


@dataclass(frozen=True)
class NumberChange:
    """One published number that differs between two runs.

    Attributes:
        arm: The arm's name.
        metric: The metric's name.
        first: Its value in the first run; None if the run does not have it.
        second: Its value in the second run; None if the run does not have it.
        same_scores: Whether the arm's row scores are nevertheless the same, bit for bit.
        explained_by: The lineage fields that differ and that the number depends on. Empty: nothing that was recorded
            explains the difference.
    """

    arm: str
    metric: str
    first: float | None
    second: float | None
    same_scores: bool
    explained_by: tuple[str, ...]


@dataclass(frozen=True)
class Differences:
    """The differences between two runs.

    Attributes:
        lineage: The lineage fields that differ: first of the identity, then of the arms, then of the circumstances.
        numbers: The published numbers that differ.
    """

    lineage: tuple[Change, ...]
    numbers: tuple[NumberChange, ...]


def run_lineage(store: Store, run_id: str) -> dict[str, Any]:
    """Everything that a committed run came from, as one document of plain JSON values.

    Returns:
        `identity`: what all arms have in common, and scores depend on. `arms`: each arm's variant, and the hardware on
        which its units were scored. `circumstance`: what was recorded in addition.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: A file of the run was changed.
    """
    return _lineage(CommittedRun(store, run_id))


def _lineage(committed: CommittedRun) -> dict[str, Any]:
    run = committed.record
    suite, experiment = run.experiment.suite, run.experiment
    scored_on: dict[str, dict[str, list[str]]] = {}
    units = committed.rows("units")
    for name in _OF_UNITS:
        for row in units:
            values = scored_on.setdefault(row["arm"], {}).setdefault(name, [])
            if str(row[name]) not in values:
                values.append(str(row[name]))
    return {
        "run_id": run.run_id,
        "identity": {
            "environment": dict(run.lineage.identity),
            "dataset": {"reference": experiment.dataset.rpartition("/")[2], "digest": run.dataset_digest},
            "suite_digest": run.suite_digest,
            "plan_digest": run.plan_digest,
            "policy_digest": run.policy_digest,
            "batch_size": suite.batch_size,
            "batching": batches.BATCHING_RULE,
            "seed": suite.seed,
            "repeats": suite.repeats,
            "determinism": suite.determinism.model_dump(mode="json"),
            "on_batch_sensitivity": suite.on_batch_sensitivity,
            "batch_sensitivity_tolerance": suite.batch_sensitivity_tolerance,
            "metrics": {metric.name: metric.model_dump(mode="json", exclude={"name"}) for metric in suite.metrics},
        },
        "arms": {
            arm.name: {
                "variant_digest": run.variant_digests[arm.name],
                **arm.variant.model_dump(mode="json", exclude={"kind", "version"}),
                **{name: ", ".join(sorted(values)) for name, values in scored_on.get(arm.name, {}).items()},
                "flags": _flags(committed, arm.name),
            }
            for arm in experiment.arms
        },
        "circumstance": {
            **lineage.plain(run.lineage),
            "experiment_digest": run.experiment_digest,
            "resources": experiment.resources.model_dump(mode="json"),
            "opened_at": run.opened_at,
            "committed_at": committed.commit.committed_at,
            "supersedes": run.supersedes,
        },
    }


def number(store: Store, run_id: str, arm: str, metric: str) -> dict[str, Any]:
    """One published number and everything that it was computed from, with each file checked against its digest.

    Raises:
        InvalidInput: The run has no such arm or metric.
        LedgerError: The run is unknown or not committed.
        DamageError: A file that the number was computed from was changed.
    """
    committed = CommittedRun(store, run_id)
    run, files = committed.record, committed.files
    rows = committed.rows("metrics")
    for field, name, names in (
        ("arm", arm, {row["arm"] for row in rows}),
        ("metric", metric, {row["metric"] for row in rows}),
    ):
        if name not in names:
            raise InvalidInput(
                f"the run has no number for this {field}",
                place=run_id,
                value=name,
                remedy=did_you_mean(name, sorted(names)),
            )
    row = next(each for each in rows if (each["arm"], each["metric"]) == (arm, metric))
    suite = run.experiment.suite
    scores = reader.score_files(files, arm)
    chosen_on = reader.score_files(files, suite.plan.control) if _has_threshold_of_control(run, metric) else []
    for file in dict.fromkeys([*scores, *chosen_on]):
        reader.read_scores(store, file)  # checks its digest
    reused = (row for row in committed.rows("units") if row["arm"] == arm and row["reused_from"])
    sources = {ReuseSource(row["reused_from"], row["reused_slot_s"]).run_id for row in reused}
    document = _lineage(committed)
    return {
        "run_id": run_id,
        **{name: row[name] for name in ("arm", "metric", "measure", "direction", "value", "not_testable", "num_rows")},
        "published_in": [asdict(file) for file in files if file.table == "metrics"],
        "threshold": row["threshold"],
        "threshold_chosen_on": [asdict(file) for file in chosen_on],
        "made_from": [asdict(file) for file in scores],
        "reused_from": {
            source: reader.read_run(store, source).lineage.circumstance.get("source") for source in sorted(sources)
        },
        "dataset": {**document["identity"]["dataset"], "shards": _shards(run)},
        "variant": document["arms"][arm],
        "source": document["circumstance"]["source"],
        "plan_digest": run.plan_digest,
        "suite_digest": run.suite_digest,
        "environment": document["identity"]["environment"],
    }


def differences(store: Store, first: str, second: str) -> Differences:
    """The differences between two committed runs, and for each number those that can explain it.

    Raises:
        LedgerError: A run is unknown or not committed.
        DamageError: A file was changed.
    """
    both = [CommittedRun(store, run_id) for run_id in (first, second)]
    before, after = ({**_lineage(run), "run_id": None} for run in both)
    groups = ("identity", "arms", "circumstance")
    changes = [
        change
        for group in groups
        for change in lineage.changes(flat({group: before[group]}), flat({group: after[group]}))
    ]
    numbers = [_numbers(run) for run in both]
    scores = [_scores(run) for run in both]
    number_changes = []
    for arm, metric in sorted({*numbers[0], *numbers[1]}):
        values = [each.get((arm, metric)) for each in numbers]
        if values[0] != values[1]:
            controls = (
                run.record.experiment.suite.plan.control
                for run in both
                if _has_threshold_of_control(run.record, metric)
            )
            control = next(controls, None)
            number_changes.append(
                NumberChange(
                    arm,
                    metric,
                    *values,
                    same_scores=arm in scores[0] and scores[0][arm] == scores[1].get(arm),
                    explained_by=_explaining(changes, arm, metric, control=control),
                )
            )
    return Differences(tuple(changes), tuple(number_changes))


def _explaining(changes: Sequence[Change], arm: str, metric: str, *, control: str | None) -> tuple[str, ...]:
    """The differing fields that a number depends on; with a control also the control's, which chose the threshold."""
    own = ("identity.", f"arms.{arm}.", *([f"arms.{control}."] if control else []))
    arms = (arm, *([control] if control else []))
    without_effect = (*_WITHOUT_EFFECT, *(f"arms.{name}.{field}" for name in arms for field in ("host", "weights")))
    return tuple(
        change.field
        for change in changes
        if change.field.startswith(own)
        and change.field not in without_effect
        and (not change.field.startswith("identity.metrics.") or change.field.startswith(f"identity.metrics.{metric}."))
    )


def _has_threshold_of_control(run: Run, metric: str) -> bool:
    """Whether the metric's threshold was chosen on the control."""
    of_name = [each for each in run.experiment.suite.metrics if each.name == metric]
    return any(each.operating_point is not None for each in of_name)


def _flags(run: CommittedRun, arm: str) -> dict[str, Any] | None:
    """The determinism flags in force when an arm's first unit was scored; None if the arm has no units."""
    files = reader.score_files(run.files, arm)
    if not files:
        return None
    receipt, _ = reader.read_unit(run.store, files[0].key, committed_sha256=files[0].sha256)
    return asdict(receipt.facts.conditions.determinism)


def _shards(run: Run) -> list[dict[str, Any]] | str:
    """The dataset's shards, or the reason why they are unknown."""
    try:
        dataset, _ = open_dataset(run.experiment.dataset)
    except (DataError, StoreError, OSError) as error:
        return f"the dataset cannot be read now: {error}"
    if dataset.digest() != run.dataset_digest:
        return f"another dataset is now at this location: {dataset.digest()}"
    return [shard.model_dump(mode="json", include={"key", "num_rows", "sha256"}) for shard in dataset.shards]


def _numbers(run: CommittedRun) -> dict[tuple[str, str], float | None]:
    return {(row["arm"], row["metric"]): row["value"] for row in run.rows("metrics")}


def _scores(run: CommittedRun) -> dict[str, str]:
    return {row["arm"]: row["scores_digest"] for row in run.rows("arms") if row["status"] == "complete"}
