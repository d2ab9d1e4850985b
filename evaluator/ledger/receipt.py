"""The receipt of a published unit: what is known of it without reading its rows."""

import sys
from dataclasses import dataclass, replace
from typing import Any

from assay.evaluator.ledger.commit_record import LedgerFile

RECEIPT_METADATA = b"assay.receipt"
"""Where a unit file keeps its own receipt, so that a resumed run needs no other state."""

SLOT_SECONDS = ("load_s", "timing_s", "probe_s", "read_s", "predict_s", "score_s", "write_s")
"""The parts of a unit's time in its slot, one after the other. The first unit after a load carries what went before."""
_COST_SECONDS = ("load_s", "probe_s", "read_s", "predict_s", "score_s")


@dataclass(frozen=True)
class UnitReceipt:
    """What is known of one published unit without reading its rows.

    Attributes:
        arm: The arm.
        unit: The unit's index.
        key: The file's key.
        num_rows: How many rows it has.
        size_bytes: Its size.
        sha256: The digest of the file's bytes.
        scores_digest: The digest of the scored rows, whoever wrote them.
        facts: Where, when and how fast it was evaluated.
    """

    arm: str
    unit: int
    key: str
    num_rows: int
    size_bytes: int
    sha256: str
    scores_digest: str
    facts: dict[str, Any]

    @property
    def slot_s(self) -> float:
        """Seconds of a slot that its scores have cost: the same whether it was just made, found, or taken over.

        So without its write, which no file can tell, and without timing the arm beside the control.
        """
        return sum(self.facts.get(name, 0.0) for name in _COST_SECONDS)

    @property
    def is_reused(self) -> bool:
        """Whether the unit was scored by another run."""
        return "reused_from" in self.facts

    @property
    def source_run(self) -> str:
        """The run that a reused unit was scored by."""
        return self.facts["reused_from"].partition("run_id=")[2].partition("/")[0]

    @property
    def file(self) -> LedgerFile:
        """The file as the commit record lists it."""
        return LedgerFile("scores", self.key, self.num_rows, self.size_bytes, self.sha256)


class Sharing:
    """Lets receipts share what they have in common: thousands of units of a slot say the same of it.

    A unit's receipt takes about 2.2 kB of memory then instead of 6.6, and a driver holds hundreds of thousands of them.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}

    def __call__(self, receipt: UnitReceipt) -> UnitReceipt:
        """The same receipt, its names, words and repeated facts shared with those that were seen before."""
        facts = {sys.intern(name): self._shared(name, value) for name, value in receipt.facts.items()}
        return replace(receipt, arm=sys.intern(receipt.arm), facts=facts)

    def _shared(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return sys.intern(value)
        if name in ("determinism", "batch_sensitivity"):
            return self._known.setdefault(repr(value), value)
        if name in ("score_sums", "repeat_sums"):  # their names repeat, their numbers do not
            return {sys.intern(metric): total for metric, total in value.items()}
        return value
