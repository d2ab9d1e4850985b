"""Verification: a committed run's units scored once more, on the way that they took, and compared bit by bit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.cluster import pipeline
from assay.cluster.drive.drive_outcome import DriveOutcome
from assay.cluster.drive.driver import Driver
from assay.cluster.drive.progress import ProgressReporter
from assay.cluster.drive.waves import Waves
from assay.cluster.errors import RunError
from assay.cluster.prepare.dataset_findings import LINEAGE_FIELD
from assay.cluster.verify.rescore_unit import FACT, Compared, RescoreUnit
from assay.evaluator import batches
from assay.evaluator.batches import Unit
from assay.evaluator.data.frozen.shards import open_dataset
from assay.evaluator.ledger import reader, version_log
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.scores_compared import NUM_SHOWN
from assay.evaluator.predictors.entrypoint import add_import_paths
from assay.evaluator.provenance import lineage
from assay.evaluator.provenance.dotted import flat
from assay.evaluator.storage import Store
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.errors import InvalidInput, did_you_mean
from assay.manifests.log_entry import LogEntry
from assay.manifests.run import Lineage, Run
from assay.manifests.verification import Against, ArmVerified, Verification

_HINTS_AT_SHARE = 1 / 3
_HINTS_FROM_S = 0.01  # below, a pass is too short for its time to tell anything


@dataclass(frozen=True)
class RunVerification:
    """What came of verifying a run.

    Attributes:
        entry: The entry of the log that records it.
        hints: What is odd, and no difference: arms whose second pass was much faster.
        failed: Arms that could not be scored again, with the reason; nothing is said of them in the log.
    """

    entry: LogEntry
    hints: tuple[str, ...]
    failed: dict[str, str]

    @property
    def comparison(self) -> Verification:
        """How the rows compare, arm by arm."""
        assert self.entry.verification is not None
        return self.entry.verification


def verify(
    store: Store,
    run_id: str,
    *,
    num_rows: int | None = None,
    arm: str | None = None,
    against: Against = "ledger",
    tolerance: float = 0.0,
    in_process: bool,
    import_paths: Sequence[str] = (),
) -> RunVerification:
    """Scores rows of a committed run again and appends to the log what came of it. No score is written.

    Neither reuse nor what the ledger holds spares any work. Whole units are scored, since batches make the bits.

    Args:
        store: The ledger.
        run_id: The run.
        num_rows: At least so many rows of each arm, in units drawn by the digest of the run's record, so that it is
            always the same ones, and those of a smaller number are among those of a larger; None: all.
        arm: One arm; None: all that the run has measured.
        against: What to compare with.
        tolerance: How far numbers may lie apart to be called close.
        in_process: Whether slots live in this process rather than on Ray.
        import_paths: Where entrypoints may be imported from, beside where the run imported them from.

    Raises:
        LedgerError: The run is unknown or not committed.
        InvalidInput: The run has not measured the arm.
        RunError: No arm could be scored again: nothing is known, and nothing is logged.
        AssayError: The ledger or the dataset is damaged, or out of reach.
    """
    files = reader.committed_files(store, run_id)
    recorded = reader.read_run(store, run_id)
    # Where the ledger lies now is what counts; and what is spent here is not what the run may spend.
    today = {"ledger": store.uri, "budget": None}
    run = recorded.model_copy(update={"experiment": recorded.experiment.model_copy(update=today)})
    rows = reader.read_table(store, files, "arms", ["arm", "status"]).to_pylist()
    arms = _arms_to_score([row["arm"] for row in rows if row["status"] == "complete"], arm, run_id)
    paths = _import_paths(run, import_paths)
    add_import_paths(paths)
    dataset, _ = open_dataset(run.experiment.dataset)
    now = lineage.captured(run.experiment, import_paths=paths, executor=pipeline.executor_name(in_process=in_process))
    units = batches.units(dataset.num_rows, shard_rows=dataset.shard_rows, batch_size=run.experiment.suite.batch_size)
    drawn = _DrawnUnits(units, _drawn(units, num_rows, digest=recorded.digest()))
    outcome = _rescored(run, arms, drawn, work=RescoreUnit(against), in_process=in_process, import_paths=paths)
    whole = {name: outcome.receipts[name] for name in arms if len(outcome.receipts[name]) == len(drawn.units)}
    failed = {name: outcome.failed.get(name, "the control could not be scored") for name in arms if name not in whole}
    if not whole:
        reasons = "; ".join(f"arm '{name}': {reason}" for name, reason in failed.items())
        raise RunError(f"run '{run_id}': nothing could be scored again, so nothing is known: {reasons}")
    compared = {name: {unit: receipts[unit].facts[FACT] for unit in drawn.units} for name, receipts in whole.items()}
    of_run = lineage.changes(
        _fields(recorded, recorded.lineage), {**_fields(recorded, now), "dataset": dataset.digest()}
    )
    of_units = (change for by_unit in compared.values() for each in by_unit.values() for change in each.changed)
    changed = {change.canonical_json(): change for change in (*of_run, *of_units)}  # slots say much the same
    verification = Verification(
        against=against,
        arms=tuple(_summed(name, by_unit, whole[name]) for name, by_unit in compared.items()),
        num_rows_dataset=dataset.num_rows,
        tolerance=tolerance,
        changed=tuple(sorted(changed.values(), key=lambda each: (not each.field.startswith("arms."), each.field))),
    )
    return RunVerification(
        version_log.record_verification(store, run_id, verification), tuple(_hints(compared)), failed
    )


class _DrawnUnits(Waves):
    """One wave with the units that were drawn."""

    def __init__(self, units: Sequence[Unit], drawn: Sequence[int]) -> None:
        super().__init__(units)
        self.units = drawn
        self.num_rows = sum(units[index].num_rows for index in drawn)

    def __iter__(self) -> Iterator[Sequence[int]]:
        yield self.units


def _rescored(
    run: Run,
    arms: Sequence[str],
    drawn: _DrawnUnits,
    *,
    work: RescoreUnit,
    in_process: bool,
    import_paths: tuple[str, ...],
) -> DriveOutcome:
    """The units that were drawn, of some arms, scored again in slots; those of the others count as done."""
    others = [each.name for each in run.experiment.arms if each.name not in arms]
    done = [UnitReceipt(name, unit, "", 0, 0, "", "", {}) for name in others for unit in drawn.units]
    # Nobody asks how far a verification is: its progress goes nowhere.
    reporter = ProgressReporter(
        run,
        num_units=len(drawn.units),
        num_rows=drawn.num_rows,
        store=MemoryStore(run.run_id),
        submission_id="",
    )
    with pipeline.open_executor(work, in_process=in_process) as executor:
        return Driver(run, executor=executor, reporter=reporter).drive(drawn, published=done, import_paths=import_paths)


def _arms_to_score(measured: Sequence[str], arm: str | None, run_id: str) -> tuple[str, ...]:
    if arm is not None and arm not in measured:
        raise InvalidInput(
            "the run has not measured this arm", place=run_id, value=arm, remedy=did_you_mean(arm, list(measured))
        )
    return tuple(measured) if arm is None else (arm,)


def _import_paths(run: Run, more: Sequence[str]) -> tuple[str, ...]:
    """Where the run imported entrypoints from comes first: it is its code that is asked about."""
    recorded: Any = run.lineage.circumstance.get("import_paths", [])
    return tuple(dict.fromkeys((*recorded, *more)))


def _drawn(units: Sequence[Unit], num_rows: int | None, *, digest: str) -> list[int]:
    """The units that are scored again, in row order."""
    if num_rows is None:
        return [unit.index for unit in units]
    order = np.random.default_rng(int(digest.removeprefix("sha256:"), 16)).permutation(len(units)).tolist()
    before = np.cumsum([0, *(units[index].num_rows for index in order)])[:-1]
    return sorted(index for index, covered in zip(order, before, strict=True) if covered < num_rows)


def _fields(run: Run, found: Lineage) -> dict[str, Any]:
    """What is compared of a run's lineage.

    Where entrypoints were looked for is the same by making; what was found out about the dataset changes no row of it.
    """
    circumstance = {
        name: value for name, value in lineage.plain(found).items() if name not in ("import_paths", LINEAGE_FIELD)
    }
    fields = flat({"environment": dict(found.identity), **circumstance, "dataset": run.dataset_digest})
    fields.pop("source.patch", None)  # only a run keeps it; the digest of what is in it is there
    return fields


def _summed(arm: str, compared: Mapping[int, Compared], receipts: Mapping[int, UnitReceipt]) -> ArmVerified:
    """One arm's units as one."""
    differences = [each.difference for each in compared.values()]
    columns: dict[str, float | None] = {}
    for name, distance in (item for each in differences for item in each.columns.items()):
        before = columns.get(name, 0.0)
        columns[name] = None if before is None or distance is None else max(before, distance)
    return ArmVerified(
        arm=arm,
        num_units=len(compared),
        num_rows=sum(receipt.num_rows for receipt in receipts.values()),
        num_rows_different=sum(each.num_rows for each in differences),
        row_ids=tuple(row_id for each in differences for row_id in each.row_ids)[:NUM_SHOWN],
        columns=columns,
    )


def _hints(compared: Mapping[str, Mapping[int, Compared]]) -> Iterator[str]:
    """Arms that were much faster the second time, though the same: they may remember rows, so times mean little."""
    for arm, by_unit in compared.items():
        first_s = sum(each.first_s for each in by_unit.values())
        second_s = sum(each.second_s for each in by_unit.values())
        if first_s >= _HINTS_FROM_S and second_s < first_s * _HINTS_AT_SHARE:
            yield (
                f"arm '{arm}' took {first_s:.3g} s for rows that were new to it and {second_s:.3g} s for the same once "
                "more: it may remember answers"
            )
