"""The work of slots that score units once more and compare: nothing is published."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from assay.cluster.drive.arm_scorer import ArmScorer
from assay.cluster.drive.schedule import Task
from assay.cluster.drive.task_result import Published
from assay.evaluator.batches import Unit
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.scores_compared import Difference, difference
from assay.evaluator.predictors import code_digest
from assay.evaluator.probes.batch_size import BatchSizeSensitivity
from assay.evaluator.provenance import lineage
from assay.evaluator.provenance.dotted import flat
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import unit_key
from assay.manifests.verification import Against, Change


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


class RescoreUnit:
    """Scores units again, on the way that they took, and compares them with the ledger's, or with themselves.

    Weights may be others than those that were recorded: that is an answer, not an error. Scores are compared, not
    times.
    """

    checks_weights = False
    times_control = False

    def __init__(self, against: Against) -> None:
        """Takes what to compare with.

        Args:
            against: `ledger`: the recorded rows. `itself`: units are scored twice in one loaded variant and once in
                one that is loaded again, and compared with each other.
        """
        self._against = against
        self._committed_sha256: dict[str, str] = {}

    def perform(
        self,
        task: Task,
        unit: Unit,
        *,
        scorer: ArmScorer,
        sensitivity: BatchSizeSensitivity,  # noqa: ARG002  # probed to be as a run is
        ledger: Store,
        slot: str,  # noqa: ARG002
    ) -> Published:
        """Answers with the unit's recorded receipt, the comparison in its facts."""
        run = scorer.run
        if not self._committed_sha256:
            self._committed_sha256 = {file.key: file.sha256 for file in reader.committed_files(ledger, run.run_id)}
        key = unit_key(run.run_id, task.arm, task.unit)
        receipt, rows = reader.read_unit(ledger, key, committed_sha256=self._committed_sha256[key])
        unit = replace(unit, batch_size=receipt.facts["batch_size"])
        if self._against == "itself":
            compared = _compared_with_itself(scorer, task.arm, unit, facts=receipt.facts)
        else:
            compared = Compared(difference(rows, scorer.score(unit).table), _changes(scorer, task.arm, receipt.facts))
        answer = replace(receipt, facts={**receipt.facts, FACT: compared})
        return Published(answer, is_ours=True, digest=receipt.scores_digest)


def _compared_with_itself(scorer: ArmScorer, arm: str, unit: Unit, *, facts: Mapping[str, Any]) -> Compared:
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


def _changes(scorer: ArmScorer, arm: str, facts: Mapping[str, Any]) -> tuple[Change, ...]:
    """What the scores of an arm's unit are made of and on, then and now."""
    variant, now = scorer.variant, scorer.conditions()
    artifacts: dict[str, tuple[str | None, str | None]] = {}
    artifacts[f"arms.{arm}.code ({variant.entrypoint})"] = (variant.code_digest, code_digest(variant.entrypoint))
    if variant.weights is not None:
        artifacts[f"arms.{arm}.weights ({variant.weights})"] = (variant.weights_digest, scorer.weights_digest)
    for metric in scorer.run.experiment.suite.metrics:
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
