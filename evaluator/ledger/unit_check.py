"""The check of a committed unit: its rows against its receipt, and both against the run's record."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rfc8785

from assay.evaluator import fingerprint, repeats
from assay.evaluator.batches import Unit
from assay.evaluator.ledger.receipt import RECEIPT_METADATA, UnitReceipt
from assay.evaluator.ledger.stored_scores import from_stored, to_stored
from assay.evaluator.metrics.stored_predictions import contradicting_metrics
from assay.evaluator.results import count_unanswered
from assay.manifests.ledger_layout import unit_key
from assay.manifests.run import Run

_NEARLY = 1e-9


@dataclass(frozen=True)
class CheckedUnit:
    """A unit's receipt and what contradicts it.

    Attributes:
        receipt: The receipt; None if the file cannot be read.
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
        stored = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
        metadata = stored.schema.metadata[RECEIPT_METADATA]
        receipt = UnitReceipt.from_json(metadata, key=key, size_bytes=content.size, sha256=None)
        rows = from_stored(stored)
        return CheckedUnit(receipt, tuple(_problems(stored, rows, receipt, run, arm=arm, unit=unit)))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:  # any byte may be damaged
        return CheckedUnit(None, (f"cannot be read: {str(error).splitlines()[0]}",))


def _problems(
    stored: pa.Table, rows: pa.Table, receipt: UnitReceipt, run: Run, *, arm: str, unit: Unit
) -> Iterator[str]:
    if (receipt.arm, receipt.unit) != (arm, unit.index):
        yield f"holds unit {receipt.unit} of arm '{receipt.arm}': it was moved or copied"
        return
    environment = receipt.facts.conditions.environment_digest
    lineage = (run.run_id, arm, run.dataset_digest, str(run.variant_digests.get(arm)), run.suite_digest)
    expected = to_stored(rows, lineage=(*lineage, run.plan_digest, environment))
    wrong = [] if stored.equals(expected) else list(_differing(stored, expected))
    if wrong:
        yield f"was changed: its columns {', '.join(wrong)} contradict the run's record or its other columns"
    digest = fingerprint.rows_digest(rows)
    if digest != receipt.scores_digest:
        yield f"was changed: its rows have the digest {digest}, but its receipt says {receipt.scores_digest}"
    indices = rows["row_index"].to_numpy()
    if not np.array_equal(indices, np.arange(unit.first_row, unit.first_row + unit.num_rows)):
        yield (
            f"was changed: it should have the rows {unit.first_row} to {unit.first_row + unit.num_rows - 1}, but has "
            f"{len(rows)} rows{f' from {indices.min()} to {indices.max()}' if len(rows) else ''}"
        )
        return
    facts = receipt.facts
    wrong = [name for name, value in _facts(rows, unit).items() if not _equal(_fact(receipt, name), value)]
    if (facts.attempt is None) == (facts.reuse is None):
        wrong.append("attempt")
    if run.experiment.suite.repeats > 1 and not _are_repeats_of(facts.repeat_sums, facts.score_sums):
        wrong.append("repeat_sums")
    if facts.batch_size not in (run.experiment.suite.batch_size, 1):
        wrong.append("batch_size")
    if fingerprint.sha256_digest(rfc8785.dumps(facts.conditions.environment)) != environment:
        wrong.append("environment")
    if wrong:
        yield f"was changed: its receipt's {', '.join(wrong)} contradict its rows or the run's record"
    for metric in contradicting_metrics(rows, run.experiment.suite, run.label):
        yield f"was changed: its scores of '{metric}' do not follow from its labels and predictions"


def _facts(rows: pa.Table, unit: Unit) -> dict[str, Any]:
    """What a receipt must say about its rows."""
    counts, first = count_unanswered(rows)
    return {
        "num_rows": len(rows),
        "first_row": unit.first_row,
        "unanswered": counts,
        "first_unanswered": first,
        "score_sums": {name: total for name, (total,) in repeats.sums([rows]).items()},
    }


def _fact(receipt: UnitReceipt, name: str) -> Any:
    return receipt.num_rows if name == "num_rows" else getattr(receipt.facts, name)


def _equal(recorded: Any, computed: Any) -> bool:
    if isinstance(computed, dict) and isinstance(recorded, dict):
        return recorded.keys() == computed.keys() and all(_equal(recorded[name], computed[name]) for name in computed)
    if isinstance(computed, float):
        return bool(np.isclose(recorded, computed, rtol=_NEARLY, atol=_NEARLY, equal_nan=True))
    return recorded == computed


def _are_repeats_of(repeat_sums: dict[str, list[float]], score_sums: dict[str, float]) -> bool:
    """Whether the mean of the repeats' sums is the sum of the scores, which are means over the repeats."""
    means = {name: float(np.mean(sums)) for name, sums in repeat_sums.items()}
    return _equal(means, score_sums)


def _differing(stored: pa.Table, expected: pa.Table) -> Iterator[str]:
    """The columns that differ. Two NaN are equal."""
    for name in dict.fromkeys([*expected.column_names, *stored.column_names]):
        if name not in stored.column_names or name not in expected.column_names:
            yield name
        elif not stored[name].equals(expected[name]):
            both = stored[name], expected[name]
            if not all(pa.types.is_floating(each.type) for each in both) or not np.array_equal(
                *(each.to_numpy() for each in both), equal_nan=True
            ):
                yield name
    if stored.schema.remove_metadata() != expected.schema.remove_metadata():
        yield "schema"
