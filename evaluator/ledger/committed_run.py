"""A committed run, read once: its record, its files, its tables and its scores."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import fingerprint
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.run_scores import RunScores
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import Table
from assay.manifests.run import Run


class CommittedRun:
    """A committed run. Each of its files is read and verified when it is first needed, and not again.

    A committed run never changes, so what was read stays true.

    Attributes:
        store: The ledger's store.
        run_id: The run's id.
        files: The files that its commit record lists.
        commit_digest: The digest of its commit record.
        committed_at: When it was committed: UTC, ISO 8601.
        logged_before: A position that the version log had before.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        """Reads the commit record.

        Raises:
            LedgerError: The run is unknown, or not committed.
        """
        content = reader.read_commit_record(store, run_id)
        self.store, self.run_id = store, run_id
        self.files = reader.files_in(content)
        times = pq.read_table(pa.BufferReader(content), columns=["committed_at"])["committed_at"]
        self.committed_at: str = times[0].as_py()
        self.logged_before = reader.logged_before(content)
        self.commit_digest = fingerprint.sha256_digest(content)
        self._tables: dict[Table, pa.Table] = {}
        self._scores: dict[tuple[str, ...], RunScores] = {}

    @cached_property
    def record(self) -> Run:
        """The run as it was opened.

        Raises:
            DamageError: The record does not have the form that this release writes.
        """
        return reader.read_run(self.store, self.run_id)

    def table(self, name: Table) -> pa.Table:
        """One of its tables other than `scores`; empty if it has no file of it.

        Raises:
            DamageError: A file of it is missing or was changed.
        """
        if name not in self._tables:
            self._tables[name] = reader.read_table(self.store, self.files, name)
        return self._tables[name]

    def rows(self, name: Table) -> list[dict[str, Any]]:
        """The rows of one of its tables."""
        return self.table(name).to_pylist()

    def scores(self, arms: Sequence[str], columns: Iterable[str]) -> RunScores:
        """The scores of some arms, with these columns kept. Columns that are kept for the same arms are not read again.

        Args:
            arms: The arms, all complete.
            columns: The columns to keep, under their names in the table `scores`.
        """
        wanted = list(columns)
        known = self._scores.get(tuple(arms))
        if known is not None and known.keeps(wanted):
            return known
        units = {arm: reader.score_files(self.files, arm) for arm in arms}
        self._scores[tuple(arms)] = RunScores(self.store, self.record, units, columns=wanted)
        return self._scores[tuple(arms)]
