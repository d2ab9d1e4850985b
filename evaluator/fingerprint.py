"""Digests of bytes and of Arrow rows: equal content has equal digests, however it is chunked."""

import hashlib
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import blake3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import rfc8785

_BLOCK_BYTES = 1 << 20


def blake3_digest(content: bytes | pa.Buffer | memoryview) -> str:
    """`blake3:<hex>` of some bytes; checked on every fetch."""
    return f"blake3:{blake3.blake3(memoryview(content)).hexdigest()}"


def blake3_of_file(path: Path) -> str:
    """`blake3:<hex>` of a file, which is read in blocks: a page of a mapped file that cannot be read kills the process.

    Raises:
        OSError: The file cannot be read.
    """
    digest, block = blake3.blake3(), bytearray(_BLOCK_BYTES)
    with path.open("rb", buffering=0) as file:
        while num_bytes := file.readinto(block):
            digest.update(memoryview(block)[:num_bytes])
    return f"blake3:{digest.hexdigest()}"


def sha256_digest(content: bytes | pa.Buffer | memoryview) -> str:
    """`sha256:<hex>` of some bytes; the hex digits are those that `sha256sum` prints."""
    return f"sha256:{hashlib.sha256(memoryview(content)).hexdigest()}"


@lru_cache(maxsize=16)
def schema_digest(schema: pa.Schema) -> str:
    """`sha256:<hex>` of the names and types of the columns, in order.

    Nullability, metadata and the element names of lists are left out, because they do not affect any value.
    """
    return sha256_digest(rfc8785.dumps([[field.name, _type_name(field.type)] for field in schema]))


def rows_digest(table: pa.Table) -> str:
    """`sha256:<hex>` of a table's rows: see `RowsDigest`."""
    digest = RowsDigest(table.schema)
    digest.update(table)
    return digest.digest()


class RowsDigest:
    """The digest of rows that arrive in pieces. It does not depend on how the rows are divided into pieces.

    Every column is hashed with blake3 as a few streams of little-endian values, which do not depend on chunks,
    offsets, padding or the bytes stored under a null: the row numbers of its nulls (int64), then its values (bools as
    bytes; strings as lengths in uint64 followed by UTF-8; lists as lengths, if these vary, followed by the elements).
    The digest is the sha256 of the canonical JSON of the schema digest, the number of rows and the hex of each stream.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._columns = [_Stream(field.type) for field in schema]
        self._num_rows = 0

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Adds rows.

        Raises:
            ValueError: The columns or types of the rows differ from the schema.
            TypeError: A column has a type that is never frozen or scored, such as a struct.
        """
        if not rows.schema.equals(self._schema):
            raise ValueError(f"the rows have the schema {rows.schema}, but the digest was started with {self._schema}")
        for stream, column in zip(self._columns, rows.columns, strict=True):
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                stream.update(chunk)
        self._num_rows += rows.num_rows

    def digest(self) -> str:
        """`sha256:<hex>` of the rows added so far."""
        streams = [stream.hexdigests() for stream in self._columns]
        return sha256_digest(rfc8785.dumps([schema_digest(self._schema), self._num_rows, streams]))


class _Stream:
    """Hashes one column, or the elements of a list column."""

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
            self._elements.update(array.flatten())  # leaves out the elements under a null
        elif _is_text(kind):
            texts = _filled(array.cast(pa.large_binary()), b"")
            self._lengths.update(_bytes_of(pc.binary_length(texts).to_numpy(), "<u8"))
            self._values.update(_text_bytes(texts))
        elif pa.types.is_boolean(kind):
            self._values.update(_bytes_of(_filled(array, False).to_numpy(zero_copy_only=False), "u1"))
        elif not pa.types.is_primitive(kind):
            raise TypeError(f"columns of type {kind} cannot be digested")
        else:
            values = _filled(array).to_numpy(zero_copy_only=False)
            self._values.update(_bytes_of(values, values.dtype.newbyteorder("<")))

    def hexdigests(self) -> list[Any]:
        own = [stream.hexdigest() for stream in (self._nulls, self._lengths, self._values)]
        return own if self._elements is None else [*own, self._elements.hexdigests()]


def _filled(array: Any, value: Any = None) -> Any:
    """The array with its nulls replaced by a value (None: zero); the same array if it has no nulls."""
    if not array.null_count:
        return array
    return array.fill_null(_zero(array.type) if value is None else value)


def _zero(kind: Any) -> pa.Scalar:
    # Arrow casts an integer to a date type only if both have the same width.
    return pa.scalar(0, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)


def _bytes_of(values: Any, dtype: Any) -> memoryview:
    return np.ascontiguousarray(values, dtype=dtype).view(np.uint8).data


def _text_bytes(texts: Any) -> memoryview:
    """The bytes of all strings, one after the other, without a copy."""
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
    """The element type of a list or of a tensor's storage; None for any other type."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return kind.value_type if is_list else None


def _type_name(kind: pa.DataType) -> str:
    """A name of the type that stays the same across releases of Arrow."""
    if isinstance(kind, pa.FixedShapeTensorType):
        return f"tensor<{_type_name(kind.value_type)}, {'x'.join(str(size) for size in kind.shape)}>"
    element = _element_type(kind)
    if element is None:
        return str(kind)
    size = kind.list_size if pa.types.is_fixed_size_list(kind) else ""
    return f"list<{_type_name(element)}>{size}"


assert sys.byteorder == "little", "Arrow buffers are hashed as they are in memory, so only little-endian hosts work"
