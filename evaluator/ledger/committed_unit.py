"""The check of a committed unit: what its file says, and what its run's record and suite say about it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import rfc8785

from assay.evaluator import fingerprint
from assay.evaluator.batches import Unit
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.unit_file import are_alike, check_owner, lineage_of, verified_unit
from assay.evaluator.ledger.unreadable import UNREADABLE, first_line
from assay.evaluator.metrics.stored_predictions import contradicting_metrics
from assay.manifests.ledger_layout import unit_key
from assay.manifests.run import Run


@dataclass(frozen=True)
class CheckedUnit:
    """A unit's receipt and what contradicts it.

    Attributes:
        receipt: The receipt; None if the file is not as it was written.
        problems: Every contradiction, as a phrase that follows the file's key.
    """

    receipt: UnitReceipt | None
    problems: tuple[str, ...]


def checked_unit(content: pa.Buffer, run: Run, *, arm: str, unit: Unit) -> CheckedUnit:
    """Reads all rows of a committed score file.

    Args:
        content: The file's bytes.
        run: The run's record.
        arm: The arm that the file's key names.
        unit: The unit that the file's key names: which rows it should have.
    """
    key = unit_key(run.run_id, arm, unit.index)
    try:
        receipt, rows = verified_unit(content, key=key, sha256=fingerprint.sha256_digest(content))
        environment_digest = receipt.facts.conditions.environment_digest
        check_owner(receipt, lineage=lineage_of(run, arm, environment_digest=environment_digest), unit=unit)
    except UNREADABLE as error:
        return CheckedUnit(None, (f"was changed: {first_line(error)}",))
    problems = list(_receipt_problems(receipt, run))
    problems += [
        f"was changed: its scores of '{metric}' do not follow from its labels and predictions"
        for metric in contradicting_metrics(rows, run.experiment.suite, run.label)
    ]
    return CheckedUnit(receipt, tuple(problems))


def _receipt_problems(receipt: UnitReceipt, run: Run) -> Iterator[str]:
    """What a receipt says that its run does not allow."""
    facts, suite = receipt.facts, run.experiment.suite
    wrong = []
    if (facts.attempt is None) == (facts.reuse is None):
        wrong.append("attempt")
    if suite.repeats > 1:
        # Scores are means over the repeats.
        means = {name: float(np.mean(sums)) for name, sums in facts.repeat_sums.items()}
        if not are_alike(means, facts.score_sums):
            wrong.append("repeat_sums")
    if facts.batch_size not in (suite.batch_size, 1):
        wrong.append("batch_size")
    if fingerprint.sha256_digest(rfc8785.dumps(facts.conditions.environment)) != facts.conditions.environment_digest:
        wrong.append("environment")
    if wrong:
        yield f"was changed: its receipt's {', '.join(wrong)} contradict the run's record"
