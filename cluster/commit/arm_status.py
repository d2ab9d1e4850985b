"""How each arm of a run ended: complete, failed, eliminated from the race or stopped, and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.cluster.drive.drive_outcome import DriveOutcome
from assay.cluster.errors import RunError, StoppedError
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.manifests.run import Run

UNFINISHED = ("failed", "stopped")
"""How an arm ends that running the experiment once more does again."""


@dataclass(frozen=True)
class ArmStatuses:
    """The status of every arm of a run: each is in one of these.

    Attributes:
        whole: Those with every unit, in the experiment's order.
        failed: Why an arm failed.
        eliminated: Why a race has eliminated it.
        stopped: Why it is not whole though nothing is wrong with it.
    """

    whole: Sequence[str]
    failed: Mapping[str, str]
    eliminated: Mapping[str, str]
    stopped: Mapping[str, str]

    @property
    def unfinished(self) -> dict[str, str]:
        """Those that running it again may finish."""
        return {**self.failed, **self.stopped}

    def columns(self, arm: str) -> dict[str, str]:
        """Columns of the arms table."""
        for status, arms in (("failed", self.failed), ("eliminated", self.eliminated), ("stopped", self.stopped)):
            if arm in arms:
                return {"status": status, "reason": arms[arm]}
        return {"status": "complete", "reason": ""}


def fail_mixed_batch_sizes(outcome: DriveOutcome) -> None:
    """Adds the arms whose units were scored with different batch sizes to the outcome's failed ones."""
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
    whole = [arm.name for arm in run.experiment.arms if arm.name not in others]
    return ArmStatuses(whole, outcome.failed, outcome.eliminated, stopped)


def left_out(arms: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    """The arms that were not measured, and those that a race has eliminated, each with its reason.

    Args:
        arms: Rows of the arms table.
    """
    failed = {row["arm"]: row["reason"] for row in arms if row["status"] in UNFINISHED}
    eliminated = {row["arm"]: row["reason"] for row in arms if row["status"] == "eliminated"}
    return failed, eliminated


def check_comparable(run: Run, outcome: DriveOutcome, statuses: ArmStatuses) -> None:
    """Refuses a run of which nothing can be compared.

    Raises:
        RunError: The control has failed.
        StoppedError: It was stopped before the control and a variant were whole.
    """
    control = run.experiment.suite.plan.control
    if control in statuses.failed:
        raise RunError(
            f"run '{run.run_id}': the control '{control}' could not be measured, so nothing can be compared: "
            f"{statuses.failed[control]}"
        )
    if statuses.stopped and (control not in statuses.whole or set(statuses.whole) <= {control, run.experiment.aa_arm}):
        raise StoppedError(
            f"run '{run.run_id}' was stopped before a variant could be compared: {outcome.stopped}; "
            f"{sum(map(len, outcome.receipts.values()))} units stay in the ledger: run the same again to go on"
        )


def _mixed_batch_sizes(receipts: Iterable[UnitReceipt]) -> str:
    """Which batch sizes an arm's units were scored with, in words; empty if it is one."""
    sizes = {receipt.facts["batch_size"]: receipt for receipt in receipts}
    if len(sizes) < 2:
        return ""
    places = ", ".join(f"{size} on {receipt.facts['host']}" for size, receipt in sorted(sizes.items()))
    return (
        f"its units were scored with different batch sizes ({places}), because hosts differ in whether its scores "
        "depend on it; let the suite say 'on_batch_sensitivity: warn' or 'fail', or run it on hosts of one kind"
    )
