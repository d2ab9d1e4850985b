"""Digests of bytes and of Arrow rows: equal content, equal digest, however it is chunked."""

import hashlib
import sys
from typing import Any

import blake3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import rfc8785


def blake3_digest(content: bytes | pa.Buffer | memoryview) -> str:
    """`blake3:<hex>` of some bytes: what is checked on every fetch."""
    return f"blake3:{blake3.blake3(memoryview(content)).hexdigest()}"


def sha256_digest(content: bytes | pa.Buffer | memoryview) -> str:
    """`sha256:<hex>` of some bytes: what `sha256sum` prints."""
    return f"sha256:{hashlib.sha256(memoryview(content)).hexdigest()}"


def schema_digest(schema: pa.Schema) -> str:
    """`sha256:<hex>` of the names and types of the columns, in order.

    Nullability, metadata and the way in which lists name their elements are left out: they change no value.
    """
    return sha256_digest(rfc8785.dumps([[field.name, _type_words(field.type)] for field in schema]))


def rows_digest(table: pa.Table) -> str:
    """`sha256:<hex>` of a table's rows: see `RowsDigest`."""
    digest = RowsDigest(table.schema)
    digest.update(table)
    return digest.digest()


class RowsDigest:
    """The digest of rows that come piece by piece; the pieces leave no trace in it.

    Every column is hashed with blake3 as a few streams of little-endian values that do not depend on chunks,
    offsets, padding or what lies under a null: the row numbers of its nulls (int64), then its values (bools as
    bytes; texts as lengths, uint64, and UTF-8; lists as lengths, if they vary, and elements). The digest is the
    sha256 of the canonical JSON of schema digest, number of rows and the hex of each stream.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._columns = [_Stream(field.type) for field in schema]
        self._num_rows = 0

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Adds rows of the schema.

        Raises:
            ValueError: The rows have other columns or types.
            TypeError: A column is of a type that is never frozen nor scored, such as a struct.
        """
        if not rows.schema.equals(self._schema):
            raise ValueError(f"rows of another schema: {rows.schema} instead of {self._schema}")
        for stream, column in zip(self._columns, rows.columns, strict=True):
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                stream.update(chunk)
        self._num_rows += rows.num_rows

    def digest(self) -> str:
        """`sha256:<hex>` of the rows so far."""
        streams = [stream.hexdigests() for stream in self._columns]
        return sha256_digest(rfc8785.dumps([schema_digest(self._schema), self._num_rows, streams]))


class _Stream:
    """The hashes of one column, or of the elements of a list column."""

    def __init__(self, kind: pa.DataType) -> None:
        self._nulls, self._lengths, self._values = blake3.blake3(), blake3.blake3(), blake3.blake3()
        self._length = 0
        element = _element_type(kind)
        self._elements = None if element is None else _Stream(element)

    def update(self, array: Any) -> None:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if isinstance(array, pa.DictionaryArray):
            array = array.dictionary_decode()
        if array.null_count:
            null_rows = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)) + self._length
            self._nulls.update(_bytes_of(null_rows, "<i8"))
        self._length += len(array)
        kind = array.type
        if pa.types.is_null(kind):
            return
        if self._elements is not None:
            if not pa.types.is_fixed_size_list(kind):
                self._lengths.update(_bytes_of(_filled(pc.list_value_length(array), 0).to_numpy(), "<u8"))
            self._elements.update(array.flatten())  # leaves out what lies under a null
        elif _is_text(kind):
            texts = _filled(array.cast(pa.large_binary()), b"")
            self._lengths.update(_bytes_of(pc.binary_length(texts).to_numpy(), "<u8"))
            self._values.update(_text_bytes(texts))
        elif pa.types.is_boolean(kind):
            self._values.update(_bytes_of(_filled(array, False).to_numpy(zero_copy_only=False), "u1"))
        elif not pa.types.is_primitive(kind):
            raise TypeError(f"rows of type {kind} have no digest")
        else:
            values = _filled(array, _zero(kind)).to_numpy(zero_copy_only=False)
            self._values.update(_bytes_of(values, values.dtype.newbyteorder("<")))

    def hexdigests(self) -> list[Any]:
        own = [stream.hexdigest() for stream in (self._nulls, self._lengths, self._values)]
        return own if self._elements is None else [*own, self._elements.hexdigests()]


def _filled(array: Any, value: Any) -> Any:
    """The array with a value in place of nulls; not even a copy where there are none."""
    return array.fill_null(value) if array.null_count else array


def _zero(kind: Any) -> pa.Scalar:
    # Arrow makes dates of whole numbers of their own width only.
    return pa.scalar(0, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)


def _bytes_of(values: Any, dtype: Any) -> memoryview:
    return np.ascontiguousarray(values, dtype=dtype).view(np.uint8).data


def _text_bytes(texts: Any) -> memoryview:
    """The texts end to end, without a copy."""
    _, offsets, content = texts.buffers()
    if not len(texts) or content is None or offsets is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int64)
    return memoryview(content)[int(ends[texts.offset]) : int(ends[texts.offset + len(texts)])]


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    tests += (pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _element_type(kind: Any) -> pa.DataType | None:
    """What a list, or a tensor's storage, is a list of; None for anything else."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return kind.value_type if is_list else None


def _type_words(kind: pa.DataType) -> str:
    """A type in words that stay the same over releases of Arrow."""
    if isinstance(kind, pa.FixedShapeTensorType):
        return f"tensor<{_type_words(kind.value_type)}, {'x'.join(str(size) for size in kind.shape)}>"
    element = _element_type(kind)
    if element is None:
        return str(kind)
    size = kind.list_size if pa.types.is_fixed_size_list(kind) else ""
    return f"list<{_type_words(element)}>{size}"


assert sys.byteorder == "little", "Arrow buffers are hashed as they lie in memory"
