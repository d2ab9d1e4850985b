"""The verification of a ledger: everything in it against what was recorded of it; what is wrong is named, never repaired."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from assay.evaluator import fingerprint
from assay.evaluator.ledger import calibrations, reader, version_log
from assay.evaluator.ledger.ledger_problem import LedgerProblem
from assay.evaluator.ledger.run_check import RunCheck
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import (
    FORMAT,
    FORMAT_KEY,
    LAYOUT,
    LOG_PREFIX,
    PATCH_PREFIX,
    Table,
    commit_key,
    patch_key,
    run_key,
)
from assay.manifests.log_entry import LogEntry

_PLACES = re.compile(
    rf"{LAYOUT}/(FORMAT\.json|(log|progress|submissions|index|patches)/.+|runs/[^/]+\.json"
    rf"|calibrations/(?P<calibrated>[^/]+)/[^/]+\.json|commits/(?P<committed>[^/]+)\.parquet"
    rf"|data/({'|'.join(get_args(Table))})/run_id=(?P<run>[^/]+)/.+\.parquet)"
)
"""Where Assay writes."""


@dataclass(frozen=True)
class LedgerVerification:
    """What was looked at, and what is wrong with it.

    Attributes:
        num_runs: Opened runs, committed or not.
        num_files: Files of their tables, read from the first byte to the last.
        num_entries: Whole entries of the log.
        log_head: The seal of its newest entry; None if there is none.
        problems: Everything that is not as recorded.
    """

    num_runs: int
    num_files: int
    num_entries: int
    log_head: str | None
    problems: tuple[LedgerProblem, ...]


def verify_ledger(store: Store, *, log_head: str | None = None) -> LedgerVerification:
    """Reads the whole ledger, one file in memory at a time.

    What a commit record names is compared with it byte by byte. Other files are units and tables of arms or drivers
    that did not finish: units are compared with their own receipts, tables with the digest in their names. Progress
    and submissions are no evidence. When a run was opened and with which resources, and who committed it when, is
    vouched for only by entries of the log about it.

    Args:
        store: The ledger's store.
        log_head: A seal that somebody kept: the log must still have it.
    """
    problems = list(_format(store))
    entries: list[LogEntry] = []
    for link in version_log.links(store):
        if link.entry is None:
            problems.append(LedgerProblem(link.key, link.problem))
        else:
            entries.append(link.entry)
    if log_head is not None and log_head not in {entry.seal for entry in entries}:
        problems.append(
            LedgerProblem(LOG_PREFIX, f"has no entry with the seal {log_head}: it was cut short or replaced")
        )
    problems += _vouched(store, entries)
    states = reader.runs(store)
    orphans = {found.key for found in store.listing(f"{LAYOUT}/commits/")} - {
        commit_key(each.run_id) for each in states
    }
    problems += [LedgerProblem(key, "is the commit record of a run that has no record") for key in sorted(orphans)]
    num_files = 0
    for state in states:
        check = RunCheck(store, state.run_id)
        problems += check.problems()
        num_files += check.num_files
    problems += _patches(store)
    problems += [
        LedgerProblem(key, problem) for key in calibrations.keys(store) if (problem := calibrations.read(store, key)[1])
    ]
    problems += _strangers(store, {state.run_id for state in states})
    head = entries[-1].seal if entries else None
    return LedgerVerification(len(states), num_files, len(entries), head, tuple(problems))


def _format(store: Store) -> Iterator[LedgerProblem]:
    try:
        content = store.get(FORMAT_KEY).to_pybytes()
    except FileNotFoundError:
        yield LedgerProblem(FORMAT_KEY, "is missing: this is no ledger, or one without its beginning")
        return
    if content != FORMAT.encode():
        yield LedgerProblem(FORMAT_KEY, f"was changed: {content[:80]!r}")


def _vouched(store: Store, entries: list[LogEntry]) -> Iterator[LedgerProblem]:
    """The records of runs, as entries of the log remember them; each said once."""
    wanted = {
        (key, digest): entry
        for entry in reversed(entries)
        for key, digest in (
            (run_key(entry.run_id), entry.record_digest),
            (commit_key(entry.run_id), entry.commit_digest),
        )
    }
    for (key, digest), entry in wanted.items():
        try:
            found = fingerprint.sha256_digest(store.get(key))
        except FileNotFoundError:
            yield LedgerProblem(key, f"is missing: entry {entry.number} of the log speaks of it")
            continue
        if found != digest:
            yield LedgerProblem(key, f"was changed: in entry {entry.number} of the log it is {digest}, now {found}")


def _patches(store: Store) -> Iterator[LedgerProblem]:
    """Every patch against the digest in its name."""
    for found in store.listing(PATCH_PREFIX):
        if patch_key(fingerprint.sha256_digest(store.get(found.key))) != found.key:
            yield LedgerProblem(found.key, "was changed: its content is not what its name says")


def _strangers(store: Store, run_ids: set[str]) -> Iterator[LedgerProblem]:
    """What lies where nothing of the kind belongs, and runs whose record is gone."""
    known = set(run_ids)
    for found in store.listing(f"{LAYOUT}/"):
        place = _PLACES.fullmatch(found.key)
        if place is None:
            yield LedgerProblem(found.key, "is nothing that Assay writes")
            continue
        run_id = place["run"] or place["committed"] or place["calibrated"]
        if run_id is not None and run_id not in known:
            known.add(run_id)
            if not store.exists(run_key(run_id)):  # it may have been opened since
                yield LedgerProblem(run_key(run_id), f"is missing: '{found.key}' belongs to this run")
