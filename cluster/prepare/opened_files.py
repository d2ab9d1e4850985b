"""Opened files: whether a file that a variant's code opened in an earlier run has changed since.

No import shows such a file, and a first run cannot know of it. Each unit records which files the code of its arm opened
while it was loaded and probed. A later run compares them; if one has changed, the variant is another one.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from assay.evaluator.ledger import reader
from assay.evaluator.provenance.code_files import code_file_digest
from assay.evaluator.storage import Store
from assay.manifests import Arm, Experiment

Files = Mapping[str, str]
"""The sha256 of files by their names."""


def with_opened_files(experiment: Experiment, store: Store, *, folders: Sequence[str]) -> Experiment:
    """The experiment with the changed files of each arm filled in, as `Variant.opened`.

    Args:
        experiment: A resolved experiment.
        store: Its ledger.
        folders: The folders that the names of files are relative to.
    """
    earlier: dict[str, list[tuple[Files, reader.OpenedRun, str]]] = {}
    for run in reader.opened_runs(store):
        for arm, digest in run.base_digests.items():
            earlier.setdefault(digest, []).append((run.opened[arm], run, arm))
    arms = tuple(
        _with_files(arm, earlier.get(arm.variant.base_digest(), []), store, folders) for arm in experiment.arms
    )
    return experiment.model_copy(update={"arms": arms})


def _with_files(
    arm: Arm, earlier: Sequence[tuple[Files, reader.OpenedRun, str]], store: Store, folders: Sequence[str]
) -> Arm:
    recorded = [(opened, _recorded(store, run.run_id, name)) for opened, run, name in earlier]
    names = sorted({name for _, files in recorded for name in files})
    if not names:
        return arm
    now = {name: digest for name in names if (digest := _digest(name, folders))}
    # As in an earlier run, if all of its files are the same; a file that this machine does not have cannot be compared.
    same = (opened for opened, files in recorded if all(now.get(name, was) == was for name, was in files.items()))
    opened = next(same, now)
    return arm.model_copy(update={"variant": arm.variant.model_copy(update={"opened": dict(opened)})})


def _recorded(store: Store, run_id: str, arm: str) -> Files:
    """The files that an arm's code opened, by the record of its first published unit; none before there is one."""
    receipt = reader.first_receipt(store, run_id, arm)
    return {} if receipt is None else receipt.facts.get("opened_files", {})


def _digest(name: str, folders: Sequence[str]) -> str:
    for folder in folders:
        with suppress(OSError):
            return code_file_digest(Path(folder, name))
    return ""
