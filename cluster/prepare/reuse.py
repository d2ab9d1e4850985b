"""Reuse: units that another run of the ledger has scored under the same key are published again, not scored again."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import rfc8785
from pydantic import JsonValue

from assay.cluster.drive.events import event
from assay.evaluator import batches, fingerprint
from assay.evaluator.batches import Unit
from assay.evaluator.conditions import Conditions
from assay.evaluator.errors import DamageError
from assay.evaluator.ledger import reader, writer
from assay.evaluator.ledger.ledger_problem import LedgerProblem
from assay.evaluator.ledger.past_runs import FirstUnit, PastRuns
from assay.evaluator.ledger.reader import OpenedRun
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.unit_file import check_owner
from assay.evaluator.ledger.unreadable import damage_of_one_object
from assay.evaluator.ledger.writer import StoredUnit
from assay.evaluator.storage import Store
from assay.manifests import Experiment
from assay.manifests.event import Event
from assay.manifests.ledger_layout import RECORD_KEY
from assay.manifests.run import Run


def unit_keys(
    experiment: Experiment, *, dataset_digest: str, num_rows: int, environment: Mapping[str, JsonValue]
) -> dict[str, str]:
    """The key of each arm's units: the digest of everything that their scores depend on, with two exceptions.

    Which of the dataset's units it is, its index says: the key has the number of rows per unit, so the index identifies
    the rows. The device is not in it either: only slots know theirs, so it is compared when a unit
    with the key is found.

    Args:
        experiment: The resolved experiment, with digests of weights and code.
        dataset_digest: Digest of the dataset's rows.
        num_rows: Rows of the dataset.
        environment: The identity of the environment: versions of the packages that scores depend on.

    Returns:
        The key by the arm's name.
    """
    suite = experiment.suite
    shared = shared_parts(experiment, dataset_digest=dataset_digest, num_rows=num_rows, environment=environment)
    control = next((arm.variant.digest() for arm in experiment.arms if arm.name == suite.plan.control), None)
    # Units of an arm that is timed against the control carry those times, which are useless with another control.
    timed = {"timed_beside": [control, suite.plan.num_timed_batches]} if suite.plan.num_timed_batches else {}
    return {
        arm.name: fingerprint.sha256_digest(
            rfc8785.dumps(
                {"variant": arm.variant.digest(), **shared, **(timed if arm.name != suite.plan.control else {})}
            )
        )
        for arm in experiment.arms
    }


def shared_parts(
    experiment: Experiment, *, dataset_digest: str, num_rows: int, environment: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """The parts of a unit key that all arms share, by name.

    Args:
        experiment: The resolved experiment.
        dataset_digest: Digest of the dataset's rows.
        num_rows: Rows of the dataset.
        environment: The identity of the environment.
    """
    suite = experiment.suite
    return {
        "dataset": dataset_digest,
        "batch_size": suite.batch_size,
        "batching": batches.BATCHING_RULE,
        "rows_per_unit": batches.rows_per_unit(num_rows, batch_size=suite.batch_size),
        "seed": suite.seed,
        "repeats": suite.repeats,
        "determinism": suite.determinism.content(),
        # Corpus metrics are computed from the stored rows later, so they do not affect row scores.
        "scores": [metric.content() for metric in suite.metrics if metric.scores_rows],
        # The probe measures the primary metric; its tolerance affects scores only if it does more than warn.
        "batch_sensitivity": [
            suite.on_batch_sensitivity,
            suite.primary.content(),
            None if suite.on_batch_sensitivity == "warn" else suite.batch_sensitivity_tolerance,
        ],
        "probabilities": suite.stores_probabilities,
        "environment": dict(environment),
    }


@dataclass
class Reused:
    """The reused units.

    Attributes:
        receipts: The receipt of each reused unit, as published in this run.
        events: One event per arm and source run, and one for everything that could not be reused.
    """

    receipts: list[UnitReceipt] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def add(self, stored: StoredUnit) -> None:
        """Adds a unit that was published again, with an event if a damaged file was in its place."""
        self.receipts.append(stored.receipt)
        if stored.set_aside:
            self.events.append(event("set_aside", stored.set_aside, arm=stored.receipt.arm, unit=stored.receipt.unit))


def reuse_units(
    run: Run,
    *,
    published: Sequence[UnitReceipt],
    units: Sequence[Unit],
    store: Store,
    past: PastRuns,
    device_class: Callable[[str], str],
    on_reused: Callable[[UnitReceipt], None],
) -> Reused:
    """Publishes, in this run, units that other runs have scored already. One unit's rows are in memory at a time.

    Only evaluated units are reused, never units that were reused themselves, so that the file that a receipt names
    is always the one that was computed.

    Args:
        run: The opened run.
        published: Receipts of the units that this run has already.
        units: The dataset's units.
        store: The ledger.
        past: The ledger's runs.
        device_class: Returns the device class of slots of an accelerator type (empty: any); empty if it is unknown.
            Called only if there is something to reuse.
        on_reused: Called with the receipt of each reused unit, as published in this run.
    """
    reused = Reused(events=[_skipped(each) for each in past.problems])
    missing = {arm.name: set(range(len(units))) for arm in run.experiment.arms}
    for receipt in published:
        missing[receipt.arm].discard(receipt.unit)
    accelerator_types = {arm.name: arm.accelerator_type or "" for arm in run.experiment.arms}
    devices: dict[str, str] = {}
    for source, arms in _alike(past, run):
        wanted = {arm: theirs for arm, theirs in arms.items() if missing[arm] and _may_serve(past, source, theirs, run)}
        if not wanted:
            continue
        if not _is_clean_enough(source, run):
            reused.events.append(_refused(source, "it was not made from a clean repository"))
            continue
        for accelerator_type in {accelerator_types[arm] for arm in wanted} - set(devices):
            devices[accelerator_type] = device_class(accelerator_type)
            if not devices[accelerator_type]:
                reused.events.append(_refused(source, "no slot was ready in start_timeout_s, so its device is unknown"))
        on = {arm: devices[accelerator_types[arm]] for arm in wanted}
        wanted = {arm: each for arm, each in wanted.items() if _may_serve(past, source, each, run, device=on[arm])}
        try:
            committed, stored = _stored(store, past, source, wanted.values())
        except DamageError as error:
            reused.events.append(_refused(source, str(error)))
            continue
        for arm, their_arm in wanted.items():
            num_reused = 0
            for unit, key in stored[their_arm].items():
                if unit not in missing[arm]:
                    continue
                try:
                    receipt, rows = _read(store, key, committed, lineage=_lineage(run, arm), unit=units[unit])
                except (DamageError, ValueError) as error:
                    reused.events.append(event("reuse_refused", f"'{key}' is not reused: {error}", arm=arm, unit=unit))
                    continue
                if receipt.is_reused:
                    continue
                if receipt.facts.altered_by:
                    reused.events.append(_altered(source, their_arm, receipt))
                    break
                if not _is_alike(receipt.facts.conditions, run, devices[accelerator_types[arm]]):
                    break  # one unit's device and packages are almost always those of all units of the arm
                published_unit = writer.republish_unit(store, rows, receipt, run=run, arm=arm, unit=units[unit])
                reused.add(published_unit)
                missing[arm].remove(unit)
                num_reused += 1
                on_reused(published_unit.receipt)
            if num_reused:
                what = f"{num_reused} units of arm '{their_arm}' of run '{source.run_id}'"
                reused.events.append(event("reused", f"{what}{_changes(source, run)}", arm=arm))
    return reused


def available(run: Run, arm: str, *, store: Store, sources: Sequence[OpenedRun]) -> dict[int, str]:
    """An arm's units that other runs have scored under its key, with the run's id. Lists files, reads none of them."""
    return {
        unit: source.run_id
        for source, arms in _alike(sources, run)
        if arm in arms and _is_clean_enough(source, run)
        for unit in reader.stored_units(store, source.run_id, arms[arm])
    }


def _alike(sources: Sequence[OpenedRun], run: Run) -> Iterator[tuple[OpenedRun, dict[str, str]]]:
    """Yields runs that have arms with the same keys, the oldest first, each with a mapping of our arms to theirs.

    An arm of the same name is preferred; otherwise the arm may have been renamed. An arm of theirs that has the name
    of another arm of ours, or is mapped already, is not used again: two equal arms in one run are meant to be compared.
    """
    for source in sources:
        if source.run_id == run.run_id:
            continue
        arms: dict[str, str] = {}
        for arm, key in run.unit_keys.items():
            alike = [their_arm for their_arm, their_key in source.keys.items() if their_key == key]
            renamed = [each for each in alike if each not in run.unit_keys and each not in arms.values()]
            if arm in alike:
                arms[arm] = arm
            elif renamed:
                arms[arm] = renamed[0]
        if arms:
            yield source, arms


def _stored(
    store: Store, past: PastRuns, source: OpenedRun, arms: Collection[str]
) -> tuple[dict[str, str], dict[str, dict[int, str]]]:
    """The sha256 of a run's committed files by key, and the keys of the units of each of these arms, if there are any.

    Raises:
        DamageError: The index contradicts the run's record, or its commit record or a folder cannot be read.
    """
    if not arms:
        return {}, {}
    with damage_of_one_object():
        if not past.is_as_recorded(source):
            raise DamageError("the index contradicts the record")
        is_committed = reader.is_committed(store, source.run_id)
        files = reader.committed_files(store, source.run_id) if is_committed else ()
        units = {arm: reader.stored_units(store, source.run_id, arm) for arm in arms}
    return {file.key: file.sha256 for file in files}, units


def _read(
    store: Store, key: str, committed: Mapping[str, str], *, lineage: dict[str, str], unit: Unit
) -> tuple[UnitReceipt, pa.Table]:
    """A unit of another run.

    Raises:
        DamageError: It cannot be read, or differs from what was committed.
        ValueError: It is another unit than its key says.
    """
    with damage_of_one_object():
        receipt, rows = reader.read_unit(store, key, committed_sha256=committed.get(key))
    check_owner(receipt, lineage=lineage, unit=unit)
    return receipt, rows


def _skipped(problem: LedgerProblem) -> Event:
    """The event for something among the records of runs that this run goes on without."""
    message = f"'{problem.key}' {problem.problem}; it is skipped ('assay ledger verify' lists all problems)"
    return event("reuse_refused" if RECORD_KEY.fullmatch(problem.key) else "foreign_file", message)


def _lineage(run: Run, arm: str) -> dict[str, str]:
    """What the lineage of a unit must have in common with this run, whichever run has scored it."""
    return {"dataset_digest": run.dataset_digest, "variant_digest": str(run.variant_digests[arm])}


def _altered(source: OpenedRun, arm: str, receipt: UnitReceipt) -> Event:
    """The event for an arm of another run whose scores may be wrong, from this unit on."""
    reason = f"unit {receipt.unit} and later ones of arm '{arm}' were scored after {receipt.facts.altered_by}"
    return event("reuse_refused", f"{reason}; those of run '{source.run_id}' are not reused", arm=arm)


def _refused(source: OpenedRun, reason: str) -> Event:
    return event("reuse_refused", f"{reason}; units of run '{source.run_id}' are not reused")


def _may_serve(past: PastRuns, source: OpenedRun, arm: str, run: Run, *, device: str | None = None) -> bool:
    """Whether an arm has units, of which the first was scored on this device class, if known, as this run would."""
    try:
        with damage_of_one_object():
            first = past.first_unit(source.run_id, arm)
    except DamageError:  # the others may be intact
        return True
    return first is not None and (device is None or _is_alike(first, run, device))


def _is_alike(unit: FirstUnit | Conditions, run: Run, device: str) -> bool:
    """Whether a unit was scored on the device class and with the packages of this run."""
    environment = fingerprint.sha256_digest(rfc8785.dumps(dict(run.lineage.identity)))
    return (unit.device_class, unit.environment_digest) == (device, environment)


def _is_clean_enough(source: OpenedRun, run: Run) -> bool:
    """Whether the source run meets this run's `require_clean`: the unit key does not cover the whole repository."""
    return not run.experiment.require_clean or source.source.get("is_dirty") is False


def _changes(source: OpenedRun, run: Run) -> str:
    """How the repository differs from the source run's. For information only: most changes concern other files."""
    now = run.lineage.circumstance.get("source")
    fields = ("commit", "diff_digest")
    if not isinstance(now, dict) or all(source.source.get(name) == now.get(name) for name in fields):
        return ""
    before, after = (
        f"commit {each.get('commit')}" + (f" with changes {each['diff_digest']}" if each.get("diff_digest") else "")
        for each in (source.source, now)
    )
    return (
        f"; the repository has changed since, from {before} to {after}; of a variant's code, only the entrypoint's "
        "module is part of the unit key"
    )
