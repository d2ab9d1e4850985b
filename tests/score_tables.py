"""Reads the scores of an arm in the form in which they were computed."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator.ledger import reader
from assay.evaluator.ledger.commit_record import LedgerFile
from assay.evaluator.ledger.stored_scores import from_stored
from assay.evaluator.storage import Store


def score_tables(
    store: Store, files: Sequence[LedgerFile], arm: str, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Yields one arm's scores unit by unit, in row order; every file is compared with the commit record."""
    for file in reader.score_files(files, arm):
        _, content = reader.read_scores(store, file)
        yield from_stored(pq.read_table(pa.BufferReader(content)), columns)
