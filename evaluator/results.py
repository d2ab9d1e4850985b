"""The result of evaluating one unit: its scored rows, their digest, and the time spent."""

from dataclasses import dataclass, field

import pyarrow as pa


@dataclass(frozen=True)
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
        table: One row per dataset row: `row_index`, `row_id` (if the dataset has ids), `label`, `prediction`,
            `probabilities` (if stored and available), `segment_*`, `cluster`, `score_*`. Scores are means over the
            repeats; predictions and probabilities are those of the first repeat.
        digest: Digest of the table's rows: the same for every executor, replica and retry.
        timing: How long each step took.
        repeat_sums: For each metric, the sum of its scores in each repeat; empty if there is only one repeat.
    """

    table: pa.Table
    digest: str
    timing: UnitTiming
    repeat_sums: dict[str, list[float]] = field(default_factory=dict)
