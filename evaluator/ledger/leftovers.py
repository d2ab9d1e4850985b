"""Leftovers of interrupted writers in a ledger: incomplete files are removed, unfinished runs are listed."""

from dataclasses import dataclass

from assay.evaluator.ledger import reader
from assay.evaluator.storage import Store, StoredObject
from assay.manifests.ledger_layout import table_prefix

LEFT_AFTER_S = 3600.0
"""Incomplete files of this age are removed, unless a living process has locked them."""


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that was opened and is not committed. Running its experiment again resumes it.

    Attributes:
        run_id: The run's id.
        num_files: The number of its files of scores, one per unit.
        size_bytes: Their size in bytes.
    """

    run_id: str
    num_files: int
    size_bytes: int


@dataclass(frozen=True)
class Leftovers:
    """What interrupted writers left.

    Attributes:
        removed: The incomplete files that were removed.
        unfinished: The runs that are not committed, which are kept.
    """

    removed: tuple[StoredObject, ...]
    unfinished: tuple[UnfinishedRun, ...]


def tidy(store: Store) -> Leftovers:
    """Removes incomplete files, and lists unfinished runs.

    Raises:
        StoreError: A file cannot be removed, or a folder cannot be listed.
    """
    removed = store.remove_leftovers(older_than_s=LEFT_AFTER_S)
    unfinished = []
    for run in reader.runs(store):
        if not run.committed:
            files = list(store.listing(table_prefix("scores", run.run_id)))
            unfinished.append(UnfinishedRun(run.run_id, len(files), sum(file.size_bytes for file in files)))
    return Leftovers(removed, tuple(unfinished))
