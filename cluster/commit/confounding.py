"""Confounding: arms whose units were scored on other hardware, packages or settings than the control's same units."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from assay.evaluator.conditions import Conditions
from assay.evaluator.ledger.receipt import UnitReceipt
from assay.evaluator.provenance import lineage
from assay.evaluator.provenance.dotted import flat

_IDENTITY = ("device_class", "environment", "determinism")
# Scores do not depend on these, and they differ between hosts.
_CIRCUMSTANCE = ("determinism.num_interop_threads", "determinism.python_hash_seed")


def confounded(
    receipts: Mapping[str, Mapping[int, UnitReceipt]], arms: Sequence[str], *, control: str
) -> dict[str, str]:
    """The arms with units that were scored under other conditions than the control's same units, and the differences.

    Conditions are the device class, package versions and determinism flags. They are compared unit by unit, because
    the analysis pairs rows: two arms may use the same mixture of hosts and still pair rows of different hosts.

    Args:
        receipts: Per arm, its units' receipts by index.
        arms: The complete arms.
        control: The control, one of them.

    Returns:
        Per affected arm, a message.
    """
    messages = {}
    for arm in arms:
        differences: dict[str, set[tuple[str, str]]] = {}
        num_units = 0
        for unit, receipt in receipts[arm].items():
            changes = _changes(receipts[control][unit].facts.conditions, receipt.facts.conditions)
            num_units += bool(changes)
            for change in changes:
                differences.setdefault(change.field, set()).add((str(change.recorded), str(change.now)))
        if differences:
            fields = "; ".join(
                f"{field} {', '.join(f'{of_arm} instead of {of_control}' for of_control, of_arm in sorted(pairs))}"
                for field, pairs in differences.items()
            )
            messages[arm] = (
                f"{num_units} of {len(receipts[arm])} units were scored under other conditions than the control's: "
                f"{fields}"
            )
    return messages


def _changes(control: Conditions, arm: Conditions) -> tuple[lineage.Change, ...]:
    if all(getattr(control, name) == getattr(arm, name) for name in _IDENTITY):  # as in nearly every unit
        return ()
    return lineage.changes(_identity(control), _identity(arm))


def _identity(conditions: Conditions) -> dict[str, Any]:
    fields = flat({name: value for name, value in asdict(conditions).items() if name in _IDENTITY})
    return {name: value for name, value in fields.items() if name not in _CIRCUMSTANCE}
