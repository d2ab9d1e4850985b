"""How each arm of a run ended: complete, failed, eliminated from the race or stopped, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.cluster.drive.drive_outcome import DriveOutcome
from assay.cluster.errors import RunError, StoppedError
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.manifests.run import Run

UNFINISHED = ("failed", "stopped")
"""The statuses of arms that are attempted again when the same experiment is run again."""


@dataclass(frozen=True)
class ArmStatuses:
    """The status of every arm of a run: each arm is in exactly one of these.

    Attributes:
        complete: The arms with every unit, in the experiment's order.
        failed: The arms that failed, with the reason.
        eliminated: The arms that a race has eliminated, with the reason.
        stopped: The arms that are incomplete because the run was stopped, with the reason.
    """

    complete: Sequence[str]
    failed: Mapping[str, str]
    eliminated: Mapping[str, str]
    stopped: Mapping[str, str]

    @property
    def unfinished(self) -> dict[str, str]:
        """The arms that running the experiment again may complete, with the reason why they are not."""
        return {**self.failed, **self.stopped}

    def columns(self, arm: str) -> dict[str, str]:
        """The columns `status` and `reason` of the arms table."""
        for status, arms in (("failed", self.failed), ("eliminated", self.eliminated), ("stopped", self.stopped)):
            if arm in arms:
                return {"status": status, "reason": arms[arm]}
        return {"status": "complete", "reason": ""}


def fail_mixed_batch_sizes(outcome: DriveOutcome) -> None:
    """Marks arms as failed whose units were scored with different batch sizes."""
    for arm, receipts in outcome.receipts.items():
        mixed = _mixed_batch_sizes(receipts.values())
        if mixed and arm not in {*outcome.failed, *outcome.eliminated}:
            outcome.failed[arm] = mixed
            outcome.note("arm_failed", mixed, arm=arm)


def statuses_of(run: Run, outcome: DriveOutcome, *, num_units: int) -> ArmStatuses:
    """The status of every arm."""
    stopped = {
        arm: f"stopped with {len(receipts)} of {num_units} units: {outcome.stopped}"
        for arm, receipts in outcome.receipts.items()
        if outcome.stopped and len(receipts) < num_units and arm not in {*outcome.failed, *outcome.eliminated}
    }
    others = {*outcome.failed, *outcome.eliminated, *stopped}
    complete = [arm.name for arm in run.experiment.arms if arm.name not in others]
    return ArmStatuses(complete, outcome.failed, outcome.eliminated, stopped)


def left_out(arms: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    """The failed or stopped arms, and those that a race has eliminated, each with the reason.

    Args:
        arms: Rows of the arms table.
    """
    failed = {row["arm"]: row["reason"] for row in arms if row["status"] in UNFINISHED}
    eliminated = {row["arm"]: row["reason"] for row in arms if row["status"] == "eliminated"}
    return failed, eliminated


def check_comparable(run: Run, outcome: DriveOutcome, statuses: ArmStatuses) -> None:
    """Checks that there is something to compare: the control and, in a stopped run, at least one variant.

    Raises:
        RunError: The control has failed.
        StoppedError: The run was stopped before the control and a variant were complete.
    """
    control = run.experiment.suite.plan.control
    if control in statuses.failed:
        raise RunError(
            f"run '{run.run_id}': the control '{control}' could not be measured, so nothing can be compared: "
            f"{statuses.failed[control]}"
        )
    if statuses.stopped and (
        control not in statuses.complete or set(statuses.complete) <= {control, run.experiment.aa_arm}
    ):
        raise StoppedError(
            f"run '{run.run_id}' was stopped before any variant could be compared: {outcome.stopped}; "
            f"{sum(map(len, outcome.receipts.values()))} units are kept in the ledger: run the same command again to "
            "resume"
        )


def _mixed_batch_sizes(receipts: Iterable[UnitReceipt]) -> str:
    """A message if an arm's units were scored with different batch sizes; empty if not."""
    sizes = {receipt.facts["batch_size"]: receipt for receipt in receipts}
    if len(sizes) < 2:
        return ""
    places = ", ".join(f"{size} on {receipt.facts['host']}" for size, receipt in sorted(sizes.items()))
    return (
        f"its units were scored with different batch sizes ({places}), because its scores depend on the batch size on "
        "some hosts only; set 'on_batch_sensitivity: warn' or 'fail' in the suite, or run it on hosts of one kind"
    )
