"""Dataset diff: what changed between two versions of a dataset. Both are read once, shard by shard."""

import datetime as dt

from assay.evaluator.data.frozen.shards import ShardReader
from assay.evaluator.data.versions import drift
from assay.evaluator.data.versions.contract_diff import contract_changes
from assay.evaluator.data.versions.rows_diff import rows_compared
from assay.evaluator.storage import Store
from assay.manifests.dataset import Dataset
from assay.manifests.dataset_diff import DatasetDiff
from assay.manifests.drift_report import ColumnDrift, DriftReport


def diff(earlier: tuple[Dataset, Store], later: tuple[Dataset, Store], *, found_by: str) -> DatasetDiff:
    """Compares two versions: contracts, rows, and the distribution of each column.

    Args:
        earlier: The earlier version, and the store of its shards.
        later: The later version, and the store of its shards.
        found_by: The name of who compares them, for the report.

    Raises:
        DamageError: A shard is missing or damaged.
    """
    was, now = earlier[0], later[0]
    followers = {"earlier": drift.Follower(was.columns), "later": drift.Follower(now.columns)}
    with rows_compared(was, now) as compared:
        for version, (dataset, store) in (("earlier", earlier), ("later", later)):
            reader = ShardReader(dataset, store)
            for shard in dataset.shards:
                rows = reader.table(reader.fetch(shard))
                followers[version].take(rows)
                compared.take(version, rows)
        rows_diff = compared.finish()
    columns = drift.compare(followers["earlier"], followers["later"], contract=now.contract)
    return DatasetDiff(
        earlier=was.reference,
        earlier_rows_digest=was.rows_digest,
        later=now.reference,
        later_rows_digest=now.rows_digest,
        contract=contract_changes(was.contract, now.contract),
        rows=rows_diff,
        drift=DriftReport(
            reference=now.reference,
            rows_digest=now.rows_digest,
            earlier=was.reference,
            earlier_rows_digest=was.rows_digest,
            found_at=dt.datetime.now(dt.UTC).isoformat(),
            found_by=found_by,
            columns=columns,
            is_fine=not any(column.has_drifted for column in columns),
            summary=_summary(columns, was.reference),
        ),
    )


def _summary(columns: tuple[ColumnDrift, ...], earlier: str) -> str:
    drifted = [f"{column.column}: {column.summary}" for column in columns if column.has_drifted]
    if not drifted:
        return f"none of {len(columns)} columns drifted from {earlier}"
    return f"{len(drifted)} of {len(columns)} columns drifted from {earlier}: {'; '.join(drifted)}"
