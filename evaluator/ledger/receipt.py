"""The receipt of a published unit: facts about the unit that are available without reading its rows."""

import json
import sys
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from assay.evaluator.conditions import Conditions
from assay.evaluator.results import BatchSizeSensitivity, PairedTimes, UnitTiming

RECEIPT_METADATA = b"assay.receipt"
"""The metadata key under which a unit file holds its own receipt, so that a resumed run needs no other state."""
_OF_THE_FILE = {"key", "size_bytes", "sha256"}
"""What a file cannot contain, because it describes the file."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a slot spent before a unit, mostly on loading an arm; charged to the first unit after it.

    Attributes:
        load_s: Seconds spent on loading arms.
        timing_s: Seconds spent on timing the arm against the control.
        probe_s: Seconds spent on probing the sensitivity to the batch size.
        load_cpu_s: CPU seconds of all of these.
    """

    load_s: float = 0.0
    timing_s: float = 0.0
    probe_s: float = 0.0
    load_cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Footprint:
    """The size of a loaded variant.

    Attributes:
        weights_bytes: Bytes of its weights; None if it has none.
        num_parameters: The number of its parameters; None if it is unknown.
        peak_memory_bytes: The largest device memory it has used; None if it is unknown.
    """

    weights_bytes: int | None = None
    num_parameters: int | None = None
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt that scored a unit in this run.

    Attributes:
        slot: The slot's name.
        number: The number of the attempt, from 1.
        started_at: When it started: UTC, ISO 8601.
        shard_cache: `shared`, or why the slot could not share the host's shards.
        preparation: What was spent before the unit.
        timing: What was spent on the unit.
        write_s: Seconds spent on writing the file; None if the receipt was read from the file.
        write_cpu_s: CPU seconds spent on writing the file; None if the receipt was read from the file.
    """

    slot: str
    number: int
    started_at: str
    shard_cache: str
    preparation: Preparation
    timing: UnitTiming
    write_s: float | None = None
    write_cpu_s: float | None = None

    @property
    def slot_s(self) -> float:
        """Slot-seconds spent on the unit's scores.

        Excludes writing the file, which the slot does while it scores the next unit, and timing the arm against the
        control, so that the number is the same for a new unit and for one read back from the ledger.
        """
        unit = self.timing
        return self.one_off_s + unit.read_s + unit.predict_s + unit.score_s

    @property
    def one_off_s(self) -> float:
        """The part of `slot_s` that was spent on loading and probing, which does not grow with the number of rows."""
        return self.preparation.load_s + self.preparation.probe_s


@dataclass(frozen=True, slots=True)
class ReuseSource:
    """Where the rows of a reused unit come from.

    Attributes:
        path: The path of the file that they were read from, in the ledger's layout folder.
        slot_s: Slot-seconds that the run that computed the scores spent on them, without loading and probing.
    """

    path: str
    slot_s: float

    @property
    def run_id(self) -> str:
        """The id of the run that scored the unit."""
        return self.path.split("/")[2]


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """How a unit's rows were scored. Either `attempt` or `reuse` is set.

    Attributes:
        first_row: The index of the unit's first row in the dataset.
        batch_size: The batch size that it was scored with.
        conditions: The conditions under which it was scored.
        footprint: The size of the loaded variant.
        batch_sensitivity: The batch-size sensitivity that the slot measured after loading the arm.
        opened_files: The sha256 of each file that the arm's code opened itself, by its name.
        unanswered: The number of rows without an answer, by status; empty if every row has one.
        first_unanswered: The first of them, with its reason; empty if every row has an answer.
        score_sums: The sum of each metric's scores, which is all that a race needs of a unit.
        repeat_sums: For each metric, the sum of its scores in each repeat; empty if there is only one repeat.
        nonce: A random number, by which a slot recognises a file that it has written itself.
        latency: The times of batches measured in turn with the control's; None if they belong to another unit of the
            slot, or were not measured.
        attempt: The attempt that scored the unit in this run; None if the unit is reused.
        reuse: Where a reused unit comes from; None if this run has scored it.
        altered_by: What other arms had changed in the process before it scored the unit; empty: nothing. Only a run in
            one process has such units.
    """

    first_row: int
    batch_size: int
    conditions: Conditions
    footprint: Footprint
    batch_sensitivity: BatchSizeSensitivity
    opened_files: dict[str, str]
    unanswered: dict[str, int]
    first_unanswered: str
    score_sums: dict[str, float]
    repeat_sums: dict[str, list[float]]
    nonce: str
    latency: PairedTimes | None = None
    attempt: Attempt | None = None
    reuse: ReuseSource | None = None
    altered_by: str = ""


@dataclass(frozen=True)
class UnitReceipt:
    """The facts about one published unit that are available without reading its rows.

    Attributes:
        arm: The arm's name.
        unit: The unit's index.
        key: The file's key.
        num_rows: The number of its rows.
        size_bytes: The file's size in bytes.
        sha256: The digest of the file's bytes; None if only the end of the file was read.
        scores_digest: The digest of the scored rows, which does not depend on the run or slot that wrote them.
        facts: Where and under which settings it was scored, and how long that took.
        lineage: The values of the lineage columns of its rows, by name: which run, variant, dataset, suite and plan the
            unit belongs to.
    """

    arm: str
    unit: int
    key: str
    num_rows: int
    size_bytes: int
    sha256: str | None
    scores_digest: str
    facts: UnitFacts
    lineage: dict[str, str]

    @property
    def is_reused(self) -> bool:
        """Whether the unit was scored by another run."""
        return self.facts.reuse is not None

    @property
    def num_unanswered(self) -> int:
        """The number of its rows without an answer."""
        return sum(self.facts.unanswered.values())

    def to_json(self) -> bytes:
        """The receipt without what only the written file can tell, as the file's metadata hold it."""
        return json.dumps(_RECEIPT.dump_python(self, exclude=_OF_THE_FILE)).encode()

    @classmethod
    def from_json(cls, content: bytes, *, key: str, size_bytes: int, sha256: str | None) -> "UnitReceipt":
        """The receipt that a file's metadata hold.

        Raises:
            ValueError: The content is not that of a receipt.
        """
        try:
            plain = {**json.loads(content), "key": key, "size_bytes": size_bytes, "sha256": sha256}
        except (TypeError, RecursionError) as error:  # not an object, or one that is nested too deeply
            raise ValueError(f"the receipt is no JSON object: {error}") from None
        return _RECEIPT.validate_python(plain)


_RECEIPT = TypeAdapter(UnitReceipt)


class Sharing:
    """Lets receipts share equal facts in memory, since thousands of units of one slot repeat the same facts.

    A driver holds hundreds of thousands of receipts.
    """

    def __init__(self) -> None:
        self._shared: dict[str, Any] = {}

    def __call__(self, receipt: UnitReceipt) -> UnitReceipt:
        """An equal receipt whose names, strings and repeated facts are shared with earlier receipts."""
        facts = receipt.facts
        shared = replace(
            facts,
            conditions=self._one(facts.conditions),
            footprint=self._one(facts.footprint),
            batch_sensitivity=self._one(facts.batch_sensitivity),
            opened_files=self._one(facts.opened_files),
            unanswered=self._one(facts.unanswered),
            score_sums={sys.intern(metric): total for metric, total in facts.score_sums.items()},
            altered_by=sys.intern(facts.altered_by),
            repeat_sums={sys.intern(metric): sums for metric, sums in facts.repeat_sums.items()} or self._one({}),
        )
        if facts.attempt is not None:
            attempt = facts.attempt
            attempt = replace(
                attempt,
                slot=sys.intern(attempt.slot),
                shard_cache=sys.intern(attempt.shard_cache),
                preparation=self._one(attempt.preparation),
            )
            shared = replace(shared, attempt=attempt)
        return replace(receipt, arm=sys.intern(receipt.arm), facts=shared, lineage=self._one(receipt.lineage))

    def _one(self, value: Any) -> Any:
        """The first value that was equal to this one."""
        return self._shared.setdefault(repr(value), value)
