"""How the outcome of a task is written as a message from a worker to its slot."""

from dataclasses import asdict
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from assay.cluster.drive.task_result import Failure, Published
from assay.evaluator.ledger.receipt import UnitReceipt


def to_message(result: Published | Failure) -> dict[str, Any]:
    """The outcome as plain data."""
    if isinstance(result, Failure):
        return {"failure": asdict(result)}
    receipt = _adapter(type(result.receipt)).dump_python(result.receipt)
    return {**vars(result), "receipt": receipt}


def from_message(message: dict[str, Any], receipt_class: type[UnitReceipt]) -> Published | Failure:
    """The outcome that a message describes.

    Args:
        message: What `to_message` returned, as it was received.
        receipt_class: The class of the receipt.

    Raises:
        ValueError: It describes none: the variant's code has written to the worker's channel.
    """
    if "failure" in message:
        failure = _adapter(Failure).validate_python(message["failure"])
        if failure.scope in ("worker", "slot"):
            raise ValueError(f"a failure of its {failure.scope}")
        return failure
    receipt = _adapter(receipt_class).validate_python(message.pop("receipt", None))
    return _adapter(Published).validate_python({**message, "receipt": receipt})


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
