"""Search: all searches for leaks, in as few passes over the training sets as memory allows."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.frozen.shards import ShardReader
from assay.evaluator.data.ingest.chunk import one_array
from assay.evaluator.data.leakage.equal_rows import EqualRows
from assay.evaluator.data.leakage.hits import Hits
from assay.evaluator.data.leakage.near_numbers import NearNumbers, Scales
from assay.evaluator.data.leakage.near_texts import NearTexts
from assay.evaluator.data.leakage.row_digest import row_digests
from assay.evaluator.data.leakage.single_feature import single_features
from assay.evaluator.data.leakage.training import Training, TrainingRows
from assay.evaluator.data.leakage.training_cutoff import TrainingCutoff, as_microseconds
from assay.evaluator.storage import Store
from assay.manifests.base import Instant
from assay.manifests.dataset import Dataset
from assay.manifests.leakage import NUM_PAIRS, Leakage, LeakageCheck, Overlap, OverlapKind, Pair

BLOCK_BYTES = 1 << 29
"""Memory for the dataset's rows in the search for near rows. A larger dataset is searched in blocks, and the training
sets are read once for each block."""
SAMPLE_ROWS = 1 << 18
"""Spreads, lengths of texts and single features are measured on up to this many evenly spaced rows of the dataset."""
LONG_TEXT = 32
"""From this mean length in characters, rows are compared by their texts only, whatever their numbers."""
FEW_NUMBERS = 4
"""With fewer varying numbers than this, rows are near each other by chance."""
_FIXED_BYTES = 700
"""Memory per row in addition to its texts and numbers."""


def leakage_of(
    dataset: Dataset,
    store: Store,
    *,
    training: Sequence[Training],
    check: LeakageCheck | None = None,
    cutoff: Instant | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Leakage:
    """Searches training sets for a dataset's rows, and its features for its label.

    If texts are long, rows are near if their texts share most of their five-character shingles, whatever their numbers;
    otherwise if their numbers are close and their texts are identical up to case and white space.

    Args:
        dataset: The frozen dataset.
        store: The store of its shards.
        training: The training sets; at least one.
        check: The limits above which a finding is a leak; None: those of the dataset's contract.
        cutoff: Training rows must be older than this time, and the dataset's rows must not be. None: no cut-off.
        block_bytes: Memory for the search for near rows.

    Raises:
        DataError: A training set cannot be read with the dataset's columns and types.
        DamageError: Frozen rows are damaged.
    """
    search = _Search(dataset, store, check or dataset.contract.leakage, cutoff, block_bytes)
    search.read(training)
    return search.finding(training)


class _Search:
    def __init__(
        self, dataset: Dataset, store: Store, check: LeakageCheck, cutoff: Instant | None, block_bytes: int
    ) -> None:
        self._dataset, self._check, self._cutoff = dataset, check, cutoff
        self._reader = ShardReader(dataset, store)
        self._features = tuple(column for column in dataset.columns if column.role == "feature")
        self._texts = tuple(column for column in self._features if column.type == "string")
        self._id = next((column for column in dataset.columns if column.role == "id"), None)
        self._timestamp = next((column.name for column in dataset.columns if column.role == "timestamp"), None)
        parts = [row_digests(table, self._features) for table in self._tables()]
        self._exact = EqualRows(np.concatenate(parts))
        self._normalised = self._ids = None
        if self._texts:
            parts = [row_digests(table, self._features, normalised=True) for table in self._tables()]
            self._normalised = EqualRows(np.concatenate(parts))
        if self._id is not None:
            self._ids = EqualRows(np.concatenate([row_digests(table, (self._id,)) for table in self._tables()]))
        self._has_ids = False
        self._training_cutoff = TrainingCutoff(cutoff)
        self._near = Hits(dataset.num_rows)
        self._sample = self._sampled()
        self._scales = Scales(self._sample, self._features)
        self._mean_length = self._text_length()
        self._block_rows = self._rows_in(block_bytes)

    def read(self, training: Sequence[Training]) -> None:
        """Reads the training sets, once for each block of the dataset."""
        for first_row in range(0, self._dataset.num_rows, self._block_rows):
            near = self._near_search(first_row)
            if first_row and near is None:
                return
            for each in training:
                for rows in each.rows():
                    numbers = rows.numbers()
                    if first_row == 0:
                        self._search_equal(rows, numbers)
                    if near is not None:
                        near.search(rows.table, rows.origin, numbers)
            if near is not None:
                near.copy_hits(self._near, first_row)

    def finding(self, training: Sequence[Training]) -> Leakage:
        """The result of all searches."""
        predictive = single_features(self._sample, self._features, self._dataset.label)
        fields: dict[str, Any] = {
            "reference": self._dataset.reference,
            "rows_digest": self._dataset.rows_digest,
            "num_rows": self._dataset.num_rows,
            "found_at": datetime.now(UTC).isoformat(),
            "check": self._check,
            "cutoff": self._cutoff,
            "training": tuple(each.manifest for each in training),
            "overlaps": tuple(self._overlaps()),
            "single_features": tuple(predictive[:NUM_PAIRS]),
        }
        # The manifest itself decides what exceeds its bound.
        return Leakage(**fields, is_fine=not Leakage.model_construct(**fields).leaks)

    def _tables(self) -> Any:
        for shard in self._dataset.shards:
            yield self._reader.rows(shard.first_row, shard.num_rows)

    def _search_equal(self, rows: TrainingRows, numbers: np.ndarray) -> None:
        self._exact.search(row_digests(rows.table, self._features), rows.origin, numbers)
        if self._normalised is not None:
            digests = row_digests(rows.table, self._features, normalised=True)
            self._normalised.search(digests, rows.origin, numbers)
        if self._ids is not None and self._id is not None and self._id.name in rows.table.column_names:
            has_id = rows.table[self._id.name].is_valid().to_numpy()
            self._has_ids |= bool(has_id.any())
            self._ids.search(row_digests(rows.table, (self._id,))[has_id], rows.origin, numbers[has_id])
        if self._timestamp is not None and self._timestamp in rows.table.column_names:
            self._training_cutoff.add(rows.table[self._timestamp])

    def _sampled(self) -> pa.Table:
        step = math.ceil(self._dataset.num_rows / SAMPLE_ROWS)
        names = [column.name for column in (*self._features, self._dataset.label)]
        parts = []
        for shard, table in zip(self._dataset.shards, self._tables(), strict=True):
            rows = np.arange(-shard.first_row % step, table.num_rows, step)
            parts.append(table.select(names).take(pa.array(rows)))
        return pa.concat_tables(parts).combine_chunks()

    def _text_length(self) -> float:
        lengths = [pc.utf8_length(one_array(self._sample[column.name])).fill_null(0) for column in self._texts]
        return float(sum(pc.mean(each).as_py() for each in lengths))

    def _rows_in(self, block_bytes: int) -> int:
        num_numbers = sum(math.prod(column.shape) for column in self._features if column.type != "string")
        row_bytes = _FIXED_BYTES + (2 * self._mean_length if self._by_texts else 12 * num_numbers)
        return max(1024, int(block_bytes / row_bytes))

    @property
    def _by_texts(self) -> bool:
        return self._mean_length >= LONG_TEXT

    @property
    def _why_not_near(self) -> str:
        """Why near rows are not searched for; empty if they are."""
        if self._by_texts or self._scales.num_varied >= FEW_NUMBERS:
            return ""
        return (
            f"not searched: with texts under {LONG_TEXT} characters and fewer than {FEW_NUMBERS} varying numbers, rows "
            "are near each other by chance"
        )

    def _near_search(self, first_row: int) -> NearTexts | NearNumbers | None:
        if self._why_not_near:
            return None
        num_rows = min(self._block_rows, self._dataset.num_rows - first_row)
        table = self._reader.rows(first_row, num_rows).select([column.name for column in self._features])
        if self._by_texts:
            return NearTexts(table, self._texts, threshold=self._check.jaccard)
        return NearNumbers(table, self._features, scales=self._scales, threshold=self._check.distance)

    def _overlaps(self) -> list[Overlap]:
        is_exact = self._exact.hits.is_hit_R
        overlaps = [self._overlap("exact", self._exact.hits, is_exact, "rows with identical features")]
        is_same = is_exact
        if self._normalised is None:
            overlaps.append(self._unknown("normalised", "not searched: no feature is text"))
        else:
            is_normalised = self._normalised.hits.is_hit_R & ~is_exact
            is_same = is_same | is_normalised
            summary = "rows with identical features up to case, white space and Unicode form"
            overlaps.append(self._overlap("normalised", self._normalised.hits, is_normalised, summary))
        if self._why_not_near:
            overlaps.append(self._unknown("near", self._why_not_near))
        elif self._by_texts:
            summary = f"texts that share at least {self._check.jaccard:g} of their five-character shingles"
            overlaps.append(self._overlap("near", self._near, self._near.is_hit_R & ~is_same, summary, "jaccard"))
        else:
            summary = f"root mean square difference of at most {self._check.distance:g} spreads"
            overlaps.append(self._overlap("near", self._near, self._near.is_hit_R & ~is_same, summary, "distance"))
        if self._ids is None or not self._has_ids:
            reason = "the dataset has no ids" if self._ids is None else "no training set has the id column"
            overlaps.append(self._unknown("ids", f"not searched: {reason}"))
        else:
            overlaps.append(self._overlap("ids", self._ids.hits, self._ids.hits.is_hit_R, "rows with the same id"))
        return [*overlaps, self._in_time()]

    def _overlap(
        self, kind: OverlapKind, hits: Hits, is_hit_R: np.ndarray, summary: str, measure: Any = None
    ) -> Overlap:
        first = np.flatnonzero(is_hit_R)[:NUM_PAIRS].tolist()
        return Overlap(
            kind=kind,
            num_rows=int(is_hit_R.sum()),
            bound=getattr(self._check, kind),
            measure=measure,
            pairs=tuple(
                Pair(row=row, id=self._id_of(row), place=hits.place(row), value=hits.value(row)) for row in first
            ),
            summary=summary,
        )

    def _unknown(self, kind: OverlapKind, reason: str) -> Overlap:
        return Overlap(kind=kind, num_rows=None, bound=getattr(self._check, kind), pairs=(), summary=reason)

    def _in_time(self) -> Overlap:
        if self._timestamp is None:
            return self._unknown("time", "not searched: no column of the dataset has the role timestamp")
        name = self._timestamp
        is_old = self._training_cutoff.too_old(
            np.concatenate([as_microseconds(table[name]) for table in self._tables()])
        )
        if is_old is None:
            return self._unknown("time", f"not searched: {self._training_cutoff.description}")
        first = np.flatnonzero(is_old)[:NUM_PAIRS].tolist()
        return Overlap(
            kind="time",
            num_rows=int(is_old.sum()),
            bound=self._check.time if self._cutoff is None else 0.0,
            pairs=tuple(Pair(row=row, id=self._id_of(row), place="", value=None) for row in first),
            summary=self._training_cutoff.description,
            num_training_rows=self._training_cutoff.num_not_older,
        )

    def _id_of(self, row: int) -> str | None:
        if self._id is None:
            return None
        return str(self._reader.rows(row, 1)[self._id.name][0].as_py())
