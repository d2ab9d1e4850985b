"""Builds receipts of units that were never scored."""

from dataclasses import fields
from typing import Any

from assay.evaluator.conditions import Conditions, DeterminismFlags
from assay.evaluator.ledger.receipt import Attempt, Footprint, Preparation, ReuseSource, UnitFacts, UnitReceipt
from assay.evaluator.results import BatchSizeSensitivity, UnitTiming

FLAGS = DeterminismFlags(True, False, True, False, False, False, 1, 1, "float32", None, None, None)
SENSITIVITY = BatchSizeSensitivity(32, 0, 0.25, 0.5)


def conditions(**changed: Any) -> Conditions:
    """Conditions on a host without a GPU."""
    known = {
        "host": "a-host",
        "cpu": "a CPU",
        "device": "cpu",
        "device_class": "cpu",
        "num_cpus": 1.0,
        "num_gpus": 0.0,
        "accelerator_type": "",
        "environment_digest": f"sha256:{'e' * 64}",
        "environment": {"python": "3.11", "torch": "2.13.0+cpu"},
        "determinism": FLAGS,
    }
    return Conditions(**{**known, **changed})


def attempt(**times: float) -> Attempt:
    """An attempt that took no time but these, given by the names of the table `units`."""
    timing = {field.name: times.pop(field.name, 0) for field in fields(UnitTiming)}
    before = {field.name: times.pop(field.name, 0.0) for field in fields(Preparation)}
    return Attempt(
        "slot-1", 1, "2026-01-01T00:00:00+00:00", "shared", Preparation(**before), UnitTiming(**timing), **times
    )


def receipt(
    arm: str = "a", unit: int = 0, *, num_rows: int = 32, reuse: ReuseSource | None = None, **changed: Any
) -> UnitReceipt:
    """A receipt; `changed` are fields of its facts."""
    known = {
        "first_row": unit * num_rows,
        "batch_size": 32,
        "conditions": conditions(),
        "footprint": Footprint(),
        "batch_sensitivity": SENSITIVITY,
        "opened_files": {},
        "unanswered": {},
        "first_unanswered": "",
        "score_sums": {"accuracy": float(unit)},
        "repeat_sums": {},
        "nonce": f"{unit:032d}",
        "attempt": None if reuse else attempt(),
        "reuse": reuse,
    }
    return UnitReceipt(arm, unit, f"key-{unit}", num_rows, 1, "sha256", "same", UnitFacts(**{**known, **changed}), {})
