"""Run report: everything that is shown about a committed run, in one document. Every rendering is made from it."""

from typing import Literal

from pydantic import Field

from assay.manifests.analysis import Analysis
from assay.manifests.base import Computed, Digest, Name, Named
from assay.manifests.check_report import CheckReport
from assay.manifests.decision import Decision, Verdict, Winner
from assay.manifests.event import Event
from assay.manifests.finding import FindingSummary
from assay.manifests.measures import Direction
from assay.manifests.spent import Spent

ArmStatus = Literal["complete", "unanswered", "failed", "eliminated", "stopped"]
"""How an arm ended. `unanswered`: every row was scored, but some have no answer, which the plan refuses. `eliminated`: by a race. `stopped`: incomplete, because the run was stopped."""


class ReportedDataset(Computed):
    """The dataset that a run has scored."""

    reference: str
    """Its `name@version`."""
    digest: Digest
    """Digest of its rows."""
    num_rows: int = Field(ge=0)
    """Rows of the dataset."""
    description: str
    """What a row is, from the dataset's contract."""
    check: CheckReport
    """The check of the rows against the contract when they were frozen."""
    findings: tuple[FindingSummary, ...]
    """What was found about the dataset until now, the oldest first."""
    withdrawn: str
    """When and why this version was withdrawn; empty if it was not."""


class BatchSensitivity(Computed):
    """What changes when rows of an arm are scored one by one instead of in their batches."""

    num_rows: int
    """Rows that were scored in both ways."""
    num_flips: int
    """Rows whose predictions differ."""
    max_abs_difference: float | None
    """The largest absolute difference of any number in the variant's raw output."""
    noise_floor: float | None
    """How much the batch size changes the primary metric on these rows. Null: they cannot be scored one by one."""
    reason: str
    """Why they cannot be scored one by one; empty if they can."""


class ReportedArm(Computed):
    """One arm: its row of the ledger's table `arms`, and its metrics. Null: not measured, or the arm is not complete."""

    arm: Name
    """The arm's name."""
    variant_digest: Digest
    """Digest of its variant."""
    status: ArmStatus
    """How it ended."""
    reason: str
    """Why it is not complete, with unit, node and traceback if it failed; empty if it is."""
    num_units: int = Field(ge=0)
    """Units of the arm."""
    num_units_done: int = Field(ge=0)
    """Units that are in the ledger."""
    num_units_reused: int = Field(ge=0)
    """Units that another run has scored."""
    reused_from: str
    """Ids of the runs that have scored them, separated by commas."""
    num_rows: int | None = None
    """Rows that it has scored."""
    num_unanswered: int | None = None
    """Rows among them without an answer."""
    num_rows_evaluated: int = Field(ge=0)
    """Rows that it has scored in this run."""
    scores_digest: Digest | None = None
    """Digest of all its scores."""
    metrics: Named[float | None]
    """Its value of each metric. Null: not testable."""
    repeat_std: Named[float]
    """The standard deviation of each metric over the suite's repeats; empty without repeats."""
    slot_s: float
    """Slot-seconds of the units that were evaluated in this run."""
    cpu_s: float
    """CPU-core-seconds that they reserved."""
    gpu_s: float
    """GPU-seconds that they reserved."""
    price: float
    """Their cost by the experiment's prices."""
    one_off_slot_s: float
    """The part of `slot_s` that does not grow with the number of rows: loading the variant and probing it."""
    one_off_cpu_s: float
    """CPU-core-seconds that this part reserved."""
    one_off_gpu_s: float
    """GPU-seconds that this part reserved."""
    one_off_price: float
    """Its cost by the experiment's prices."""
    reused_slot_s: float
    """Slot-seconds of the reused units in the runs that evaluated them."""
    reused_cpu_s: float
    """CPU-core-seconds that these reserved."""
    reused_gpu_s: float
    """GPU-seconds that these reserved."""
    reused_price: float
    """Their cost by this experiment's prices."""
    cpu_used_s: float
    """CPU-seconds that the units evaluated in this run used."""
    bytes_fetched: int = Field(ge=0)
    """Bytes of shards that the processes that evaluated them fetched."""
    load_s: float | None = None
    """Seconds of loading the variant, in all slots."""
    timing_s: float | None = None
    """Seconds of timing the arm beside the control, for guardrails on latency."""
    probe_s: float | None = None
    """Seconds of measuring the batch-size sensitivity."""
    read_s: float | None = None
    """Seconds of waiting for rows."""
    predict_s: float | None = None
    """Seconds of predictions."""
    score_s: float | None = None
    """Seconds of computing scores."""
    write_s: float | None = None
    """Seconds of writing scores."""
    rows_per_s: float | None = None
    """Rows per second of prediction. Null if all units were reused."""
    batch_p50_s: float | None = None
    """Median seconds per batch. Null if all units were reused."""
    batch_size: int | None = None
    """Rows per batch."""
    batch_sensitivity: BatchSensitivity | None
    """How much its scores depend on the batch size."""
    devices: str | None = None
    """The devices that have scored it, separated by commas."""
    weights_bytes: int | None = None
    """Size of its weights in bytes."""
    num_parameters: int | None = None
    """Number of its parameters."""
    peak_memory_bytes: int | None = None
    """Largest memory that a process used while it scored the arm, in bytes."""


class Reuse(Computed):
    """How much of a run was reused from other runs."""

    num_arms: int
    """Complete arms of which every unit was reused."""
    num_arms_in_part: int
    """Complete arms of which some units were reused."""
    num_units: int
    """Reused units of all complete arms."""
    runs: tuple[str, ...]
    """Ids of the runs that have scored them."""


class RaceSummary(Computed):
    """What a race has eliminated, and saved."""

    num_eliminated: int
    """Arms that were eliminated."""
    num_units: int
    """Units of all arms."""
    num_units_saved: int
    """Units of eliminated arms that were not scored."""


class ComparedCost(Computed):
    """What scoring one arm's rows has cost compared with the control.

    Loading and probing are left out. Reused units count with what they cost originally.
    """

    arm: Name
    """The arm's name."""
    cost: float
    """Its cost, in `quantity`."""
    ratio_to_control: float | None
    """Its cost divided by the control's. Null unless both are complete."""
    points: float | None
    """Its improvement of the primary metric, in points (0.01). Null if it is not compared."""
    cost_per_point: float | None
    """Its cost per point. Null unless it is complete and better than the control."""


class RunCost(Computed):
    """What a run and its arms have cost."""

    spent: Spent
    """All slots of the run until its commit, idle time included."""
    quantity: Literal["price", "slot_s"]
    """In what `arms` are measured: the price, or slot-seconds if the experiment gives no prices."""
    arms: tuple[ComparedCost, ...]
    """The arms."""


class RunReport(Computed):
    """Everything that is shown about a committed run. Decisions take into account what the ledger holds now."""

    kind: Literal["RunReport"] = "RunReport"
    """Always `RunReport`."""
    version: Literal[1] = 1
    """The version of this schema: always 1."""
    run_id: Name
    """The run's id."""
    ledger: str
    """The ledger's URI."""
    name: Name
    """The experiment's name."""
    opened_at: str
    """When the run was opened: UTC, ISO 8601."""
    supersedes: str | None
    """Id of the run that this one continues. Null: none."""
    dataset: ReportedDataset
    """The dataset."""
    suite_digest: Digest
    """Digest of the suite."""
    plan_digest: Digest
    """Digest of the analysis plan."""
    policy_digest: Digest
    """Digest of the gate's policy."""
    scores_digest: Digest
    """Digest of all scores of the complete arms."""
    control: Name
    """The arm that the others are compared with."""
    metric: Name
    """The primary metric."""
    directions: Named[Direction]
    """Each metric, in the suite's order, with the direction that is better."""
    thresholds: Named[float]
    """The threshold of each metric that has one: the second class is predicted from this probability on."""
    num_repeats: int
    """How often each row was scored."""
    batch_sensitivity_tolerance: float
    """The noise floor up to which an arm is not called sensitive to the batch size."""
    arms: tuple[ReportedArm, ...]
    """The arms, in the experiment's order."""
    reused: Reuse
    """What was reused from other runs."""
    race: RaceSummary | None
    """The race. Null without one."""
    cost: RunCost
    """What the run has cost."""
    analysis: Analysis
    """The planned analysis."""
    gate: Verdict
    """The gate's decision about the run."""
    winner: Winner | None
    """The winner. Null if no arm is promoted."""
    decisions: tuple[Decision, ...]
    """The gate's decision about each variant."""
    confounded: Named[str]
    """Arms that were not scored under the same conditions as the control, and how they differ."""
    altered: Named[str]
    """Arms that were scored in a process that other arms had changed, and what they had changed."""
    events: tuple[Event, ...]
    """What happened during the run."""

    def arm(self, name: str) -> ReportedArm:
        """The arm of this name.

        Raises:
            KeyError: There is none.
        """
        return {each.arm: each for each in self.arms}[name]
