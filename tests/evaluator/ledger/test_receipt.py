"""A receipt is read back as it was written, and receipts share equal facts in memory."""

import math
import pickle
import tracemalloc
from dataclasses import replace

import pytest

from assay.evaluator.ledger.receipt import ReuseSource, Sharing, UnitReceipt
from assay.evaluator.results import BatchSizeSensitivity, PairedTimes
from tests import receipts

REUSED = receipts.receipt(reuse=ReuseSource("data/scores/r-1/a/u000000.parquet", 2.5))


@pytest.mark.parametrize(
    "receipt",
    [
        pytest.param(receipts.receipt(unit=3), id="plain"),
        pytest.param(receipts.receipt(latency=PairedTimes((0.1, 0.2), (0.3, 0.4))), id="timed"),
        pytest.param(receipts.receipt(repeat_sums={"accuracy": [1.0, 2.0]}), id="repeats"),
        pytest.param(receipts.receipt(batch_sensitivity=BatchSizeSensitivity(0, 0, None, None, "no")), id="unknown"),
        pytest.param(receipts.receipt(batch_sensitivity=BatchSizeSensitivity(1, 0, math.inf, math.inf)), id="infinite"),
        pytest.param(REUSED, id="reused"),
    ],
)
def test_a_receipt_is_read_back_as_it_was_written(receipt):
    back = UnitReceipt.from_json(
        receipt.to_json(), key=receipt.key, size_bytes=receipt.size_bytes, sha256=receipt.sha256
    )
    assert back == receipt


@pytest.mark.parametrize("damaged", [b"", b"{}", b"[1]", receipts.receipt().to_json().replace(b"batch_size", b"x")])
def test_anything_else_is_not_a_receipt(damaged):
    with pytest.raises((ValueError, TypeError)):
        UnitReceipt.from_json(damaged, key="key", size_bytes=1, sha256=None)


def test_a_reused_unit_names_the_run_that_scored_it():
    assert REUSED.is_reused
    assert REUSED.facts.reuse is not None
    assert REUSED.facts.reuse.run_id == "r-1"
    assert not receipts.receipt().is_reused


def test_a_shared_receipt_says_the_same_in_less_than_half_the_memory():
    messages = [pickle.dumps(receipts.receipt(unit=unit)) for unit in range(500)]  # as from another process
    sizes, kept = [], []
    for share in (lambda receipt: receipt, Sharing()):
        tracemalloc.start()
        kept.append([share(pickle.loads(message)) for message in messages])
        sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert kept[0] == kept[1]
    assert sizes[1] < 0.5 * sizes[0]


def test_what_differs_is_kept_apart():
    share = Sharing()
    other = replace(receipts.SENSITIVITY, num_flips=3)
    units = (receipts.receipt(unit=0), receipts.receipt(unit=1, batch_sensitivity=other), receipts.receipt(unit=2))
    first, second, third = (share(pickle.loads(pickle.dumps(unit))) for unit in units)
    assert first.facts.batch_sensitivity is third.facts.batch_sensitivity
    assert first.facts.conditions is second.facts.conditions
    assert second.facts.batch_sensitivity == other
    assert first.facts.batch_sensitivity.num_flips == 0
