"""The ledger's contract: which tables there are, where their files lie, what the opened run and its scores say."""

from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import CIRCUMSTANCE, Digest, Manifest, Name, Parameters
from assay.manifests.check_report import CheckReport
from assay.manifests.column import FrozenColumn
from assay.manifests.experiment import Experiment
from assay.manifests.verification import Outcome, Verification

LAYOUT = "v1"
"""The folder of this layout inside a ledger."""

Table = Literal[
    "scores",
    "units",
    "arms",
    "metrics",
    "confusions",
    "histograms",
    "latency",
    "comparisons",
    "decisions",
    "analyses",
    "events",
    "spending",
]
"""scores: a row per arm and dataset row. units: per unit evaluated: where, how long it took, and what its process read
from the dataset's store since the unit before (`shards_fetched`, `bytes_fetched`, `fetch_s`). arms, metrics,
comparisons, decisions: what their names say. confusions: per arm, how many rows of each label have each prediction.
histograms: per arm, how many rows have a probability of the predicted class, or a value, in each bin. latency: a row
per batch that an arm and the control were timed on in turn, or one that says why they were not. analyses: the planned
analysis as one JSON document. events: what happened on the way. spending: one row, what the run's slots had cost until
the commit, work or not."""

SUBMISSION_VARIABLE = "ASSAY_SUBMISSION"
"""The environment variable that tells a driver which submission it carries out."""

LEDGER_VARIABLE = "ASSAY_LEDGER"
"""The environment variable that says where the ledger is, unless a command is told otherwise."""

SUBMITTER_VARIABLE = "ASSAY_SUBMITTED_BY"
"""The environment variable that says who starts a run, as a label that everyone may read; else it is the user's name."""

FORMAT = f'{{"format": "assay-ledger", "layout": "{LAYOUT}"}}'
"""What the object that makes a store a ledger says."""

FORMAT_KEY = f"{LAYOUT}/FORMAT.json"

LINEAGE_COLUMNS = (
    "run_id",
    "arm",
    "dataset_digest",
    "variant_digest",
    "suite_digest",
    "plan_digest",
    "environment_digest",
)
"""The first columns of the scores table: where a row came from. The scores digest is of the columns after them."""
SCORE_COLUMN_PREFIX = "score_"
SEGMENT_COLUMN_PREFIX = "segment_"


def run_key(run_id: str) -> str:
    """The key of the opened run's record."""
    return f"{LAYOUT}/runs/{run_id}.json"


def commit_key(run_id: str) -> str:
    """The key of the commit record, whose existence makes the run visible."""
    return f"{LAYOUT}/commits/{run_id}.parquet"


def table_prefix(table: Table, run_id: str) -> str:
    """What the keys of a run's files of one table start with."""
    return f"{LAYOUT}/data/{table}/run_id={run_id}/"


def progress_key(run_id: str) -> str:
    """The key of the run's progress, which its driver replaces: it informs, and is no evidence."""
    return f"{LAYOUT}/progress/{run_id}.json"


def submission_key(submission_id: str) -> str:
    """The key of the note that says which run a submitted job carries out."""
    return f"{LAYOUT}/submissions/{submission_id}/run.json"


def cancel_key(submission_id: str) -> str:
    """The key of the marker that cancels a submitted job: of this one only, so that the next one may go on."""
    return f"{LAYOUT}/submissions/{submission_id}/cancel.json"


CALIBRATIONS_PREFIX = f"{LAYOUT}/calibrations/"
"""Where calibrations of the gate lie."""


def calibration_key(run_id: str, seed: int, num_permutations: int) -> str:
    """The key of one calibration of the gate on a run's scores."""
    return f"{CALIBRATIONS_PREFIX}{run_id}/seed{seed}-n{num_permutations}.json"


def unit_key(run_id: str, arm: str, unit: int) -> str:
    """The key of one unit's scores: a pure function of the unit, so that nobody can publish it twice."""
    return f"{table_prefix('scores', run_id)}{arm}/u{unit:06d}.parquet"


class Lineage(Manifest):
    """Where a run came from: what must be equal for numbers to be comparable, and what is recorded beside it."""

    identity: Parameters
    """Package versions and code that the numbers depend on; equal for every arm."""
    circumstance: Parameters
    """Where and how the driver ran: host, hardware, repository state."""


class Run(Manifest):
    """The opened run: written before the first unit, so that the plan comes before the results."""

    kind: Literal["Run"] = "Run"
    """Always `Run`."""
    version: Literal[1] = 1
    """The version of this form."""
    run_id: Name
    """The experiment's name and the start of the resolved experiment's digest."""
    experiment: Experiment
    """The experiment with every digest filled."""
    experiment_digest: Digest
    """Digest of the resolved experiment: dataset, suite, arms, weights and code."""
    dataset_digest: Digest
    """Digest of the dataset's rows."""
    suite_digest: Digest
    """Digest of the suite."""
    plan_digest: Digest
    """Digest of the analysis plan: what is pre-registered."""
    policy_digest: Digest
    """Digest of the gate's policy."""
    variant_digests: Parameters
    """Digest of each arm's variant."""
    label: FrozenColumn
    """The dataset's label column: what the labels in the scores table mean."""
    dataset_description: str = Field(default="", json_schema_extra=CIRCUMSTANCE)
    """What a row of the dataset is, in its contract's words."""
    dataset_check: CheckReport = Field(json_schema_extra=CIRCUMSTANCE)
    """What the dataset's contract found when the rows were frozen."""
    unit_keys: Parameters
    """Digest, per arm, of all that the scores of its units depend on beside the device. Another run takes over units
    of an equal key."""
    lineage: Lineage
    """The driver's lineage."""
    opened_at: str = Field(json_schema_extra=CIRCUMSTANCE)
    """When the run was opened: UTC, ISO 8601."""
    supersedes: str | None = None
    """The run that this one repeats, because some of its arms failed or were not finished when it was stopped."""


ProgressState = Literal["running", "committed", "stopped", "failed", "cancelled"]


class ArmProgress(Manifest):
    """How far one arm is."""

    arm: Name
    """The arm's name."""
    num_units_done: int = Field(ge=0)
    """Units in the ledger."""
    num_rows_done: int = Field(ge=0)
    """Rows in the ledger."""
    failed: str
    """Why the arm failed; empty if it has not."""
    dropped: str
    """Why the arm was dropped from the race; empty if it was not."""


class Spent(Manifest):
    """What slots have cost, from when each was ready until it was given back."""

    slot_s: float = Field(default=0.0, ge=0)
    """Seconds of slots."""
    cpu_s: float = Field(default=0.0, ge=0)
    """Seconds of CPU cores that slots reserved."""
    gpu_s: float = Field(default=0.0, ge=0)
    """Seconds of GPUs that slots held."""
    price: float = Field(default=0.0, ge=0)
    """What that costs by the experiment's prices."""

    def __add__(self, other: "Spent") -> "Spent":
        """Both together."""
        return Spent(
            slot_s=self.slot_s + other.slot_s,
            cpu_s=self.cpu_s + other.cpu_s,
            gpu_s=self.gpu_s + other.gpu_s,
            price=self.price + other.price,
        )


class Progress(Manifest):
    """How far a run is, as its driver last told: replaced about once a second, and no evidence of anything."""

    kind: Literal["Progress"] = "Progress"
    """Always `Progress`."""
    version: Literal[1] = 1
    """The version of this form."""
    run_id: Name
    """The run."""
    state: ProgressState
    """What the driver did when it last told; one that was killed could not tell. `stopped`: by a signal or because
    the budget is spent; `cancelled`: by the submission's cancel marker. What was whole then is committed."""
    reason: str
    """Why the driver gave up or stopped; empty if it has not."""
    num_units: int = Field(ge=0)
    """Units per arm."""
    num_rows: int = Field(ge=0)
    """Rows per arm."""
    arms: tuple[ArmProgress, ...]
    """The arms, in the experiment's order."""
    num_slots: int = Field(ge=0)
    """Slots that are ready."""
    num_slots_busy: int = Field(ge=0)
    """Slots with a unit in hand."""
    num_retries: int = Field(ge=0)
    """Units that this driver had to try again."""
    rows_per_s: float | None
    """Rows published a second by this driver so far. Null before its first unit."""
    bytes_fetched: int = Field(ge=0)
    """Bytes of shards that this driver's slots have fetched."""
    spent: Spent
    """What the run has cost so far, its earlier drivers included as far as they could tell."""
    eta_s: float | None
    """Seconds until the last unit, at this driver's pace so far. Null before its first unit."""
    started_at: str
    """When this driver began: UTC, ISO 8601."""
    updated_at: str
    """When it told this: UTC, ISO 8601."""

    @property
    def num_units_done(self) -> int:
        """Units of all arms that are in the ledger."""
        return sum(arm.num_units_done for arm in self.arms)

    @property
    def num_rows_done(self) -> int:
        """Rows of all arms that are in the ledger."""
        return sum(arm.num_rows_done for arm in self.arms)


PATCH_PREFIX = f"{LAYOUT}/patches/"
"""Where uncommitted changes lie that runs were made with, if their experiments asked for it."""


def patch_key(digest: str) -> str:
    """The key of a patch, by its digest."""
    return f"{PATCH_PREFIX}{digest.removeprefix('sha256:')}.patch"


LOG_PREFIX = f"{LAYOUT}/log/"
"""Where the version ledger lies: decisions that somebody acted on, in order."""


def log_key(number: int) -> str:
    """The key of one entry of the version ledger."""
    return f"{LOG_PREFIX}{number:06d}.json"


class LogEntry(Manifest):
    """One entry of the version ledger. Its file is its canonical JSON with the seal, so that every byte counts."""

    version: Literal[1] = 1
    """The version of this form."""
    number: int = Field(ge=1)
    """Its place in the log: 1 for the first."""
    previous: Digest | None
    """The seal of the entry before it. Null in the first."""
    kind: Literal["promote", "hold", "reject", "override", "verification"]
    """What happened: the gate's decision, a person's in its place, or that rows were scored again."""
    at: str
    """When: UTC, ISO 8601."""
    run_id: Name
    """The run it is about."""
    arm: Name | None
    """The arm it is about. Null for a verification, which names its arms."""
    decision: Literal["promote", "hold", "reject"] | None
    """What is to be done with the arm from now on; for the gate's decisions, the same as `kind`. Null for a
    verification, which decides nothing."""
    verification: Verification | None
    """What came of scoring rows again. Null for anything else."""
    reasons: tuple[str, ...]
    """What the gate said of the arm."""
    by: str = Field(min_length=1, max_length=100)
    """Who decided: `gate`, or the name that a person gave. A label that everyone may read. `verify`: nobody."""
    reason: str | None = Field(min_length=1)
    """Why a person decided otherwise. Null for the gate's own decisions."""
    record_digest: Digest
    """The sha256 of the opened run's record as it is stored."""
    commit_digest: Digest
    """The sha256 of the commit record as it is stored: with it the entry vouches for every file of the run."""
    analysis_digest: Digest
    """The sha256 of the run's file with the planned analysis."""
    plan_digest: Digest
    """Digest of the analysis plan."""
    policy_digest: Digest
    """Digest of the gate's policy."""
    seal: Digest = Field(json_schema_extra=CIRCUMSTANCE)
    """The digest of all the rest: a changed entry shows by itself, the newest one, too."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.kind == "override") != (self.reason is not None):
            raise ValueError("an override has a reason, and nothing else has one")
        of_rows = (self.verification is not None, self.arm is None, self.decision is None)
        if any(of_rows) or self.kind == "verification":
            if not all(of_rows) or self.kind != "verification":
                raise ValueError("a verification has what it found, no arm and no decision")
        elif self.kind not in ("override", self.decision):
            raise ValueError(f"the gate's '{self.kind}' cannot decide '{self.decision}'")
        return self

    @property
    def outcome(self) -> Outcome | None:
        """Whether the rows that were scored again are the same. Null for what is no verification."""
        return None if self.verification is None else self.verification.outcome
