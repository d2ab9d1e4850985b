"""Reuse: units that another run of the ledger has scored under the same key are reused, not computed again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import rfc8785

from assay.cluster.drive.events import Event, event
from assay.evaluator import batches, fingerprint
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader, writer
from assay.evaluator.ledger.reader import OpenedRun
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.storage import Store
from assay.manifests import Experiment
from assay.manifests.run import Run


def unit_keys(experiment: Experiment, *, dataset_digest: str, environment: Mapping[str, str | None]) -> dict[str, str]:
    """The key of each arm's units: the digest of all that their scores depend on, but for two things.

    A unit's rows are not in it: its index stands for them, since dataset and batch size alone say where a unit
    begins and ends. The device is not in it either: only slots know theirs, so it is compared when a unit is found.

    Args:
        experiment: Resolved: weights and code by their digests.
        dataset_digest: The digest of the dataset.
        environment: The identity of the environment: versions that numbers depend on.
    """
    suite = experiment.suite
    shared = {
        "dataset": dataset_digest,
        "batch_size": suite.batch_size,
        "batching": batches.BATCHING_RULE,
        "seed": suite.seed,
        "repeats": suite.repeats,
        "determinism": suite.determinism.content(),
        # Measures of the whole dataset are made from these rows later: they shape no score.
        "scores": [metric.content() for metric in suite.metrics if metric.row_measure is not None],
        # The probe speaks of the primary metric; the tolerance decides of scores only where it does more than warn.
        "batch_sensitivity": [
            suite.on_batch_sensitivity,
            suite.primary.content(),
            None if suite.on_batch_sensitivity == "warn" else suite.batch_sensitivity_tolerance,
        ],
        "probabilities": suite.stores_probabilities,
        "environment": dict(environment),
    }
    control = next((arm.variant.digest() for arm in experiment.arms if arm.name == suite.plan.control), None)
    # Of an arm that is timed beside the control, units come with those times: with another control they are no use.
    timed = {"timed_beside": [control, suite.plan.num_timed_batches]} if suite.plan.num_timed_batches else {}
    return {
        arm.name: fingerprint.sha256_digest(
            rfc8785.dumps(
                {"variant": arm.variant.digest(), **shared, **(timed if arm.name != suite.plan.control else {})}
            )
        )
        for arm in experiment.arms
    }


@dataclass
class Reused:
    """What was reused.

    Attributes:
        receipts: Of each unit, as published in this run.
        events: What happened: a word per arm and source run, and every unit that was not trusted.
    """

    receipts: list[UnitReceipt] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def reuse_units(
    run: Run,
    *,
    published: Sequence[UnitReceipt],
    num_units: int,
    store: Store,
    sources: Sequence[OpenedRun],
    device_class: Callable[[str], str],
    on_reused: Callable[[UnitReceipt], None],
) -> Reused:
    """Publishes the units of a run that other runs have scored already. One unit's rows are in memory at a time.

    Only evaluated units are reused, never ones that were reused themselves: so the file that a receipt names
    is the one that was computed.

    Args:
        run: The opened run.
        published: What this run has already.
        num_units: Units per arm.
        store: The ledger.
        sources: Its runs, the oldest first.
        device_class: Asks what slots of an accelerator type (empty: any) work on, empty if nobody can tell; called
            only if there is something to reuse.
        on_reused: Called for each unit, as published in this run.
    """
    reused = Reused()
    missing = {arm.name: set(range(num_units)) for arm in run.experiment.arms}
    for receipt in published:
        missing[receipt.arm].discard(receipt.unit)
    accelerator_types = {arm.name: arm.accelerator_type or "" for arm in run.experiment.arms}
    devices: dict[str, str] = {}
    for source, arms in _alike(sources, run):
        wanted = {arm: theirs for arm, theirs in arms.items() if missing[arm]}
        if not wanted:
            continue
        if not _is_clean_enough(source, run):
            words = f"run '{source.run_id}' was not made from a clean repository: its units are not taken over"
            reused.events.append(event("reuse_refused", words))
            continue
        for accelerator_type in {accelerator_types[arm] for arm in wanted} - set(devices):
            devices[accelerator_type] = device_class(accelerator_type)
            if not devices[accelerator_type]:
                words = f"no slot came to tell its device: units of run '{source.run_id}' are not taken over"
                reused.events.append(event("reuse_refused", words))
        committed = _committed_sha256(store, source.run_id)
        for arm, theirs in wanted.items():
            num_reused = 0
            for unit, key in reader.stored_units(store, source.run_id, theirs).items():
                if unit not in missing[arm]:
                    continue
                try:
                    receipt, rows = reader.read_unit(store, key, committed_sha256=committed.get(key))
                except DamageError as error:
                    reused.events.append(event("reuse_refused", str(error), arm=arm, unit=unit))
                    continue
                if receipt.is_reused:
                    continue
                if not _is_alike(receipt, run, devices[accelerator_types[arm]]):
                    break  # as good as always, what one unit of an arm was made on, all of them were
                republished = writer.republish_unit(store, rows, receipt, run=run, arm=arm)
                reused.receipts.append(republished)
                missing[arm].remove(unit)
                num_reused += 1
                on_reused(republished)
            if num_reused:
                words = f"{num_reused} units of arm '{theirs}' of run '{source.run_id}'{_changes(source, run)}"
                reused.events.append(event("reused", words, arm=arm))
    return reused


def available(run: Run, arm: str, *, store: Store, sources: Sequence[OpenedRun]) -> set[int]:
    """The units of an arm that other runs have scored under its key: by a listing, no file is read."""
    return {
        unit
        for source, arms in _alike(sources, run)
        if arm in arms and _is_clean_enough(source, run)
        for unit in reader.stored_units(store, source.run_id, arms[arm])
    }


def _alike(sources: Sequence[OpenedRun], run: Run) -> Iterator[tuple[OpenedRun, dict[str, str]]]:
    """The runs that have arms of the same key, the oldest first, and which of their arms is which of ours.

    An arm's namesake comes first. Otherwise the arm may have been renamed; but what bears the name of another arm of
    ours, or was given to one, is not given twice: two equal arms in one run are there to be compared.
    """
    for source in sources:
        if source.run_id == run.run_id:
            continue
        arms: dict[str, str] = {}
        for arm, key in run.unit_keys.items():
            alike = [theirs for theirs, their_key in source.keys.items() if their_key == key]
            renamed = [theirs for theirs in alike if theirs not in run.unit_keys and theirs not in arms.values()]
            if arm in alike:
                arms[arm] = arm
            elif renamed:
                arms[arm] = renamed[0]
        if arms:
            yield source, arms


def _committed_sha256(store: Store, run_id: str) -> dict[str, str]:
    if not reader.is_committed(store, run_id):
        return {}
    return {file.key: file.sha256 for file in reader.committed_files(store, run_id)}


def _is_alike(receipt: UnitReceipt, run: Run, device: str) -> bool:
    """Whether the slot that made a unit had the device and the packages of this run."""
    environment = fingerprint.sha256_digest(rfc8785.dumps(dict(run.lineage.identity)))
    facts = receipt.facts
    return (facts.get("device_class"), facts["environment_digest"]) == (device, environment)


def _is_clean_enough(source: OpenedRun, run: Run) -> bool:
    """Whether a run that wants a clean repository may reuse what another has made: more counts than a unit's key."""
    return not run.experiment.require_clean or source.source.get("is_dirty") is False


def _changes(source: OpenedRun, run: Run) -> str:
    """What of the repository is another now. It is said, and hinders nothing: most changes are of other files."""
    now = run.lineage.circumstance.get("source")
    fields = ("commit", "diff_digest")
    if not isinstance(now, dict) or all(source.source.get(name) == now.get(name) for name in fields):
        return ""
    before, after = (
        f"commit {each.get('commit')}" + (f" with changes {each['diff_digest']}" if each.get("diff_digest") else "")
        for each in (source.source, now)
    )
    return (
        f"; the repository has changed since, from {before} to {after}, "
        "and of a variant's code only the entrypoint's module is part of the key"
    )
