"""Where the time of a run went, per arm and per slot, from the ledger's `units` table."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from assay.evaluator.ledger.committed_run import CommittedRun
from assay.evaluator.ledger.schema import SLOT_SECONDS
from assay.evaluator.storage import Store
from assay.manifests.timing import ArmTiming, RunTiming, SlotTiming

SECONDS = ("load_s", "fetch_s", "read_s", "decode_s", "predict_s", "copy_s", "forward_s", "score_s", "write_s")
"""The steps whose seconds are summed up."""

Row = Mapping[str, Any]


def timing(store: Store, run_id: str) -> RunTiming:
    """Rows, bytes and seconds of every arm and every slot. Null: not measured.

    Reused units are counted, but contribute no time: their times are in the run that scored them.

    Raises:
        LedgerError: The run is unknown or not committed.
        DamageError: A file of it was changed.
    """
    rows = CommittedRun(store, run_id).rows("units")
    evaluated = [row for row in rows if not row.get("reused_from")]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    slots = sorted({(row["slot"], row["host"]) for row in evaluated})
    reused = {arm: sum(bool(row.get("reused_from")) for row in rows if row["arm"] == arm) for arm in arms}
    return RunTiming(
        run_id=run_id,
        ledger=store.uri,
        arms=tuple(
            ArmTiming(arm=arm, num_units_reused=reused[arm], **_sums([row for row in evaluated if row["arm"] == arm]))
            for arm in arms
        ),
        slots=tuple(
            SlotTiming(slot=slot, host=host, **_sums(of_slot), **_span(of_slot))
            for slot, host in slots
            for of_slot in [[row for row in evaluated if (row["slot"], row["host"]) == (slot, host)]]
        ),
    )


def _sums(units: Sequence[Row]) -> dict[str, Any]:
    num_rows = sum(row["num_rows"] for row in units)
    busy_s = sum(_busy_s(row) for row in units)
    return {
        "num_units_evaluated": len(units),
        "num_rows_evaluated": num_rows,
        "bytes_fetched": _sum(units, "bytes_fetched"),
        "bytes_written": sum(row["size_bytes"] for row in units),
        **{name: _sum(units, name) for name in SECONDS},
        "busy_s": busy_s,
        "rows_per_s": num_rows / busy_s if busy_s else None,
    }


def _span(units: Sequence[Row]) -> dict[str, Any]:
    """The time from the start of a slot's first unit to the end of its last, and the share of it that the slot worked."""
    if any(row.get("started_at") is None for row in units):
        return {"started_at": None, "span_s": None, "busy_fraction": None}
    # A unit's `started_at` is after its variant was loaded, timed and probed.
    begins = [_at(row) - sum(_seconds(row, name) for name in ("load_s", "timing_s", "probe_s")) for row in units]
    ends = [begin + _busy_s(row) for begin, row in zip(begins, units, strict=True)]
    span_s = max(ends) - min(begins)
    started_at = min(row["started_at"] for row in units)
    return {"started_at": started_at, "span_s": span_s, "busy_fraction": sum(map(_busy_s, units)) / span_s}


def _at(unit: Row) -> float:
    return dt.datetime.fromisoformat(unit["started_at"]).timestamp()


def _busy_s(unit: Row) -> float:
    """Wall time in seconds that one unit kept its slot busy."""
    return sum(_seconds(unit, name) for name in SLOT_SECONDS)


def _seconds(unit: Row, name: str) -> float:
    return unit.get(name) or 0.0


def _sum(units: Sequence[Row], name: str) -> float | int | None:
    values = [row[name] for row in units if row.get(name) is not None]
    return sum(values) if values else None
