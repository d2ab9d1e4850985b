"""Tensors: nested lists as fixed-shape tensors; every level must have the length in the contract's shape."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.ingest.arrow_schema import SCALARS, AnyArray, AnyType, arrow_type
from assay.evaluator.data.ingest.arrow_values import acceptable, from_arrow
from assay.evaluator.data.ingest.chunk import Converted, Refusal
from assay.manifests.column import FrozenColumn

Elements = Callable[[list[Any]], Converted]
"""Converts the elements of many tensors, concatenated, to the column's element type."""


def list_type(column: FrozenColumn, *, levels: int | None = None) -> pa.DataType:
    """The nested list type in which readers return a tensor."""
    nested = SCALARS[column.type]
    for _ in range(len(column.shape) if levels is None else levels):
        nested = pa.list_(nested)
    return nested


def acceptable_tensor(actual: AnyType, *, column: FrozenColumn) -> bool:
    """Whether values of a type can be the tensors of a column: lists nested like the shape, or one flat list.

    A flat list has the elements in row-major order, as in NumPy.
    """
    if isinstance(actual, pa.FixedShapeTensorType):
        in_order = actual.permutation is None or list(actual.permutation) == list(range(len(actual.shape)))
        return tuple(actual.shape) == column.shape and in_order and acceptable(actual.value_type, type_name=column.type)
    levels: list[int | None] = []
    while _is_list(actual):
        levels.append(actual.list_size if pa.types.is_fixed_size_list(actual) else None)
        actual = actual.value_type
    for shape in _shapes(column):
        if len(levels) == len(shape):
            fits = all(size in (None, wanted) for size, wanted in zip(levels, shape, strict=True))
            return fits and acceptable(actual, type_name=column.type)
    return False


def from_lists(array: AnyArray, *, column: FrozenColumn) -> Converted:
    """Converts lists, or tensors of another element type, of an acceptable type; nulls stay null.

    Args:
        array: The lists, shape (rows,).
        column: The tensor column.
    """
    storage = array.storage if isinstance(array, pa.ExtensionArray) else array
    elements = _elements(storage, column)
    if elements is not None:
        converted = from_arrow(elements, type_name=column.type)
        if not converted.refusals:
            return Converted(tensor_array(converted.array, column=column))
    element_type = _element_type(storage.type)

    def convert(flat: list[Any]) -> Converted:
        return from_arrow(pa.array(flat, element_type), type_name=column.type)

    return from_nested(storage.to_pylist(), column=column, elements=convert, shapes=_shapes(column))


def from_nested(
    rows: Sequence[Any], *, column: FrozenColumn, elements: Elements, shapes: Sequence[tuple[int, ...]] | None = None
) -> Converted:
    """Converts nested Python lists one by one, and reports those of another shape; None stays null.

    Args:
        rows: A nested list, or None, for each row.
        column: The tensor column.
        elements: Converts the elements.
        shapes: The accepted shapes; None: only the column's.
    """
    size = math.prod(column.shape)
    flat: list[Any] = []
    refusals: list[Refusal] = []
    present: list[int] = []
    for row, nested in enumerate(rows):
        if nested is None:
            continue
        laid_out = next((out for shape in shapes or (column.shape,) if (out := _laid_out(nested, shape))), None)
        if laid_out is None or any(element is None for element in laid_out):
            problem = "not a tensor of this shape" if laid_out is None else "a null inside a tensor"
            refusals.append(Refusal(row, problem, nested, f"nested lists of shape {_shown(column.shape)}"))
            continue
        present.append(row)
        flat.extend(laid_out)
    converted = elements(flat)
    refusals += [
        Refusal(present[refusal.row // size], refusal.problem, refusal.value, refusal.bound)
        for refusal in converted.refusals
    ]
    null = [nested is None for nested in rows]
    values = np.zeros((len(rows), size), converted.array.to_numpy(zero_copy_only=False).dtype)
    values[present] = converted.array.to_numpy(zero_copy_only=False).reshape(-1, size)
    array = tensor_array(pa.array(values.reshape(-1)), column=column, null=null if any(null) else None)
    return Converted(array, tuple(sorted(refusals, key=lambda refusal: refusal.row)))


def tensor_array(elements: pa.Array, *, column: FrozenColumn, null: Sequence[bool] | None = None) -> pa.Array:
    """Concatenated elements as an array of tensors.

    Args:
        elements: Shape (rows * elements of a tensor,), of the column's element type.
        column: The tensor column.
        null: Which tensors are null, shape (rows,).
    """
    kind: AnyType = arrow_type(column)
    mask = None if null is None else pa.array(null, pa.bool_())
    storage = pa.FixedSizeListArray.from_arrays(elements, math.prod(column.shape), mask=mask)
    return pa.ExtensionArray.from_storage(kind, storage)


def _elements(storage: AnyArray, column: FrozenColumn) -> AnyArray | None:
    """All elements concatenated, or None if any list is null or does not have the length in the shape."""
    nested, depth = storage.type, 0
    while _is_list(nested):
        nested, depth = nested.value_type, depth + 1
    # The storage of an Arrow tensor is one flat list, whatever its shape.
    sizes = column.shape if depth == len(column.shape) else (math.prod(column.shape),)
    level = storage
    for size in sizes:
        if level.null_count or not pc.all(pc.equal(pc.list_value_length(level), pa.scalar(size)), min_count=0).as_py():
            return None
        level = level.flatten()
    return None if level.null_count else level


def _element_type(actual: AnyType) -> pa.DataType:
    while _is_list(actual):
        actual = actual.value_type
    return actual


def _is_list(actual: AnyType) -> bool:
    return pa.types.is_list(actual) or pa.types.is_large_list(actual) or pa.types.is_fixed_size_list(actual)


def _shapes(column: FrozenColumn) -> tuple[tuple[int, ...], ...]:
    return tuple(dict.fromkeys((column.shape, (math.prod(column.shape),))))


def _laid_out(nested: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """The elements in row-major order, or None if the lists are not of the shape."""
    if not shape:
        return None if isinstance(nested, list) else [nested]
    if not isinstance(nested, list) or len(nested) != shape[0]:
        return None
    parts = [_laid_out(part, shape[1:]) for part in nested]
    return None if any(part is None for part in parts) else [element for part in parts for element in part or ()]


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
