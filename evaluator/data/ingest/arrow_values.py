"""Arrow values: lossless conversion of a typed Arrow column, as in Parquet and Arrow files, to the contract's type."""

from typing import Any, cast

import numpy as np
import pyarrow as pa

from assay.evaluator.data.ingest import dates
from assay.evaluator.data.ingest.arrow_schema import SCALARS, AnyArray, AnyType
from assay.evaluator.data.ingest.chunk import Converted, Refusal


def acceptable(actual: AnyType, *, type_name: str) -> bool:
    """Whether some values of a type can be converted to the contract's scalar type without loss.

    Integers convert to wider or narrower integers, or to floats, where they fit; floats convert to other floats where
    they fit. A float never converts to an integer, nor a number to a string or a bool.
    """
    if pa.types.is_dictionary(actual):
        return acceptable(actual.value_type, type_name=type_name)
    if pa.types.is_null(actual):
        return True
    if dates.is_moment(type_name):
        return dates.acceptable(actual, type_name=type_name)
    target = SCALARS[type_name]
    if pa.types.is_integer(target):
        return pa.types.is_integer(actual)
    if pa.types.is_floating(target):
        return pa.types.is_integer(actual) or pa.types.is_floating(actual)
    if pa.types.is_boolean(target):
        return pa.types.is_boolean(actual)
    return pa.types.is_string(actual) or pa.types.is_large_string(actual) or pa.types.is_string_view(actual)


def from_arrow(array: AnyArray, *, type_name: str) -> Converted:
    """Converts an array of an acceptable type; nulls stay null.

    Args:
        array: The values, shape (rows,).
        type_name: The scalar type's name in a contract.
    """
    target: AnyType = SCALARS[type_name]
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type):
        return Converted(pa.nulls(len(array), target))
    if dates.is_moment(type_name):
        return dates.from_arrow(array, type_name=type_name)
    if type_name == "string":
        return _from_strings(array)
    if array.type == target:
        return Converted(array)
    if pa.types.is_floating(array.type):
        return _from_floats(array, type_name)
    try:
        return Converted(array.cast(target))
    except pa.ArrowInvalid:
        return _from_integers(array, type_name)


def _from_strings(array: AnyArray) -> Converted:
    try:
        array.validate(full=True)  # Parquet does not guarantee that strings are UTF-8
    except pa.ArrowInvalid:
        kept, refusals = list[str | None](), list[Refusal]()
        contents = cast("list[Any]", array.cast(pa.large_binary()).to_pylist())
        for row, content in enumerate(contents):
            if content is None:
                kept.append(None)
                continue
            try:
                kept.append(content.decode("utf-8"))
            except UnicodeDecodeError as error:
                kept.append("")
                value = f"byte 0x{content[error.start]:02x} in '{content.decode('utf-8', 'backslashreplace')}'"
                refusals.append(Refusal(row, "not UTF-8", value))
        return Converted(pa.array(kept, pa.string()), tuple(refusals))
    return Converted(array.cast(pa.string()))


def _from_floats(array: AnyArray, type_name: str) -> Converted:
    """Converts floats. Widening is exact; narrowing is accepted where the value survives the round trip, as NaN does."""
    values = array.cast(pa.float64()).fill_null(0.0).to_numpy()
    with np.errstate(over="ignore"):
        narrowed = values.astype(type_name)
    lost = np.flatnonzero((narrowed.astype(np.float64) != values) & ~np.isnan(values))
    bound = f"values that {type_name} represents exactly; round them first, or declare {array.type}"
    refusals = tuple(Refusal(int(row), f"does not fit {type_name}", float(values[row]), bound) for row in lost)
    return Converted(pa.array(narrowed, mask=array.is_null().to_numpy(zero_copy_only=False)), refusals)


def _from_integers(array: AnyArray, type_name: str) -> Converted:
    kept: list[Any] = []
    refusals: list[Refusal] = []
    limits = None if type_name.startswith("float") else np.iinfo(type_name)
    convert = float if limits is None else int
    for row, value in enumerate(array.to_pylist()):
        if value is None:
            fits = True
        elif limits is not None:
            fits = limits.min <= value <= limits.max
        else:
            fits = int(np.dtype(type_name).type(value)) == value
        if not fits:
            bound = (
                f"{limits.min} to {limits.max}" if limits is not None else f"values that {type_name} represents exactly"
            )
            refusals.append(Refusal(row, f"does not fit {type_name}", value, bound))
        kept.append(None if value is None else convert(value if fits else 0))
    return Converted(pa.array(kept, SCALARS[type_name]), tuple(refusals))
