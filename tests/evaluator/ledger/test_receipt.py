"""Receipts share equal facts in memory, so that a driver can hold hundreds of thousands."""

import pickle
import tracemalloc

from assay.evaluator.ledger.receipt import Sharing, UnitReceipt

REPEATED = {
    "determinism": {f"flag_{number}": "a value that is rather long" for number in range(12)},
    "batch_sensitivity": {"num_rows": 32, "num_flips": 0, "max_abs_difference": 0.25, "noise_floor": 0.5, "reason": ""},
    "host": "a-host-with-a-long-name.of.a.long.domain",
    "environment_digest": f"sha256:{'e' * 64}",
}


def sent(unit: int, **facts) -> bytes:
    """A receipt as it arrives from another process: it shares nothing with earlier receipts."""
    own = {"nonce": f"{unit:032d}", "predict_s": unit / 7, "score_sums": {"accuracy": float(unit)}}
    receipt = UnitReceipt("arm", unit, f"key-{unit}", 32, 1, "sha256", "same", {**REPEATED, **own, **facts})
    return pickle.dumps(receipt)


def test_a_shared_receipt_says_the_same_in_less_than_half_the_memory():
    messages = [sent(unit) for unit in range(500)]
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
    other = {**REPEATED["batch_sensitivity"], "num_flips": 3}
    first, second, third = (share(pickle.loads(each)) for each in (sent(0), sent(1, batch_sensitivity=other), sent(2)))
    assert first.facts["batch_sensitivity"] is third.facts["batch_sensitivity"]
    assert first.facts["determinism"] is second.facts["determinism"]
    assert second.facts["batch_sensitivity"] == other
    assert first.facts["batch_sensitivity"]["num_flips"] == 0
