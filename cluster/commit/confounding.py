"""Confounding: arms whose rows were not scored under what the control's were, so that more than the variant differs."""

from collections.abc import Mapping, Sequence
from typing import Any

from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.provenance import lineage
from assay.evaluator.provenance.dotted import flat

_IDENTITY = ("device_class", "environment", "determinism")
# Scores do not hang on these, and hosts differ in them.
_CIRCUMSTANCE = ("determinism.num_interop_threads", "determinism.python_hash_seed")


def confounded(
    receipts: Mapping[str, Mapping[int, UnitReceipt]], arms: Sequence[str], *, control: str
) -> dict[str, str]:
    """The arms of which units were scored under another identity than the same rows of the control, and in what.

    Rows are compared one by one, so units are, too: a mixture of hosts that is the same for both arms in the sum still
    puts rows of one host against rows of another.

    Args:
        receipts: Per arm, its units' receipts by index.
        arms: Those with every unit.
        control: One of them.
    """
    found = {}
    for arm in arms:
        differs: dict[str, set[tuple[str, str]]] = {}
        num_units = 0
        for unit, receipt in receipts[arm].items():
            changes = lineage.changes(_identity(receipts[control][unit].facts), _identity(receipt.facts))
            num_units += bool(changes)
            for change in changes:
                differs.setdefault(change.field, set()).add((str(change.recorded), str(change.now)))
        if differs:
            fields = "; ".join(
                f"{field} {', '.join(f'{mine} instead of {control_s}' for control_s, mine in sorted(pairs))}"
                for field, pairs in differs.items()
            )
            found[arm] = f"{num_units} of {len(receipts[arm])} units were scored under another identity: {fields}"
    return found


def _identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    fields = flat({name: facts.get(name) for name in _IDENTITY})
    return {name: value for name, value in fields.items() if name not in _CIRCUMSTANCE}
