"""Scored rows as the table `scores` stores them: one schema for every run, whatever its labels, metrics and segments.

While they are computed and analysed, scored rows have one column per metric and segment, and labels and predictions of
the dataset's own types (`UnitResult.table`). A score file keeps that schema in its metadata, from which the rows are
restored exactly.
"""

import base64
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.ledger.schema import SCHEMAS
from assay.evaluator.results import is_answered
from assay.manifests.ledger_layout import LINEAGE_COLUMNS, SCORE_COLUMN_PREFIX, SEGMENT_COLUMN_PREFIX

ROWS_METADATA = b"assay.rows"
"""The metadata key under which a score file holds the schema of its rows as they were computed."""
_BY_KIND = ("label", "prediction")
_SCORES: Any = pa.map_(pa.dictionary(pa.int32(), pa.string()), SCHEMAS["scores"].field("scores").type.item_field)
CLASSES = [f"{name}_class" for name in _BY_KIND]
"""The columns that `from_stored` restores fastest if they are read as dictionaries."""


def to_stored(rows: pa.Table, *, lineage: Sequence[str]) -> pa.Table:
    """Scored rows as the table `scores` stores them.

    Args:
        rows: Rows in the form of `UnitResult.table`.
        lineage: The values of the lineage columns.

    Returns:
        The columns of the schema of `scores`. Those with few different texts are dictionaries of texts, which are
        written several times faster; a file of `parquet_bytes` has plain texts in any case.
    """
    schema = SCHEMAS["scores"]
    count = len(rows)
    columns: dict[str, Any] = {
        name: _repeated(value, count) for name, value in zip(LINEAGE_COLUMNS, lineage, strict=True)
    }
    columns["status"] = _repeated("ok", count)
    for name in ("row_index", "row_id", "cluster", "reason"):
        if name in rows.column_names:
            columns[name] = rows[name].combine_chunks()
    if "status" in rows.column_names:
        columns["status"] = rows["status"].combine_chunks().dictionary_encode()
    for name in _BY_KIND:
        columns |= _by_kind(name, rows[name].combine_chunks())
    if "probabilities" in rows.column_names:
        columns["probabilities"] = rows["probabilities"].cast(schema.field("probabilities").type)
    columns["scores"] = _scores(rows, is_answered(rows))
    if any(name.startswith(SEGMENT_COLUMN_PREFIX) for name in rows.column_names):
        columns["segments"] = _segments(rows)
    arrays = [columns[field.name] if field.name in columns else pa.nulls(count, field.type) for field in schema]
    fields = [field.with_type(array.type) for field, array in zip(schema, arrays, strict=True)]
    # In base64, because some readers reject metadata that are not UTF-8.
    metadata = {ROWS_METADATA: base64.b64encode(rows.schema.remove_metadata().serialize())}
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields).with_metadata(metadata))


def _repeated(text: str, count: int) -> Any:
    """A column with one text in every row."""
    return pa.DictionaryArray.from_arrays(_zeros(count), pa.array([text]), safe=False)


@lru_cache(maxsize=4)  # most units have equally many rows
def _zeros(count: int) -> Any:
    return pa.array(np.zeros(count, np.int32))


def from_stored(stored: pa.Table, names: Iterable[str] | None = None) -> pa.Table:
    """The rows of a score file as they were computed.

    Args:
        stored: Rows of one score file, with its metadata; at least the `stored_columns` of the names.
        names: The columns to restore; None: all. Names that the rows do not have are left out.

    Raises:
        ValueError, KeyError, pyarrow.ArrowException: The file was not written by `to_stored`.
    """
    schema = rows_schema(stored.schema)
    wanted = set(schema.names) if names is None else set(names)
    scores, segments = _ScoreColumns(stored, schema), _SegmentColumns(stored, schema)
    fields, columns = [], []
    for field in schema:
        if field.name not in wanted:
            continue
        if field.name.startswith(SCORE_COLUMN_PREFIX):
            column = scores.column(field.name)
        elif field.name.startswith(SEGMENT_COLUMN_PREFIX):
            column = segments.column(field.name)
        elif field.name in _BY_KIND:
            column = _restored(stored, field)
        else:
            column = stored[field.name].cast(field.type)
        fields.append(field)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def rows_schema(stored: pa.Schema) -> pa.Schema:
    """The schema of a score file's rows as they were computed.

    Raises:
        ValueError, pyarrow.ArrowException: The file's metadata have no such schema.
    """
    content = (stored.metadata or {}).get(ROWS_METADATA)
    if content is None:
        raise ValueError(f"its metadata have no '{ROWS_METADATA.decode()}'")
    return _decoded_schema(content)


@lru_cache(maxsize=4)  # the files of a run have the same schema
def _decoded_schema(content: bytes) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(content, validate=True)))


def stored_columns(names: Iterable[str]) -> list[str]:
    """The columns of the table `scores` that hold these columns of the rows."""
    columns: dict[str, None] = {}
    for name in names:
        if name in _BY_KIND:
            columns |= dict.fromkeys((f"{name}_class", f"{name}_value", f"{name}_text"))
        elif name.startswith(SCORE_COLUMN_PREFIX):
            columns["scores"] = None
        elif name.startswith(SEGMENT_COLUMN_PREFIX):
            columns["segments"] = None
        else:
            columns[name] = None
    known = SCHEMAS["scores"].names
    return [name for name in known if name in columns]


def _by_kind(name: str, column: Any) -> dict[str, Any]:
    """A label or prediction in the columns for its kind."""
    if pa.types.is_boolean(column.type):  # predictions of such labels are 0 and 1
        column = column.cast(pa.int64())
    kind = column.type
    if pa.types.is_floating(kind):
        return {f"{name}_value": column.cast(pa.float64())}
    encoded = column.dictionary_encode()
    texts = encoded.dictionary.cast(pa.string())
    classes = {f"{name}_class": pa.DictionaryArray.from_arrays(encoded.indices, texts, safe=False)}
    if pa.types.is_string(kind):
        return classes
    if name == "label":
        return {**classes, "label_value": pc.cast(column, pa.float64(), safe=False)}
    return classes


def _restored(stored: pa.Table, field: pa.Field) -> Any:
    if pa.types.is_floating(field.type):
        return stored[f"{field.name}_value"].cast(field.type)
    encoded: Any = stored[f"{field.name}_class"].combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    classes = encoded.dictionary
    if pa.types.is_boolean(field.type):
        classes = classes.cast(pa.int64())
    return classes.cast(field.type).take(encoded.indices)


def _scores(rows: pa.Table, answered_R: np.ndarray) -> Any:
    names = _with_prefix(rows.schema, SCORE_COLUMN_PREFIX)
    columns = [rows[name].to_numpy() for name in names]
    if not answered_R.all():
        columns = [column[answered_R] for column in columns]
    values = np.stack(columns, axis=1).reshape(-1) if columns else np.empty(0)
    keys = _keys(_without_prefix(names, SCORE_COLUMN_PREFIX), int(answered_R.sum()))
    offsets: Any = pa.array(_offsets(answered_R * len(names)))
    return pa.MapArray.from_arrays(offsets, keys, pa.array(values), type=_SCORES)


def _segments(rows: pa.Table) -> Any:
    names = _with_prefix(rows.schema, SEGMENT_COLUMN_PREFIX)
    offsets: Any = pa.array(_offsets(np.full(len(rows), len(names))))
    keys = _keys(_without_prefix(names, SEGMENT_COLUMN_PREFIX), len(rows))
    columns = [rows[name].combine_chunks() for name in names]
    values: Any = pa.concat_arrays(columns)
    # The columns one after the other, in the order row by row.
    order = np.arange(len(names) * len(rows)).reshape(len(names), len(rows)).T.reshape(-1)
    return pa.MapArray.from_arrays(offsets, keys, values.take(pa.array(order)))


def _with_prefix(schema: pa.Schema, prefix: str) -> list[str]:
    return [name for name in schema.names if name.startswith(prefix)]


def _without_prefix(names: Sequence[str], prefix: str) -> tuple[str, ...]:
    return tuple(name.removeprefix(prefix) for name in names)


@lru_cache(maxsize=4)  # most units have equally many rows
def _keys(names: tuple[str, ...], num_rows: int) -> Any:
    """The names, repeated for every row, as a dictionary of texts."""
    places: Any = pa.array(np.tile(np.arange(len(names), dtype=np.int32), num_rows))
    return pa.DictionaryArray.from_arrays(places, pa.array(names, pa.string()), safe=False)


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


class _ScoreColumns:
    """The scores of a file by column, restored when the first of them is asked for."""

    def __init__(self, stored: pa.Table, schema: pa.Schema) -> None:
        self._stored, self._names = stored, _with_prefix(schema, SCORE_COLUMN_PREFIX)

    @cached_property
    def _values(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows x metrics, and whether a row has no scores; None if all have."""
        maps: Any = self._stored["scores"].combine_chunks()
        _check_keys(maps, self._names, SCORE_COLUMN_PREFIX)
        values = maps.items.to_numpy().reshape(-1, len(self._names))
        is_answered = np.diff(maps.offsets.to_numpy()) == len(self._names)
        if is_answered.all():
            return values, None
        every = np.full((len(maps), len(self._names)), np.nan)
        every[is_answered] = values
        return every, ~is_answered

    def column(self, name: str) -> Any:
        values, is_missing = self._values
        return pa.array(np.ascontiguousarray(values[:, self._names.index(name)]), mask=is_missing)


class _SegmentColumns:
    """The segments of a file by column."""

    def __init__(self, stored: pa.Table, schema: pa.Schema) -> None:
        self._stored, self._names = stored, _with_prefix(schema, SEGMENT_COLUMN_PREFIX)

    def column(self, name: str) -> Any:
        maps: Any = self._stored["segments"].combine_chunks()
        _check_keys(maps, self._names, SEGMENT_COLUMN_PREFIX)
        return maps.items.take(pa.array(np.arange(self._names.index(name), len(maps.items), len(self._names))))


def _check_keys(maps: Any, names: Sequence[str], prefix: str) -> None:
    """Raises a ValueError unless every row has these keys in this order, or none of them."""
    expected = _keys(_without_prefix(names, prefix), len(maps.keys) // max(len(names), 1))
    if not maps.keys.equals(expected.dictionary_decode()):
        raise ValueError("the keys of a row differ from those that its file's metadata name")
