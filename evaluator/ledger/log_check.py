"""The check of a ledger's version log: the chain itself, and whether it and the runs say the same of each other."""

from collections.abc import Iterator, Mapping

from assay.evaluator import fingerprint
from assay.evaluator.ledger import log_chain, past_runs
from assay.evaluator.ledger.ledger_problem import LedgerProblem
from assay.evaluator.ledger.log_chain import Position
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import INDEX_KEY, LOG_HINT_KEY, LOG_PREFIX, commit_key, log_key, run_key
from assay.manifests.log_entry import BaseRunEntry, CommitEntry

_CUT_SHORT = "the log was cut short or replaced"


class LogCheck:
    """Reads the log, and lists what is wrong with it. What refers to the log is looked at first, since runs go on.

    Attributes:
        num_entries: Intact entries.
        unlogged: Committed runs that the log does not have.
        problems: Everything that is not as recorded.
    """

    def __init__(self, store: Store) -> None:
        """Reads the hint and the index, which refer to the log."""
        self._store = store
        self._hinted, self._indexed = log_chain.hinted_number(store), past_runs.logged_runs(store)
        self.num_entries, self.unlogged, self.problems = 0, tuple[str, ...](), list[LedgerProblem]()

    def read(self, positions: Mapping[str, Position], *, seal: str | None) -> None:
        """Reads the log.

        Args:
            positions: For each committed run, a position that the log had before its commit.
            seal: A seal that was kept elsewhere, which the log must have.
        """
        store = self._store
        links = list(log_chain.links(store))
        self._entries = {link.entry.number: link.entry for link in links if link.entry is not None}
        self._newest = max((link.number for link in links), default=0)
        commits = [entry for entry in self._entries.values() if isinstance(entry, CommitEntry)]
        self._logged = {entry.run_id: entry for entry in reversed(commits)}
        self.num_entries = len(self._entries)
        self.unlogged = tuple(run_id for run_id in positions if run_id not in self._logged)
        self.problems = [LedgerProblem(link.key, link.problem) for link in links if link.entry is None]
        if seal is not None and seal not in {entry.seal for entry in self._entries.values()}:
            self.problems.append(LedgerProblem(LOG_PREFIX, f"has no entry with the seal {seal}: {_CUT_SHORT}"))
        self.problems += self._changed_records()
        self.problems += [
            LedgerProblem(
                log_key(entry.number),
                f"logs the commit of run '{entry.run_id}', which entry {self._logged[entry.run_id].number} logs",
            )
            for entry in commits
            if entry is not self._logged[entry.run_id]
        ]
        for run_id, position in positions.items():
            self.problems += self._contradictions(run_id, position)
        self.problems += self._derived()

    def _changed_records(self) -> Iterator[LedgerProblem]:
        """The records of runs whose digests are not those in the log's entries. Each is listed once."""
        expected = {
            (key, digest): entry
            for entry in reversed(self._entries.values())
            if isinstance(entry, BaseRunEntry)
            for key, digest in (
                (run_key(entry.run_id), entry.record_digest),
                (commit_key(entry.run_id), entry.commit_digest),
            )
        }
        for (key, digest), entry in expected.items():
            try:
                digest_now = fingerprint.sha256_digest(self._store.get(key))
            except FileNotFoundError:
                yield LedgerProblem(key, f"is missing: entry {entry.number} of the log refers to it")
                continue
            if digest_now != digest:
                yield LedgerProblem(key, f"was changed: entry {entry.number} of the log has {digest}, now {digest_now}")

    def _contradictions(self, run_id: str, before: Position) -> Iterator[LedgerProblem]:
        """What a run's commit record says about the log that is not so."""
        key = commit_key(run_id)
        if before == log_chain.START:
            return
        entry, logged = self._entries.get(before.number), self._logged.get(run_id)
        if before.number > self._newest or (entry is not None and entry.seal != before.seal):
            yield LedgerProblem(
                key, f"refers to entry {before.number} of the log with the seal {before.seal}: {_CUT_SHORT}"
            )
        elif logged is not None and logged.number <= before.number:
            yield LedgerProblem(
                key, f"refers to entry {before.number} of the log as an earlier one, but entry {logged.number} logs it"
            )

    def _derived(self) -> Iterator[LedgerProblem]:
        """What the hint and the index say about the log that is not so."""
        remedy = "or this file is of another ledger: it is not evidence, and can be deleted"
        if self._hinted > self._newest:
            yield LedgerProblem(LOG_HINT_KEY, f"refers to entry {self._hinted} of the log: {_CUT_SHORT}, {remedy}")
        for run_id in self._indexed:
            if run_id not in self._logged:
                yield LedgerProblem(INDEX_KEY, f"says that the log has run '{run_id}': {_CUT_SHORT}, {remedy}")
