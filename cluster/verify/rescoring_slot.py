"""Slots that score units once more and compare: nothing is published."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from assay.cluster.drive.schedule import Task
from assay.cluster.drive.slot import Published, Slot
from assay.evaluator import fingerprint
from assay.evaluator.batches import Unit
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.scores_compared import Difference, difference
from assay.evaluator.predictors import code_digest, read_weights
from assay.evaluator.probes.batch_size import BatchSizeSensitivity
from assay.evaluator.provenance import lineage
from assay.evaluator.provenance.dotted import flat
from assay.manifests import Variant
from assay.manifests.ledger_layout import unit_key
from assay.manifests.verification import Change


@dataclass(frozen=True)
class Compared:
    """What came of one unit; it travels in the facts of the unit's recorded receipt.

    Attributes:
        difference: How its rows differ.
        changed: What of the unit's lineage is another now, by dotted names.
        first_s: Seconds of the variant's own work on it; with `second_s` only where it was scored twice.
        second_s: The same of the second time, in the same loaded variant.
    """

    difference: Difference
    changed: tuple[Change, ...]
    first_s: float = 0.0
    second_s: float = 0.0


FACT = "compared"
"""Where in a receipt's facts a `Compared` is."""


class RescoringSlot(Slot):
    """Scores units again, on the way that they took, and compares them with the ledger's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        files = reader.committed_files(self._ledger, self._run.run_id)
        self._committed = {file.key: file.sha256 for file in files}
        self._weights_digest: str | None = None

    def _read_weights(self, variant: Variant) -> pa.Buffer | None:
        """Whatever is there now: that it is not what was recorded is an answer, not an error."""
        weights = read_weights(variant, patient=True)
        self._weights_digest = None if weights is None else fingerprint.sha256_digest(weights)
        return weights

    def _timed_in_turn(self, arm: str) -> None:
        """Scores are compared, not times."""

    def _evaluate(self, task: Task, unit: Unit, wobble: BatchSizeSensitivity) -> Published:  # noqa: ARG002  # probed to be as a run is
        key = unit_key(self._run.run_id, task.arm, task.unit)
        receipt, rows = reader.read_unit(self._ledger, key, committed_sha256=self._committed[key])
        unit = replace(unit, batch_size=receipt.facts["batch_size"])
        return self._published(receipt, self._compared(task, unit, receipt, rows))

    def _compared(self, task: Task, unit: Unit, receipt: UnitReceipt, rows: pa.Table) -> Compared:
        found = self._scored(unit)
        return Compared(difference(rows, found.table), self._changed(task.arm, receipt.facts))

    def _published(self, receipt: UnitReceipt, compared: Compared) -> Published:
        told = replace(receipt, facts={**receipt.facts, FACT: compared})
        return Published(told, is_ours=True, digest=receipt.scores_digest)

    def _changed(self, arm: str, facts: Mapping[str, Any]) -> tuple[Change, ...]:
        """What the scores of an arm's unit are made of and on, then and now."""
        variant, now = self._variant(arm), self._place()
        artifacts: dict[str, tuple[str | None, str | None]] = {}
        artifacts[f"arms.{arm}.code ({variant.entrypoint})"] = (variant.code_digest, code_digest(variant.entrypoint))
        if variant.weights is not None:
            artifacts[f"arms.{arm}.weights ({variant.weights})"] = (variant.weights_digest, self._weights_digest)
        for metric in self._experiment.suite.metrics:
            if metric.scorer is not None:
                name = f"metrics.{metric.name}.scorer ({metric.scorer})"
                artifacts[name] = (metric.scorer_digest, code_digest(metric.scorer))
        recorded = {name: facts.get(name) for name in now}
        return (
            *lineage.changes(
                {name: before for name, (before, _) in artifacts.items()},
                {name: after for name, (_, after) in artifacts.items()},
            ),
            *lineage.changes(flat(recorded), flat(now)),
        )


class RepeatingSlot(RescoringSlot):
    """Scores units twice in one loaded variant and once in one loaded anew, and compares those with each other."""

    def _compared(self, task: Task, unit: Unit, receipt: UnitReceipt, rows: pa.Table) -> Compared:  # noqa: ARG002
        first, second = self._scored(unit), self._scored(unit)
        self._load(task.arm)
        again, anew = difference(first.table, second.table), difference(first.table, self._scored(unit).table)
        return Compared(
            again if again.num_rows >= anew.num_rows else anew,
            self._changed(task.arm, receipt.facts),
            first_s=first.timing.predict_s,
            second_s=second.timing.predict_s,
        )
