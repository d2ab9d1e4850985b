"""The unit work of a verification: scores units again and compares them. Publishes nothing."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Published
from assay.evaluator.batches import Unit
from assay.evaluator.conditions import Conditions
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.receipt import UnitFacts, UnitReceipt
from assay.evaluator.ledger.scores_compared import Difference, difference
from assay.evaluator.predictors import code_of
from assay.evaluator.provenance import lineage
from assay.evaluator.provenance.dotted import flat
from assay.evaluator.results import BatchSizeSensitivity
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import unit_key
from assay.manifests.verification import Against, Change

if TYPE_CHECKING:  # it imports torch, which the process of a slot does not need
    from assay.cluster.drive.arm_scorer import ArmScorer

_COMPARED_CONDITIONS = ("host", "cpu", "device_class", "environment", "determinism")


@dataclass(frozen=True)
class Compared:
    """The comparison of one unit.

    Attributes:
        difference: How its rows differ.
        changed: The fields of the unit's lineage that have changed, by dotted names.
        first_s: Seconds that the variant took to predict the unit; 0 if compared with the ledger.
        second_s: Seconds that the same loaded variant took for the second prediction; 0 if compared with the ledger.
    """

    difference: Difference
    changed: tuple[Change, ...]
    first_s: float = 0.0
    second_s: float = 0.0


@dataclass(frozen=True)
class ComparedReceipt(UnitReceipt):
    """The recorded receipt of a unit that was scored again.

    Attributes:
        compared: The comparison.
    """

    compared: Compared


class RescoreUnit:
    """Scores units again as the run did, and compares them with the ledger or with themselves.

    Weights that differ from the recorded ones are reported as a change, not raised as an error. Only scores are
    compared, not times.
    """

    checks_weights = False
    times_control = False
    receipt_class = ComparedReceipt

    def __init__(self, against: Against) -> None:
        """Sets what to compare with.

        Args:
            against: `ledger`: compare with the recorded rows. `itself`: score units twice in one loaded variant and
                once after loading it again, and compare these.
        """
        self._against = against
        self._committed_sha256: dict[str, str] = {}

    def perform(
        self,
        task: Task,
        unit: Unit,
        *,
        scorer: "ArmScorer",
        sensitivity: BatchSizeSensitivity,  # noqa: ARG002  # slots probe it as in a run
        ledger: Store,
        slot: str,  # noqa: ARG002
    ) -> Callable[[], Published]:
        """Scores the unit; the rest is to return its recorded receipt with the comparison."""
        run = scorer.run
        if not self._committed_sha256:
            self._committed_sha256 = {file.key: file.sha256 for file in reader.committed_files(ledger, run.run_id)}
        key = unit_key(run.run_id, task.arm, task.unit)
        receipt, rows = reader.read_unit(ledger, key, committed_sha256=self._committed_sha256[key])
        unit = replace(unit, batch_size=receipt.facts.batch_size)
        if self._against == "itself":
            compared = _compared_with_itself(scorer, task.arm, unit, facts=receipt.facts)
        else:
            compared = Compared(difference(rows, scorer.score(unit).table), _changes(scorer, task.arm, receipt.facts))
        with_comparison = ComparedReceipt(**vars(receipt), compared=compared)
        return lambda: Published(with_comparison, is_ours=True, digest=receipt.scores_digest)


def _compared_with_itself(scorer: "ArmScorer", arm: str, unit: Unit, *, facts: UnitFacts) -> Compared:
    first, second = scorer.score(unit), scorer.score(unit)
    scorer.load(arm, checks_weights=False)
    same_load = difference(first.table, second.table)
    other_load = difference(first.table, scorer.score(unit).table)
    return Compared(
        same_load if same_load.num_rows >= other_load.num_rows else other_load,
        _changes(scorer, arm, facts),
        first_s=first.timing.predict_s,
        second_s=second.timing.predict_s,
    )


def _changes(scorer: "ArmScorer", arm: str, facts: UnitFacts) -> tuple[Change, ...]:
    """Changes since the run in what determines a unit's scores: code, weights, metric scorers and conditions."""
    variant, now = scorer.variant, scorer.conditions()
    entrypoints = {f"arms.{arm}.code ({variant.entrypoint})": (variant.entrypoint, variant.code, variant.code_digest)}
    for metric in scorer.run.experiment.suite.metrics:
        if metric.scorer is not None:
            entrypoints[f"metrics.{metric.name}.scorer ({metric.scorer})"] = (metric.scorer, (), metric.scorer_digest)
    recorded_code = {code.digest(): code for code in scorer.run.code}
    changes = []
    for name, (entrypoint, also, digest) in entrypoints.items():
        before = {name: recorded_code[str(digest)].model_dump()}
        after = {name: code_of(entrypoint, also=also, folders=scorer.import_paths).model_dump()}
        changes += lineage.changes(flat(before), flat(after))
    if variant.weights is not None:
        name = f"arms.{arm}.weights ({', '.join(variant.weights_locations)})"
        changes += lineage.changes({name: variant.weights_digest}, {name: scorer.weights_digest})
    opened = {f"arms.{arm}.files": facts.opened_files}
    now_opened = {f"arms.{arm}.files": scorer.opened_files()}
    changes += [each for each in lineage.changes(flat(opened), flat(now_opened)) if each.recorded and each.now]
    process = f"arms.{arm}.process"
    changes += lineage.changes({process: facts.altered_by or None}, {process: scorer.altered_by(arm) or None})
    return (*changes, *lineage.changes(_flat(facts.conditions), _flat(now)))


def _flat(conditions: Conditions) -> dict[str, Any]:
    """The conditions that a verification compares, by dotted names; what the slot reserves does not matter."""
    fields = asdict(conditions)
    return flat({name: fields[name] for name in _COMPARED_CONDITIONS})
