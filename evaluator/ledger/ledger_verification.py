"""Verification of a ledger: compares all of its content with what was recorded. Problems are listed, never repaired."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import get_args

from assay.evaluator import fingerprint
from assay.evaluator.ledger import append_only_table, calibrations, past_runs, reader
from assay.evaluator.ledger.ledger_problem import LedgerProblem
from assay.evaluator.ledger.log_chain import Position
from assay.evaluator.ledger.log_check import LogCheck
from assay.evaluator.ledger.readable_store import ReadableStore, no_file
from assay.evaluator.ledger.run_check import RunCheck
from assay.evaluator.storage import A_FOLDER, Store
from assay.evaluator.storage.file_errors import shown
from assay.manifests.ledger_layout import (
    CALIBRATION_KEY,
    FORMAT,
    FORMAT_KEY,
    LAYOUT,
    LOG_KEY,
    PART_KEY,
    PATCH_PREFIX,
    RECORD_KEY,
    RUN_ID,
    SET_ASIDE_PREFIX,
    Table,
    commit_key,
    patch_key,
    run_key,
    unit_place,
)

_PLACES = re.compile(
    rf"{re.escape(FORMAT_KEY)}|{LOG_KEY.pattern}|{PART_KEY.pattern}|{PATCH_PREFIX}[0-9a-f]{{64}}\.patch"
    rf"|{LAYOUT}/(index/(runs\.json\.gz|log\.json)|progress/{RUN_ID}\.json|submissions/[^/]+/(run|cancel)\.json"
    rf"|runs/{RUN_ID}\.json|commits/(?P<committed>{RUN_ID})\.parquet"
    rf"|data/({'|'.join(get_args(Table))})/(?P<run>[^/]+)/.+\.parquet)"
    rf"|{CALIBRATION_KEY.pattern}"
)
"""The keys under which Assay writes, other than those of files that were set aside."""
_SCORES = f"{LAYOUT}/data/scores/"


@dataclass(frozen=True)
class LedgerVerification:
    """How much was checked, and every problem.

    Attributes:
        num_runs: Opened runs, committed or not.
        num_files: Files of the runs' tables, the bytes of each of which were read.
        num_entries: Intact entries of the log.
        unlogged: Committed runs that the log does not have yet: their drivers have just committed them, or died before
            they could log it. No problem: the next run in this ledger logs them.
        problems: Everything that is not as recorded.
    """

    num_runs: int
    num_files: int
    num_entries: int
    unlogged: tuple[str, ...]
    problems: tuple[LedgerProblem, ...]


def verify_ledger(store: Store, *, seal: str | None = None, deep: bool = False) -> LedgerVerification:
    """Reads the whole ledger, with one file in memory at a time.

    Every file that a commit record names is compared with the digest in that record. Files in no commit record are
    units and tables of arms or drivers that did not finish: units are compared with their own receipts, tables with
    the digest in their names. Progress and submissions are not evidence and are not checked;
    the index of runs is not evidence either, but is compared with what it was derived from. When a run was opened and
    with which resources, and who committed it and when, can be checked once the log has the run.

    Args:
        store: The ledger's store.
        seal: A seal of the log that was kept elsewhere; the log must still have it.
        deep: Whether to read the rows of every file of committed runs, too, and to compare them with their receipts and
            with the run's record.
    """
    store = readable = ReadableStore(store)
    problems = list(_format(store))
    log = LogCheck(store)
    objects = _Objects(store)
    states = reader.runs(store)
    orphans = {key for key in objects.commits if RECORD_KEY.fullmatch(key)} - {
        commit_key(each.run_id) for each in states
    }
    problems += [LedgerProblem(key, "is the commit record of a run that has no run record") for key in sorted(orphans)]
    num_files, positions, of_runs = 0, dict[str, Position](), list[LedgerProblem]()
    for state in states:
        check = RunCheck(store, state.run_id, keys=objects.of_tables.get(state.run_id, ()), deep=deep)
        of_runs += check.problems()
        num_files += check.num_files
        if check.logged_before is not None:
            positions[state.run_id] = check.logged_before
    log.read(positions, seal=seal)
    problems += [*log.problems, *of_runs]
    problems += _patches(store)
    problems += [
        LedgerProblem(key, problem) for key in calibrations.keys(store) if (problem := calibrations.read(store, key)[1])
    ]
    problems += [LedgerProblem(key, problem) for key, problem in append_only_table.changed_parts(store)]
    problems += past_runs.index_problems(store)
    problems += _unexpected_objects(store, objects, {state.run_id for state in states})
    unreadable = {**readable.unreadable, **_strays(store)}
    problems = [each for each in problems if each.key not in unreadable]  # such as "is missing"
    problems += [LedgerProblem(key, problem) for key, problem in sorted(unreadable.items())]
    printable = tuple(LedgerProblem(shown(each.key), shown(each.problem)) for each in problems)  # keys may be any bytes
    return LedgerVerification(len(states), num_files, log.num_entries, log.unlogged, printable)


def _format(store: Store) -> Iterator[LedgerProblem]:
    try:
        content = store.get(FORMAT_KEY).to_pybytes()
    except FileNotFoundError:
        yield LedgerProblem(FORMAT_KEY, "is missing: this is not a ledger, or the file was deleted")
        return
    if content != FORMAT.encode():
        yield LedgerProblem(FORMAT_KEY, f"was changed: {content[:80]!r}")


def _strays(store: Store) -> dict[str, str]:
    """What is no file, but is where one must be, or where nothing but folders and files may be, by key."""
    return {
        key: no_file(kind)
        for key, kind in store.strays(f"{LAYOUT}/")
        if not key.startswith(SET_ASIDE_PREFIX) and (kind != A_FOLDER or _is_place_of_a_file(key))
    }


def _is_place_of_a_file(key: str) -> bool:
    """Whether Assay writes files under a key. A folder may have the name of an arm, which may end in ".parquet"."""
    return unit_place(key) is not None if key.startswith(_SCORES) else _PLACES.fullmatch(key) is not None


def _patches(store: Store) -> Iterator[LedgerProblem]:
    """Patches whose content does not match the digest in their names."""
    for patch in store.listing(PATCH_PREFIX):
        with suppress(FileNotFoundError):  # named as what cannot be read
            is_intact = patch_key(fingerprint.sha256_digest(store.get(patch.key))) == patch.key
            if not is_intact and _PLACES.fullmatch(patch.key):
                yield LedgerProblem(patch.key, "was changed: its content does not match the digest in its name")


class _Objects:
    """The keys of a ledger's objects, from one listing.

    Attributes:
        of_tables: Per run, the keys of its tables' files.
        commits: The keys of all commit records.
        owners: Per run that has any object other than its record, the key of one.
        others: The keys under which Assay does not write.
    """

    def __init__(self, store: Store) -> None:
        self.of_tables: dict[str, list[str]] = {}
        self.commits: set[str] = set()
        self.owners: dict[str, str] = {}
        self.others: list[str] = []
        for stored in store.listing(f"{LAYOUT}/"):
            if stored.key.startswith(SET_ASIDE_PREFIX):
                continue
            place = _PLACES.fullmatch(stored.key)
            if place is None:
                self.others.append(stored.key)
                continue
            if place["run"]:
                self.of_tables.setdefault(place["run"], []).append(stored.key)
            elif place["committed"]:
                self.commits.add(stored.key)
            owner = place["run"] or place["committed"] or place["calibrated"]
            if owner:
                self.owners.setdefault(owner, stored.key)


def _unexpected_objects(store: Store, objects: _Objects, run_ids: set[str]) -> Iterator[LedgerProblem]:
    """Objects under keys that Assay does not use, and objects of runs that have no record."""
    for key in objects.others:
        yield LedgerProblem(key, "was not written by Assay")
    for run_id, key in objects.owners.items():
        if run_id not in run_ids and not store.exists(run_key(run_id)):  # it may have been opened in the meantime
            yield LedgerProblem(run_key(run_id), f"is missing: '{key}' belongs to this run")
