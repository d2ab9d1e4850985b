"""What scoring yields: the rows of a unit with the time they took, and what the probes of a loaded arm measure."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.manifests import Suite
from assay.manifests.row_status import ROW_STATUSES


@dataclass(frozen=True, slots=True)
class UnitTiming:
    """How long each step of a unit took, in seconds of wall time unless stated otherwise, and what was fetched.

    Attributes:
        read_s: Time spent waiting for the unit's rows: for the bytes of shards and for decoding them.
        decode_s: The part of `read_s` that was spent decoding.
        fetch_s: Time spent fetching and verifying shards since the process's previous unit. Shards may be fetched
            while the previous unit is evaluated, so this can exceed the time spent waiting for them.
        shards_fetched: Number of shards that this process has read from the store since its previous unit; 0 if the
            host had them already.
        bytes_fetched: Bytes of those shards.
        predict_s: Time for cutting batches, copying them to the device and running the variant, over all batches of
            all repeats.
        copy_s: The part of `predict_s` that was spent copying.
        forward_s: The part of `predict_s` that the variant itself took. A GPU computes one batch while it copies
            another, so `copy_s` and `forward_s` together may exceed `predict_s`.
        score_s: Time for turning raw outputs into predictions and scores.
        cpu_s: CPU seconds of the whole unit, over all threads of the process except one that publishes another unit.
        batch_p50_s: Median time per batch.
        batch_max_s: Longest time of any batch.
    """

    read_s: float
    decode_s: float
    fetch_s: float
    shards_fetched: int
    bytes_fetched: int
    predict_s: float
    copy_s: float
    forward_s: float
    score_s: float
    cpu_s: float
    batch_p50_s: float
    batch_max_s: float


@dataclass(frozen=True)
class UnitResult:
    """The scored rows of one unit, in the dataset's order.

    Attributes:
        table: One row per dataset row: `row_index`, `row_id` (if the dataset has ids), `status` and `reason` (if some
            row has no answer), `label`, `prediction`, `probabilities` (if stored and available), `segment_*`,
            `cluster`, `score_*`. Scores are means over the repeats; predictions and probabilities are those of the
            first repeat.
        digest: Digest of the table's rows: the same for every executor, replica and retry.
        timing: How long each step took.
        unanswered: The number of rows without an answer, by status; empty if every row has one.
        first_unanswered: The first of them, with its reason; empty if every row has an answer.
        score_sums: For each metric, the sum of its scores.
        repeat_sums: For each metric, the sum of its scores in each repeat; empty if there is only one repeat.
    """

    table: pa.Table
    digest: str
    timing: UnitTiming
    unanswered: dict[str, int]
    first_unanswered: str
    score_sums: dict[str, float]
    repeat_sums: dict[str, list[float]]


def is_answered(rows: pa.Table) -> np.ndarray:
    """Which rows of a `UnitResult.table` have an answer: bool of shape (rows,)."""
    if "status" not in rows.column_names:
        return np.ones(len(rows), dtype=bool)
    return pc.equal(rows["status"], pa.scalar("ok")).to_numpy()


def count_unanswered(rows: pa.Table) -> tuple[dict[str, int], str]:
    """The number of rows of a `UnitResult.table` without an answer, by status, and the first of them with its reason."""
    if "status" not in rows.column_names:
        return {}, ""
    statuses = rows["status"].to_pylist()
    counts = Counter(statuses)
    first = next(place for place, status in enumerate(statuses) if status != "ok")
    example = f"row {rows['row_index'][first]}: {statuses[first]}: {rows['reason'][first]}"
    return {name: counts[name] for name in ROW_STATUSES if name != "ok" and counts[name]}, example


@dataclass(frozen=True, slots=True)
class BatchSizeSensitivity:
    """What changes when rows are scored one by one instead of in their batches.

    If the suite has several repeats, rows are scored that often in both ways, and row scores are means over the
    repeats, as in a run. A variant that draws random numbers may draw different ones with batch size 1: its noise
    floor then includes that noise, which more repeats lower.

    Attributes:
        num_rows: Rows that were scored in both ways.
        num_flips: Rows whose predictions differ, in the first repeat.
        max_abs_difference: The largest absolute difference of any number in the variant's raw output, in the first
            repeat. For output that is not floating-point: 1 if any prediction differs, else 0.
        noise_floor: How much the batch size changes the primary metric on these rows, in the metric's units. For a
            metric with row scores: their mean absolute difference. For a corpus metric: the share of flipped
            predictions (at the metric's threshold if that is fixed), or the mean absolute difference of the
            probabilities that it is computed from. For a ranking: the share of pairs of rows that change order. For
            RMSE: the root mean square difference of the values. For R2: the mean absolute difference of squared errors
            divided by the labels' variance. None if rows cannot be scored with batch size 1.
        reason: Why they cannot; empty if they can.
    """

    num_rows: int
    num_flips: int
    max_abs_difference: float | None
    noise_floor: float | None
    reason: str = ""

    def exceeds(self, tolerance: float) -> bool:
        """Whether the noise floor exceeds the tolerance."""
        return self.floor > tolerance

    @property
    def floor(self) -> float:
        """The noise floor; infinite if it is unknown."""
        return float("inf") if self.noise_floor is None else self.noise_floor

    def description(self, suite: Suite) -> str:
        """The message for a sensitivity that exceeds the suite's tolerance."""
        return self.reason or (
            f"{self.num_flips} of {self.num_rows} predictions differ between batch size 1 and {suite.batch_size}; "
            f"{suite.primary.name} changes by {self.noise_floor:.4g} (tolerance {suite.batch_sensitivity_tolerance:g})"
        )


@dataclass(frozen=True, slots=True)
class PairedTimes:
    """Times of the control and of an arm on the same batches, in the order in which the batches were timed.

    Attributes:
        control_s: The control's seconds per batch.
        arm_s: The arm's seconds per batch.
        reason: Why there are no times; empty if there are.
    """

    control_s: tuple[float, ...] = ()
    arm_s: tuple[float, ...] = ()
    reason: str = ""
