"""Opened files: whether a file that a variant's code opened in an earlier run has changed since.

No import shows such a file, and a first run cannot know of it. Each unit records which files the code of its arm opened
while it was loaded and probed. A later run compares them; if one has changed, the variant is another one.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from assay.evaluator.errors import DamageError, OutageError, StoreError
from assay.evaluator.fingerprint import sha256_digest
from assay.evaluator.ledger.past_runs import PastRuns
from assay.evaluator.provenance.code_files import code_file_digest
from assay.manifests import Arm, Experiment

Files = Mapping[str, str]
"""The sha256 of files by their names."""


class _Earlier(NamedTuple):
    """A variant that earlier runs have evaluated: its changed files as it names them, and the arms that it was."""

    opened: Files
    arms: list[tuple[str, str]]


def with_opened_files(experiment: Experiment, past: PastRuns, *, folders: Sequence[str]) -> Experiment:
    """The experiment with the changed files of each arm filled in, as `Variant.opened`.

    A file of the user's own folders that is gone has the digest of an empty one. Any other file that this machine does
    not have cannot be compared: nodes of a cluster may have it.

    Args:
        experiment: A resolved experiment.
        past: The runs of its ledger.
        folders: The folders that the names of files are relative to.
    """
    earlier: dict[str, dict[str, _Earlier]] = {}  # by base digest, then by the variant's own
    for run in past:
        for arm, base_digest in run.base_digests.items():
            alike = earlier.setdefault(base_digest, {})
            alike.setdefault(run.variant_digests[arm], _Earlier(run.opened[arm], [])).arms.append((run.run_id, arm))
    arms = tuple(
        _with_files(arm, [*earlier.get(arm.variant.base_digest(), {}).values()], past, folders)
        for arm in experiment.arms
    )
    return experiment.model_copy(update={"arms": arms})


def _with_files(arm: Arm, earlier: Sequence[_Earlier], past: PastRuns, folders: Sequence[str]) -> Arm:
    recorded = [(each.opened, _recorded(past, each.arms)) for each in earlier]
    names = sorted({name for _, files in recorded for name in files})
    if not names:
        return arm
    now = {name: digest for name in names if (digest := _digest(name, folders))}
    # As in an earlier run, if all of its files are the same.
    same = (opened for opened, files in recorded if all(now.get(name, was) == was for name, was in files.items()))
    opened = next(same, now)
    return arm.model_copy(update={"variant": arm.variant.model_copy(update={"opened": dict(opened)})})


def _recorded(past: PastRuns, arms: Sequence[tuple[str, str]]) -> Files:
    """The files that a variant opened, by the first intact unit of the first arm that has one; none before that."""
    for run_id, arm in arms:
        try:
            first = past.first_unit(run_id, arm)
        except OutageError:
            raise
        except (DamageError, StoreError):  # another run's damage stops no run; 'assay ledger verify' names it
            continue
        if first is not None:
            return first.opened_files
    return {}


def _digest(name: str, folders: Sequence[str]) -> str:
    for folder in folders:
        with suppress(OSError):
            return code_file_digest(Path(folder, name))
    return "" if Path(name).is_absolute() else sha256_digest(b"")
