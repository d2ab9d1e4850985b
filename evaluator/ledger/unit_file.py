"""The file of one unit: its content from scored rows and a receipt, and the verified way back.

Reading goes in two steps. The end of a file gives the receipt, which is compared with the checksum of the footer and
with the key that it was found under. The whole file gives the rows, which are compared with the receipt.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import fingerprint, repeats
from assay.evaluator.batches import Unit
from assay.evaluator.ledger.checksum import check_file, check_footer, footer_length
from assay.evaluator.ledger.receipt import RECEIPT_METADATA, UnitReceipt
from assay.evaluator.ledger.schema import SCHEMAS
from assay.evaluator.ledger.stored_scores import from_stored, to_stored
from assay.evaluator.ledger.unreadable import UNREADABLE
from assay.evaluator.results import count_unanswered
from assay.manifests.ledger_layout import LINEAGE_COLUMNS, UnitPlace, unit_place
from assay.manifests.run import Run


def receipt_in(end: pa.Buffer, *, key: str, size_bytes: int, sha256: str | None) -> UnitReceipt:
    """The receipt of a unit file.

    Args:
        end: The end of the file, with the whole footer.
        key: The file's key.
        size_bytes: The file's size in bytes.
        sha256: The digest of the file's bytes; None if only the end was read.

    Raises:
        ValueError: The footer was changed, or is that of another unit than the one that the key names.
    """
    length = footer_length(end)
    if length > end.size:
        raise ValueError("it is shorter than its footer")
    check_footer(end.slice(end.size - length))
    metadata = pq.read_metadata(pa.BufferReader(end)).metadata or {}
    receipt = UnitReceipt.from_json(metadata[RECEIPT_METADATA], key=key, size_bytes=size_bytes, sha256=sha256)
    lineage = receipt.lineage
    if tuple(lineage) != LINEAGE_COLUMNS:
        raise ValueError(f"its receipt has the lineage columns {', '.join(lineage)}")
    owner = UnitPlace(lineage["run_id"], receipt.arm, receipt.unit)
    if owner != unit_place(key) or lineage["arm"] != receipt.arm:
        raise ValueError(f"it holds unit {owner.unit} of arm '{owner.arm}' of run '{owner.run_id}'")
    if lineage["environment_digest"] != receipt.facts.conditions.environment_digest:
        raise ValueError("its receipt contradicts itself about the environment")
    return receipt


_LARGE_BYTES = 64 << 20


def has_impossible_size(content: pa.Buffer) -> bool:
    """Whether a large file cannot be one that Assay wrote, by its footer: its columns must end where the footer begins.

    Nothing else of the file is touched, so a sparse file of any size costs nothing. Smaller files are simply read.
    """
    if content.size < _LARGE_BYTES:
        return False
    try:
        length = footer_length(content)
        metadata = pq.read_metadata(pa.BufferReader(content))
        columns = [
            metadata.row_group(group).column(column)
            for group in range(metadata.num_row_groups)
            for column in range(metadata.num_columns)
        ]
        # A dictionary comes before the pages that use it.
        ends = [(each.dictionary_page_offset or each.data_page_offset) + each.total_compressed_size for each in columns]
    except UNREADABLE:
        return True
    return max(ends, default=0) != content.size - length


def check_owner(receipt: UnitReceipt, *, lineage: Mapping[str, str], unit: Unit) -> None:
    """Compares a receipt with what the unit must be.

    Args:
        receipt: The receipt.
        lineage: The values that lineage columns must have, by name.
        unit: The unit, which gives the rows.

    Raises:
        ValueError: It is about other rows, or about another variant, dataset, suite or plan.
    """
    for name, value in lineage.items():
        if receipt.lineage[name] != value:
            raise ValueError(f"its {name} is {receipt.lineage[name]}, but must be {value}")
    start, count = receipt.facts.first_row, receipt.num_rows
    if (start, count) != (unit.first_row, unit.num_rows):
        raise ValueError(
            f"it has {count} rows from row {start}, but the unit has {unit.num_rows} from {unit.first_row}"
        )


def lineage_of(run: Run, arm: str, *, environment_digest: str) -> dict[str, str]:
    """The values of the lineage columns in the units of an arm, by name, in the columns' order.

    Args:
        run: The opened run.
        arm: The arm's name.
        environment_digest: The digest of the packages that a unit was scored with.
    """
    values = (
        run.run_id,
        arm,
        run.dataset_digest,
        str(run.variant_digests[arm]),
        run.suite_digest,
        run.plan_digest,
        environment_digest,
    )
    return dict(zip(LINEAGE_COLUMNS, values, strict=True))


def verified_unit(content: pa.Buffer, *, key: str, sha256: str) -> tuple[UnitReceipt, pa.Table]:
    """The receipt of a unit file and its scored rows, which were compared with each other in every column.

    Args:
        content: The whole file.
        key: The file's key.
        sha256: The digest of the content.

    Raises:
        ValueError, KeyError, TypeError, OSError, pyarrow.ArrowException: The file is not as it was written.
    """
    check_file(content)
    receipt = receipt_in(content, key=key, size_bytes=content.size, sha256=sha256)
    stored = pq.read_table(pa.BufferReader(content))
    rows = from_stored(stored)
    if fingerprint.rows_digest(rows) != receipt.scores_digest:
        raise ValueError(f"its rows do not match the digest in its receipt, {receipt.scores_digest}")
    first, count = receipt.facts.first_row, receipt.num_rows
    if not np.array_equal(rows["row_index"].to_numpy(), np.arange(first, first + count)):
        raise ValueError(f"its rows are not those from {first} to {first + count - 1}")
    as_written = to_stored(rows, lineage=[receipt.lineage[name] for name in LINEAGE_COLUMNS]).cast(SCHEMAS["scores"])
    for name in SCHEMAS["scores"].names:
        if name not in stored.column_names or not stored[name].equals(as_written[name]):
            raise ValueError(f"its column '{name}' is not the one that Assay wrote with these rows and this receipt")
    _check_facts(receipt, rows)
    return receipt, rows


def _check_facts(receipt: UnitReceipt, rows: pa.Table) -> None:
    """Compares what a receipt says about the scores with the rows: races and metrics rest on it."""
    unanswered, first = count_unanswered(rows)
    if (unanswered, first) != (receipt.facts.unanswered, receipt.facts.first_unanswered):
        raise ValueError(
            f"its receipt counts {receipt.facts.unanswered} rows without an answer, but it has {unanswered}"
        )
    sums = {name: total for name, (total,) in repeats.sums([rows]).items()}
    if not are_alike(receipt.facts.score_sums, sums):
        raise ValueError(f"its receipt has the sums {receipt.facts.score_sums} of scores, but its rows have {sums}")


def are_alike(recorded: Mapping[str, float], computed: Mapping[str, float]) -> bool:
    """Whether sums that were added up in different orders may be the same."""
    return recorded.keys() == computed.keys() and bool(
        np.allclose([recorded[name] for name in computed], [*computed.values()], rtol=1e-9, atol=1e-9, equal_nan=True)
    )
