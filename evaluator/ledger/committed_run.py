"""A committed run, read once: its record, its files, its tables and its scores."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader
from assay.evaluator.ledger.record_check import record_problems
from assay.evaluator.ledger.run_scores import RunScores
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import Table, commit_key, run_key
from assay.manifests.run import Run


class CommittedRun:
    """A committed run. Each of its files is read and verified when it is first needed, and not again.

    A committed run never changes, so what was read stays true.

    Attributes:
        store: The ledger's store.
        run_id: The run's id.
        commit: What its commit record says.
        files: The files that its commit record lists.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        """Reads the commit record.

        Raises:
            LedgerError: The run is unknown, or not committed.
            DamageError: The commit record was changed, or belongs to another run.
        """
        self.store, self.run_id = store, run_id
        self.commit = reader.read_commit_record(store, run_id)
        for problem in self.commit.problems(run_id):
            raise DamageError(f"{store.uri}: '{commit_key(run_id)}' {problem}; {reader.REMEDY}")
        self.files = self.commit.files
        self._tables: dict[Table, pa.Table] = {}
        self._scores: dict[tuple[str, ...], RunScores] = {}

    @cached_property
    def record(self) -> Run:
        """The run as it was opened.

        Raises:
            DamageError: The record is not the one that was committed, or its run id or digests contradict its content.
        """
        run, digest = reader.read_run_record(self.store, self.run_id)
        problems = record_problems(run, self.run_id, digest=digest, committed_digest=self.commit.record_digest)
        for problem in problems:
            raise DamageError(f"{self.store.uri}: '{run_key(self.run_id)}' {problem}; {reader.REMEDY}")
        return run

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
