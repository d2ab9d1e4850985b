"""Verification: scores units of a committed run again, as the run did, and compares them bit for bit."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.cluster import pipeline
from assay.cluster.drive.drive_outcome import DriveOutcome
from assay.cluster.drive.driver import Driver
from assay.cluster.drive.executor import Executor
from assay.cluster.drive.progress import ProgressReporter
from assay.cluster.drive.waves import Waves
from assay.cluster.errors import RunError
from assay.cluster.prepare.dataset_findings import LINEAGE_FIELD
from assay.cluster.verify.rescore_unit import Compared, ComparedReceipt, RescoreUnit
from assay.evaluator import batches
from assay.evaluator.batches import Unit
from assay.evaluator.data.frozen.shards import open_dataset
from assay.evaluator.ledger import version_log
from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.ledger.scores_compared import NUM_SHOWN
from assay.evaluator.predictors.entrypoint import add_import_paths
from assay.evaluator.predictors.trust import check_entrypoints
from assay.evaluator.provenance import lineage
from assay.evaluator.provenance.dotted import flat
from assay.evaluator.storage import Store
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.errors import InvalidInput, did_you_mean
from assay.manifests.log_entry import VerificationEntry
from assay.manifests.run import Lineage, Run
from assay.manifests.verification import Against, ArmVerified, Verification

_HINTS_AT_SHARE = 1 / 3
_HINTS_FROM_S = 0.01  # seconds: shorter times are too noisy for a hint


@dataclass(frozen=True)
class RunVerification:
    """The outcome of verifying a run.

    Attributes:
        entry: The log entry that records it.
        hints: Suspicious observations that are not differences: arms that were much faster the second time.
        failed: Arms that could not be scored again, with the reason. They are not in the log entry.
    """

    entry: VerificationEntry
    hints: tuple[str, ...]
    failed: dict[str, str]

    @property
    def comparison(self) -> Verification:
        """The comparison of rows, per arm."""
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
    """Scores rows of a committed run again and appends the outcome to the log. Writes no scores.

    Nothing is reused. Whole units are scored, because the bits of a score depend on its batch.

    Args:
        store: The ledger.
        run_id: ID of the run.
        num_rows: Minimum number of rows to score per arm; None: all. Units are drawn with a seed from the digest of
            the run's record, so the same run always draws the same units, and a smaller sample is part of a larger one.
        arm: The arm to score; None: every arm that the run has scored completely.
        against: What to compare with.
        tolerance: Absolute tolerance for calling a difference close.
        in_process: Whether slots live in this process rather than on Ray.
        import_paths: More paths to import entrypoints from, after those of the run.

    Raises:
        LedgerError: The run is unknown or not committed.
        InvalidInput: The run has not scored the arm completely, or its experiment names code that it may not name.
        RunError: No arm could be scored again; nothing is logged.
        AssayError: The ledger or the dataset is damaged or cannot be reached.
    """
    committed = CommittedRun(store, run_id)
    recorded = committed.record
    # The ledger may have been moved since, and a verification does not spend the run's budget.
    current = {"ledger": store.uri, "budget": None}
    run = recorded.model_copy(update={"experiment": recorded.experiment.model_copy(update=current)})
    arms = _arms_to_score(
        [row["arm"] for row in committed.rows("arms") if row["scores_digest"] is not None], arm, run_id
    )
    paths = _import_paths(run, import_paths)
    add_import_paths(paths)
    check_entrypoints(run.experiment.arms, suite=run.experiment.suite, packages=run.experiment.packages)
    dataset, _ = open_dataset(run.experiment.dataset)
    now = lineage.captured(run.experiment, import_paths=paths, executor=pipeline.executor_name(in_process=in_process))
    units = batches.units(dataset.num_rows, batch_size=run.experiment.suite.batch_size)
    drawn = _DrawnUnits(units, _drawn(units, num_rows, digest=recorded.digest()))
    executor = pipeline.open_executor(RescoreUnit(against), in_process=in_process)
    outcome = _rescored(run, arms, drawn, executor=executor, import_paths=paths)
    complete = {name: outcome.receipts[name] for name in arms if len(outcome.receipts[name]) == len(drawn.units)}
    failed = {
        name: outcome.failed.get(name, "the control could not be scored") for name in arms if name not in complete
    }
    if not complete:
        reasons = "; ".join(f"arm '{name}': {reason}" for name, reason in failed.items())
        raise RunError(f"run '{run_id}' was not verified: no arm could be scored again: {reasons}")
    compared = {name: {unit: _compared(receipts[unit]) for unit in drawn.units} for name, receipts in complete.items()}
    run_changes = lineage.changes(
        _fields(recorded, recorded.lineage), {**_fields(recorded, now), "dataset": dataset.digest()}
    )
    unit_changes = (change for by_unit in compared.values() for each in by_unit.values() for change in each.changed)
    changed = {change.canonical_json(): change for change in (*run_changes, *unit_changes)}  # slots repeat each other
    verification = Verification(
        against=against,
        arms=tuple(_summed(name, by_unit, complete[name]) for name, by_unit in compared.items()),
        num_rows_dataset=dataset.num_rows,
        tolerance=tolerance,
        changed=tuple(sorted(changed.values(), key=lambda each: (not each.field.startswith("arms."), each.field))),
    )
    return RunVerification(
        version_log.record_verification(store, run_id, verification), tuple(_hints(compared)), failed
    )


class _DrawnUnits(Waves):
    """A single wave of the drawn units."""

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
    executor: AbstractContextManager[Executor],
    import_paths: tuple[str, ...],
) -> DriveOutcome:
    """Scores the drawn units of some arms again in slots."""
    # Progress of a verification is not published: it goes to a store in memory.
    reporter = ProgressReporter(
        run,
        num_units=len(drawn.units),
        num_rows=drawn.num_rows,
        store=MemoryStore(run.run_id),
        submission_id="",
    )
    with executor as slots:
        return Driver(run, executor=slots, reporter=reporter).drive(
            drawn, published=(), import_paths=import_paths, arms=arms
        )


def _arms_to_score(measured: Sequence[str], arm: str | None, run_id: str) -> tuple[str, ...]:
    if arm is not None and arm not in measured:
        raise InvalidInput(
            "the run has no complete scores of this arm",
            place=run_id,
            value=arm,
            remedy=did_you_mean(arm, list(measured)),
        )
    return tuple(measured) if arm is None else (arm,)


def _import_paths(run: Run, more: Sequence[str]) -> tuple[str, ...]:
    """The run's import paths come first, because its code is what is verified."""
    recorded: Any = run.lineage.circumstance.get("import_paths", [])
    return tuple(dict.fromkeys((*recorded, *more)))


def _drawn(units: Sequence[Unit], num_rows: int | None, *, digest: str) -> list[int]:
    """Indices of the units to score again, in row order."""
    if num_rows is None:
        return [unit.index for unit in units]
    order = np.random.default_rng(int(digest.removeprefix("sha256:"), 16)).permutation(len(units)).tolist()
    before = np.cumsum([0, *(units[index].num_rows for index in order)])[:-1]
    return sorted(index for index, covered in zip(order, before, strict=True) if covered < num_rows)


def _fields(run: Run, captured: Lineage) -> dict[str, Any]:
    """The fields of a lineage that are compared.

    Left out are the import paths, which are the same by construction, and dataset findings, which do not change rows.
    """
    circumstance = {
        name: value for name, value in lineage.plain(captured).items() if name not in ("import_paths", LINEAGE_FIELD)
    }
    fields = flat({"environment": dict(captured.identity), **circumstance, "dataset": run.dataset_digest})
    fields.pop("source.patch", None)  # only runs keep a patch; the digest of its content is compared
    return fields


def _compared(receipt: UnitReceipt) -> Compared:
    assert isinstance(receipt, ComparedReceipt)
    return receipt.compared


def _summed(arm: str, compared: Mapping[int, Compared], receipts: Mapping[int, UnitReceipt]) -> ArmVerified:
    """Sums the comparisons of one arm's units."""
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
    """Hints at arms that were much faster the second time: they may cache predictions, which distorts their times."""
    for arm, by_unit in compared.items():
        first_s = sum(each.first_s for each in by_unit.values())
        second_s = sum(each.second_s for each in by_unit.values())
        if first_s >= _HINTS_FROM_S and second_s < first_s * _HINTS_AT_SHARE:
            yield (
                f"arm '{arm}' took {first_s:.3g} s to predict the rows and {second_s:.3g} s to predict them again: it "
                "may cache predictions"
            )
