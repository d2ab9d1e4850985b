"""Past runs: what a new run needs to know about the ledger's other runs, without reading each of them.

What was read is kept in one file, the index. It follows from the other files and is never authoritative: if it is missing
or cannot be used, the same is read again.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, overload

from pydantic import TypeAdapter

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError, LedgerError, OutageError, StoreError
from assay.evaluator.ledger import log_chain, reader, version_log
from assay.evaluator.ledger.ledger_problem import LedgerProblem
from assay.evaluator.ledger.log_chain import START, Position
from assay.evaluator.ledger.reader import OpenedRun
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.unreadable import first_line
from assay.evaluator.storage import Store
from assay.evaluator.storage.file_errors import shown
from assay.manifests.ledger_layout import INDEX_KEY, LAYOUT, RECORD_KEY, commit_key, run_key
from assay.manifests.log_entry import CommitEntry
from assay.manifests.spent import Spent

_ARM_COLUMNS = ["arm", "status", "slot_s", "load_s", "probe_s", "write_s", "num_rows_evaluated", "devices"]


@dataclass(frozen=True)
class FirstUnit:
    """The first published unit of an arm.

    Attributes:
        opened_files: The sha256 of each file that the arm's code opened itself, by its name.
        device_class: The class of the device that scored it.
        environment_digest: Digest of the package versions with which it was scored.
    """

    opened_files: dict[str, str]
    device_class: str
    environment_digest: str


@dataclass
class _Entry:
    """What is known about one run.

    Attributes:
        sha256: Digest of the run's record.
        record_bytes: Its size in bytes.
        commit_bytes: The size of the commit record in bytes; 0: not committed. What follows `run` is only kept of
            committed runs, since it may change before.
        run: What the record says.
        logged: The position in the version log behind the entry of its commit; None: not found there yet.
        spent: What the run has cost; None: not read yet.
        arms: Rows of its table `arms`; None: not read yet.
        first_units: The first unit of each arm of which it was read.
    """

    sha256: str
    record_bytes: int
    commit_bytes: int
    run: OpenedRun
    logged: Position | None = None
    spent: Spent | None = None
    arms: list[dict[str, Any]] | None = None
    first_units: dict[str, FirstUnit] = field(default_factory=dict)


_INDEX = TypeAdapter(dict[str, _Entry])
"""The index: entries by the keys of the runs' records."""


class PastRuns(Sequence[OpenedRun]):
    """The runs that a ledger had when this was created, oldest first. Anything else about them is read when needed.

    Attributes:
        problems: Records that cannot be used, whose runs are left out, and files among them that are no records.
        log_position: The newest position in the version log that was read; its start until `log_commits`.
    """

    def __init__(self, store: Store, *, known: "PastRuns | None" = None) -> None:
        """Lists the runs and reads the index and the records of the runs that are not in it.

        Args:
            store: The ledger.
            known: What this process has read before; it replaces the index.
        """
        self._store, self.log_position = store, START
        self.problems: list[LedgerProblem] = []
        records, commits = (self._records_in(folder) for folder in ("runs", "commits"))
        if known is None:
            before, self._is_new = _index(store, records), False
        else:
            before, self._is_new = known._entries, known._is_new  # noqa: SLF001  # of this class
        self._entries: dict[str, _Entry] = {}
        for key, record_bytes in records.items():
            entry = before.get(key)
            if entry is None or entry.record_bytes != record_bytes:
                entry, self._is_new = self._entry(key), True
                if entry is None:
                    continue
            commit_bytes = commits.get(commit_key(entry.run.run_id), 0)
            if entry.commit_bytes != commit_bytes:
                entry = _Entry(entry.sha256, entry.record_bytes, commit_bytes, entry.run)
            if run_key(entry.run.run_id) == key:
                self._entries[key] = entry
            else:
                self.problems.append(
                    LedgerProblem(key, f"is the record of run '{entry.run.run_id}': it was moved or copied")
                )
        self._runs = sorted((each.run for each in self._entries.values()), key=lambda run: (run.opened_at, run.run_id))

    def _records_in(self, folder: str) -> dict[str, int]:
        """The sizes of the records in a folder by key."""
        found = {stored.key: stored.size_bytes for stored in self._store.listing(f"{LAYOUT}/{folder}/")}
        foreign = [key for key in found if not RECORD_KEY.fullmatch(key)]
        self.problems += [LedgerProblem(shown(key), "was not written by Assay") for key in foreign]
        return {key: size_bytes for key, size_bytes in found.items() if key not in foreign}

    def _entry(self, key: str) -> _Entry | None:
        """What a record says; None if it cannot be used. Another run's record must not stop this one."""
        try:
            return _read(self._store, key)
        except OutageError:
            raise
        except (DamageError, StoreError) as error:
            self.problems.append(LedgerProblem(key, str(error)))
        except FileNotFoundError:
            self.problems.append(LedgerProblem(key, "was removed while it was read"))
        return None

    @overload
    def __getitem__(self, index: int) -> OpenedRun: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[OpenedRun]: ...
    def __getitem__(self, index: int | slice) -> OpenedRun | Sequence[OpenedRun]:
        """A run, or some of them, by position."""
        return self._runs[index]

    def __len__(self) -> int:
        """The number of runs."""
        return len(self._runs)

    def is_committed(self, run_id: str) -> bool:
        """Whether one of these runs was committed when they were listed."""
        return self._entries[run_key(run_id)].commit_bytes > 0

    def spent(self, run_id: str) -> Spent | None:
        """What a run and the runs that it supersedes have cost, from its recorded progress; None if not recorded."""
        entry = self._entries.get(run_key(run_id))  # None: the record of a run that another one supersedes is gone
        if entry is not None and entry.spent is not None:
            return entry.spent
        progress = reader.recorded_progress(self._store, run_id)
        if entry is not None and entry.commit_bytes and progress is not None and progress.state != "running":
            entry.spent, self._is_new = progress.spent, True
        return None if progress is None else progress.spent

    def arms(self, run_id: str) -> list[dict[str, Any]]:
        """How long each arm of a committed run took, from its table `arms`.

        Raises:
            DamageError: The table is missing or was changed.
        """
        entry = self._entries[run_key(run_id)]
        if entry.arms is None:
            entry.arms, self._is_new = _arms(self._store, run_id), True
        return entry.arms

    def first_unit(self, run_id: str, arm: str) -> FirstUnit | None:
        """The first published unit of an arm whose file can be read; None if there is none."""
        entry = self._entries[run_key(run_id)]
        if arm in entry.first_units:
            return entry.first_units[arm]
        receipt = reader.first_receipt(self._store, run_id, arm)
        if receipt is None:
            return None
        first = _first_unit(receipt)
        if entry.commit_bytes and receipt.unit == 0:  # a late slot may still publish one before any other
            entry.first_units[arm], self._is_new = first, True
        return first

    def is_as_recorded(self, run: OpenedRun) -> bool:
        """Whether the record of one of these runs says the same. Reads the record."""
        with suppress(FileNotFoundError, DamageError):
            return _read(self._store, run_key(run.run_id)).run == run
        return False

    def log_commits(self) -> tuple[str, ...]:
        """Appends to the version log the commits that crashes have left out of it.

        Reads what the log has had since the newest entry that the index knows of.

        Returns:
            Why some could not be appended, or contradict the log.
        """
        if not any(each.commit_bytes and not each.logged for each in self._entries.values()):
            return ()
        known = [each.logged for each in self._entries.values() if each.logged]
        start = max(known, key=lambda position: position.number, default=START)
        with suppress(DamageError):  # the index may be of another ledger; what follows does not rely on it
            for entry in log_chain.entries(self._store, after=start):
                self.log_position = Position.behind(entry)
                if isinstance(entry, CommitEntry) and run_key(entry.run_id) in self._entries:
                    self._entries[run_key(entry.run_id)].logged = self.log_position
                    self._is_new = True
        # Also before that entry there may be commits unknown to the index, of runs that were listed before they committed.
        left_out = [each.run.run_id for each in self._entries.values() if each.commit_bytes and not each.logged]
        logged = version_log.record_commits(self._store, left_out)
        for run_id, position in logged.positions.items():
            self._entries[run_key(run_id)].logged = position
            self._is_new = True
        return tuple(dict.fromkeys(logged.problems.values()))

    def keep(self) -> None:
        """Replaces the index, unless nothing was read that was not in it. The last of several writers wins."""
        if self._is_new:
            with suppress(StoreError, OSError):  # without the index, later runs only read more
                self._store.replace(INDEX_KEY, gzip.compress(_INDEX.dump_json(self._entries), mtime=0))
                self._is_new = False


def index_problems(store: Store) -> Iterator[LedgerProblem]:
    """Whatever the index says that the records and tables do not. Reads them all."""
    remedy = "it is not evidence: delete it, and the next run writes it again"
    try:
        entries = _INDEX.validate_json(gzip.decompress(store.get(INDEX_KEY)))
    except FileNotFoundError:
        return
    except _UNREADABLE as error:
        yield LedgerProblem(INDEX_KEY, f"cannot be read ({first_line(error)}); {remedy}")
        return
    for key, entry in entries.items():
        # A record or table that is missing or damaged is a problem of its own.
        with suppress(FileNotFoundError, DamageError, LedgerError):
            if not _agrees(store, key, entry):
                yield LedgerProblem(INDEX_KEY, f"contradicts the files of run '{entry.run.run_id}'; {remedy}")


def logged_runs(store: Store) -> tuple[str, ...]:
    """The runs whose commits the version log has, according to the index; none if it is missing or cannot be read."""
    with suppress(*_UNREADABLE):
        entries = _INDEX.validate_json(gzip.decompress(store.get(INDEX_KEY)))
        return tuple(entry.run.run_id for entry in entries.values() if entry.logged)
    return ()


_UNREADABLE = (DamageError, StoreError, OSError, EOFError, zlib.error, ValueError)
"""What reading a damaged index, or that of another release, can raise."""


def _index(store: Store, records: dict[str, int]) -> dict[str, _Entry]:
    """The entries of the index; none if it is missing, damaged, or of another ledger or release."""
    try:
        entries = _INDEX.validate_json(gzip.decompress(store.get(INDEX_KEY)))
        last = max(key for key, entry in entries.items() if records.get(key) == entry.record_bytes)
        # Another ledger can have runs of the same names, but not with the same records.
        is_ours = entries[last].sha256 == fingerprint.sha256_digest(store.get(last))
    except _UNREADABLE:
        return {}
    return entries if is_ours else {}


def _agrees(store: Store, key: str, entry: _Entry) -> bool:
    now, run_id = _read(store, key), entry.run.run_id
    if (now.sha256, now.run) != (entry.sha256, entry.run):
        return False
    if not entry.commit_bytes:
        return True
    if entry.arms not in (None, _arms(store, run_id)):
        return False
    receipts = ((first, reader.first_receipt(store, run_id, arm)) for arm, first in entry.first_units.items())
    return all(receipt is not None and first == _first_unit(receipt) for first, receipt in receipts)


def _read(store: Store, key: str) -> _Entry:
    content = store.get(key)
    return _Entry(fingerprint.sha256_digest(content), content.size, 0, reader.opened_run(content))


def _arms(store: Store, run_id: str) -> list[dict[str, Any]]:
    return reader.read_table(store, reader.committed_files(store, run_id), "arms", _ARM_COLUMNS).to_pylist()


def _first_unit(receipt: UnitReceipt) -> FirstUnit:
    conditions = receipt.facts.conditions
    return FirstUnit(dict(receipt.facts.opened_files), conditions.device_class, conditions.environment_digest)
