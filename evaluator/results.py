"""What one evaluated unit is: its rows, their digest, and the time that was spent."""

from dataclasses import dataclass, field

import pyarrow as pa


@dataclass(frozen=True)
class UnitTiming:
    """Where a unit's time went, in seconds of wall time, and what it read.

    Attributes:
        read_s: How long the unit waited for its rows: for the bytes of shards, and for their decoding.
        decode_s: The part of it after the bytes had come.
        fetch_s: Fetching and verifying shards since the process's last unit; less than all of it was waited for if it
            was done while the last unit was evaluated.
        shards_fetched: Shards that this process read from the store since its last unit: none if they were on the
            host already.
        bytes_fetched: Their bytes.
        predict_s: Cutting batches, copying them to the device and the variant's own work, over all batches of all
            passes.
        copy_s: Of that the copying.
        forward_s: Of that the variant's own work; a GPU computes one batch while it copies another, so that both
            together may be more.
        score_s: Making predictions and scores of raw outputs.
        cpu_s: CPU seconds of the whole unit, all threads of the process.
        batch_p50_s: Median time of a batch.
        batch_max_s: Longest time of a batch.
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
        table: A row per dataset row: `row_index`, `row_id` (if the dataset has ids), `label`, `prediction`,
            `probabilities` (if stored and the variant gives them), `segment_*`, `cluster`, `score_*`. Scores are means
            over repeats, the rest is the first repeat's.
        digest: Digest of the table's rows: equal for every executor, replica and retry.
        timing: Where the time went.
        repeat_sums: Of each metric, the sum of its scores in each repeat; empty if there was one.
    """

    table: pa.Table
    digest: str
    timing: UnitTiming
    repeat_sums: dict[str, list[float]] = field(default_factory=dict)
