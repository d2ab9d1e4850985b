"""How each arm of a run ended: complete, unanswered, failed, eliminated from the race or stopped, and why."""

from collections import Counter
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
        complete: The arms with every unit that can be compared, in the experiment's order.
        unanswered: The arms with every unit, but without any answer, or with rows that have none if the plan refuses
            these; with the reason.
        failed: The arms that failed, with the reason.
        eliminated: The arms that a race has eliminated, with the reason.
        stopped: The arms that are incomplete because the run was stopped, with the reason.
    """

    complete: Sequence[str]
    unanswered: Mapping[str, str]
    failed: Mapping[str, str]
    eliminated: Mapping[str, str]
    stopped: Mapping[str, str]

    @property
    def scored(self) -> list[str]:
        """The arms with every unit."""
        return [*self.complete, *self.unanswered]

    @property
    def unfinished(self) -> dict[str, str]:
        """The arms that running the experiment again may complete, with the reason why they are not."""
        return {**self.failed, **self.stopped}

    def columns(self, arm: str) -> dict[str, str]:
        """The columns `status` and `reason` of the arms table."""
        for status in ("unanswered", "failed", "eliminated", "stopped"):
            arms: Mapping[str, str] = getattr(self, status)
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
    scored = [arm.name for arm in run.experiment.arms if arm.name not in others]
    unanswered: dict[str, str] = {}
    for arm in scored:
        receipts = outcome.receipts[arm].values()
        summary = unanswered_summary(receipts)
        if summary and run.experiment.suite.plan.missing == "refuse":
            remedy = "the plan refuses missing scores: set 'missing: worst' or 'missing: listwise' in it"
            unanswered[arm] = f"{summary}; {remedy}"
        elif summary and all(receipt.num_unanswered == receipt.num_rows for receipt in receipts):
            unanswered[arm] = f"{summary}; an arm without any answer cannot be compared"
    complete = [arm for arm in scored if arm not in unanswered]
    return ArmStatuses(complete, unanswered, outcome.failed, outcome.eliminated, stopped)


def unanswered_summary(receipts: Iterable[UnitReceipt]) -> str:
    """How many rows of an arm have no answer, by status, and the first of them; empty if every row has one."""
    in_order = sorted(receipts, key=lambda receipt: receipt.unit)
    counts = Counter[str]()
    for receipt in in_order:
        counts.update(receipt.facts.unanswered)
    if not counts:
        return ""
    by_status = ", ".join(f"{count} {status}" for status, count in counts.items())
    first = next(receipt.facts.first_unanswered for receipt in in_order if receipt.facts.unanswered)
    num_rows = sum(receipt.num_rows for receipt in in_order)
    return f"{counts.total()} of {num_rows} rows have no answer ({by_status}), the first of them {first}"


def left_out(arms: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    """The arms that could not be measured, and those that a race has eliminated, each with the reason.

    Args:
        arms: Rows of the arms table.
    """
    failed = {row["arm"]: row["reason"] for row in arms if row["status"] in (*UNFINISHED, "unanswered")}
    eliminated = {row["arm"]: row["reason"] for row in arms if row["status"] == "eliminated"}
    return failed, eliminated


def messages(events: Sequence[Mapping[str, Any]], kind: str) -> dict[str, str]:
    """The message of each arm's event of a kind, of which an arm has one at most."""
    return {row["arm"]: row["message"] for row in events if row["kind"] == kind}


def altered_summary(receipts: Iterable[UnitReceipt]) -> str:
    """What other arms had changed in the process before units of an arm were scored in it; empty: nothing."""
    reasons = [receipt.facts.altered_by for receipt in receipts]
    altered = [reason for reason in reasons if reason]
    if not altered:
        return ""
    return f"{len(altered)} of its {len(reasons)} units were scored after {'; '.join(dict.fromkeys(altered))}"


def check_comparable(run: Run, outcome: DriveOutcome, statuses: ArmStatuses) -> None:
    """Checks that there is something to compare: the control and, in a stopped run, at least one variant.

    Raises:
        RunError: The control has failed, or has rows without an answer that the plan refuses.
        StoppedError: The run was stopped before the control and a variant were complete.
    """
    control = run.experiment.suite.plan.control
    reasons = {**statuses.failed, **statuses.unanswered}
    if control in reasons:
        raise RunError(
            f"run '{run.run_id}': the control '{control}' could not be measured, so nothing can be compared: "
            f"{reasons[control]}"
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
    sizes = {receipt.facts.batch_size: receipt for receipt in receipts}
    if len(sizes) < 2:
        return ""
    places = ", ".join(f"{size} on {receipt.facts.conditions.host}" for size, receipt in sorted(sizes.items()))
    return (
        f"its units were scored with different batch sizes ({places}), because its scores depend on the batch size on "
        "some hosts only; set 'on_batch_sensitivity: warn' or 'fail' in the suite, or run it on hosts of one kind"
    )
