"""Encodes a table's columns as numbers: scores, and codes of arms, row ids, segments and clusters in sorted order.

Axes: N lines of a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from assay.manifests.errors import did_you_mean
from assay.stats.errors import SamplesError
from assay.stats.samples.samples import free_segment_name

Column = pa.Array | pa.ChunkedArray | ArrayLike
"""One column of a table: Arrow, NumPy, pandas or a list."""


@dataclass(frozen=True)
class Coded:
    """Values encoded as indices into their sorted distinct names; -1 for null."""

    codes: NDArray[np.int64]
    names: NDArray[Any]


def _array(column: Column) -> Any:
    """The column as one Arrow array; Any, because pyarrow's stubs do not cover dictionary arrays or their chunks."""
    if isinstance(column, pa.ChunkedArray):
        whole = column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column
        return whole.combine_chunks()
    return column if isinstance(column, pa.Array) else pa.array(cast("Any", column), from_pandas=True)


def _coded(column: Column) -> Coded:
    """Indices into the sorted distinct values; -1 for null."""
    array = _array(column)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    values = array.dictionary
    order = pc.sort_indices(values).to_numpy(zero_copy_only=False)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    indices = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    codes = np.where(indices < 0, -1, rank[indices]) if len(rank) else np.full(len(array), -1)
    names = values.take(pa.array(order)).to_numpy(zero_copy_only=False)
    if len(names) > 1 and (names[1:] == names[:-1]).any():  # a dictionary may contain the same value twice
        return _coded(array.cast(values.type))
    return Coded(codes=codes.astype(np.int64, copy=False), names=names)


def check_arms(arms: Sequence[str]) -> None:
    """Raises SamplesError if there are no arms, or one is listed twice."""
    if not arms:
        raise SamplesError("the scores have no arms", field="arm", remedy="name at least the control")
    duplicates = sorted({name for name in arms if list(arms).count(name) > 1})
    if duplicates:
        raise SamplesError("an arm is listed twice", field="arm", value=duplicates[0], remedy="list each arm once")


def arm_codes(arm: Column, order: Sequence[str] | None) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    """The names of the arms, in the order of `order` or sorted, and the index of each line's arm.

    Raises:
        SamplesError: A line has no arm, or one that is not in `order`.
    """
    coded = _coded(arm)
    if (coded.codes < 0).any():
        line = int(np.flatnonzero(coded.codes < 0)[0])
        raise SamplesError("a line has no arm", place=f"line {line + 1} of the scores", field="arm")
    present = tuple(str(name) for name in coded.names)
    names = present if order is None else tuple(order)
    check_arms(names)
    unknown = [name for name in present if name not in names]
    if unknown:
        raise SamplesError(
            "the scores contain an unexpected arm",
            field="arm",
            value=unknown[0],
            remedy=did_you_mean(unknown[0], list(names)),
        )
    index_of = np.array([names.index(name) for name in present], dtype=np.int16)
    return names, index_of[coded.codes]


def scores_of(column: Column, field: str) -> NDArray[np.float64]:
    """Scores as float64; null is NaN.

    Raises:
        SamplesError: The column is not numeric.
    """
    array = _array(column)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type) or pa.types.is_null(array.type)):
        raise SamplesError(
            "scores are not numbers", field=field, value=str(array.type), bound="a column of numbers or booleans"
        )
    return array.cast(pa.float64()).to_numpy(zero_copy_only=False)


def row_ids_of(column: Column) -> tuple[NDArray[np.int64], NDArray[Any] | None]:
    """Row ids as numbers in the same sort order, and the ids that the numbers index; None if the ids are integers.

    Raises:
        SamplesError: A row has no id.
    """
    array = _array(column)
    if array.null_count:
        line = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise SamplesError("a row has no id", place=f"line {line + 1} of the scores", field="row_id")
    if pa.types.is_integer(array.type) and array.type != pa.uint64():
        return array.cast(pa.int64()).to_numpy(zero_copy_only=False), None
    coded = _coded(array)
    return coded.codes, coded.names


def segments_of(column: Column) -> Coded:
    """Segments as text; lines without a segment form a segment of their own."""
    array = _array(column)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if not pa.types.is_null(array.type) and (pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        array = pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    array = array.cast(pa.string())
    return _coded(array.fill_null(free_segment_name(array.unique().to_pylist())) if array.null_count else array)


def clusters_of(column: Column) -> Coded:
    """Clusters as numbers.

    Raises:
        SamplesError: A line has no cluster.
    """
    coded = _coded(column)
    if (coded.codes < 0).any():
        line = int(np.flatnonzero(coded.codes < 0)[0])
        raise SamplesError(
            "a row has no cluster",
            place=f"line {line + 1} of the scores",
            field="cluster",
            remedy="give each row that belongs to no cluster its own cluster",
        )
    return Coded(codes=coded.codes, names=np.arange(len(coded.names)))
