"""Timing: where the time of a run was spent, as `assay report --timing --json` prints it."""

from assay.manifests.base import Computed


class UnitTimes(Computed):
    """Sums over units that a run has evaluated. Null: not measured."""

    num_units_evaluated: int
    """The units."""
    num_rows_evaluated: int
    """Their rows."""
    bytes_fetched: int | None
    """Bytes of shards that were fetched for them."""
    bytes_written: int
    """Bytes of their files in the ledger."""
    load_s: float | None
    """Seconds of loading variants."""
    fetch_s: float | None
    """Seconds of fetching shards, which overlaps with the previous unit."""
    read_s: float | None
    """Seconds of waiting for rows that are not there yet, decoding included."""
    decode_s: float | None
    """Seconds of decoding rows."""
    predict_s: float | None
    """Seconds of predictions."""
    copy_s: float | None
    """Seconds of making tensors of inputs and moving them to the device: a part of `predict_s`. On a GPU, it overlaps
    with `forward_s`."""
    forward_s: float | None
    """Seconds of the variant's own work: a part of `predict_s`."""
    score_s: float | None
    """Seconds of computing scores."""
    write_s: float | None
    """Seconds of writing scores."""
    busy_s: float
    """Seconds that the units kept their slots busy."""
    rows_per_s: float | None
    """Rows per busy second."""


class ArmTiming(UnitTimes):
    """The times of one arm."""

    arm: str
    """The arm's name."""
    num_units_reused: int
    """Units that another run has scored; their times are in that run."""


class SlotTiming(UnitTimes):
    """The times of one slot."""

    slot: str
    """The slot's name."""
    host: str
    """The host that it was on."""
    started_at: str | None
    """When its first unit started: UTC, ISO 8601."""
    span_s: float | None
    """Seconds from the start of its first unit to the end of its last."""
    busy_fraction: float | None
    """`busy_s` divided by `span_s`."""


class RunTiming(Computed):
    """Rows, bytes and seconds of every arm and every slot of a run."""

    run_id: str
    """The run's id."""
    ledger: str
    """The ledger's URI."""
    arms: tuple[ArmTiming, ...]
    """The arms."""
    slots: tuple[SlotTiming, ...]
    """The slots."""
