"""Digests of rows: equal for equal rows, however they are chunked, and different for different rows."""

import hashlib
import itertools
import json

import blake3
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evaluator.fingerprint import RowsDigest, blake3_digest, rows_digest, schema_digest, sha256_digest

ROWS = 23
RANDOM = np.random.default_rng(3)
TABLE = pa.table(
    {
        "int": pa.array([None if row % 7 == 3 else row for row in range(ROWS)], pa.int16()),
        "float": pa.array(RANDOM.normal(size=ROWS)),
        "bool": pa.array([row % 3 == 0 for row in range(ROWS)]),
        "text": pa.array([None if row == 5 else "é" * (row % 4) for row in range(ROWS)]),
        "large": pa.array([str(row) for row in range(ROWS)], pa.large_string()),
        "list": pa.array([None if row == 6 else list(range(row % 3)) for row in range(ROWS)]),
        "fixed": pa.array([[row, row / 2] for row in range(ROWS)], pa.list_(pa.float32(), 2)),
        "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(RANDOM.integers(0, 9, (ROWS, 2, 2), np.uint8)),
        "dictionary": pa.array(["a", "b", None] * 7 + ["a", "b"]).dictionary_encode(),
        "nothing": pa.nulls(ROWS),
        "time": pa.array(range(ROWS), pa.timestamp("us")),
    }
)


@given(cuts=st.lists(st.integers(0, ROWS), max_size=5))
@settings(max_examples=60, deadline=None)
def test_chunks_leave_no_trace(cuts):
    ends = [0, *sorted(cuts), ROWS]
    parts = [TABLE.slice(start, stop - start) for start, stop in itertools.pairwise(ends)]
    digest = RowsDigest(TABLE.schema)
    for part in parts:
        digest.update(part)
    assert digest.digest() == rows_digest(TABLE) == rows_digest(pa.concat_tables(parts))
    assert rows_digest(TABLE.slice(3)) == rows_digest(TABLE.slice(3).take(list(range(ROWS - 3))))


def test_what_lies_under_a_null_leaves_no_trace():
    buffers = [pa.array([True, False, True]).buffers()[1], None]
    arrays = [
        pa.Array.from_buffers(pa.int32(), 3, [buffers[0], pa.py_buffer(np.array([1, hidden, 3], np.int32))])
        for hidden in (0, 77)
    ]
    assert len({rows_digest(pa.table({"a": array})) for array in arrays}) == 1


@pytest.mark.parametrize(
    "other",
    [
        pa.table({"a": [1, 2, 4]}),
        pa.table({"a": [1, 2]}),
        pa.table({"a": [2, 1, 3]}),
        pa.table({"a": [1, None, 3]}),
        pa.table({"b": [1, 2, 3]}),
        pa.table({"a": pa.array([1, 2, 3], pa.int32())}),
        pa.table({"a": [1, 2, 3], "b": [1, 2, 3]}),
    ],
)
def test_other_rows_have_another_digest(other):
    assert rows_digest(other) != rows_digest(pa.table({"a": [1, 2, 3]}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        ([None, ""], ["", None]),
        ([[1], [2, 3]], [[1, 2], [3]]),
        ([0.0], [-0.0]),
        ([0, None], [None, 0]),
    ],
)
def test_rows_that_hold_the_same_bytes_are_told_apart(one, other):
    assert rows_digest(pa.table({"a": one})) != rows_digest(pa.table({"a": other}))


def test_the_digest_is_what_its_docstring_says():
    table = pa.table({"n": pa.array([1, None, 3], pa.int32()), "s": ["a", "", "bc"]})

    def blake(content: bytes) -> str:
        return blake3.blake3(content).hexdigest()

    columns = [
        [blake(np.array([1], "<i8").tobytes()), blake(b""), blake(np.array([1, 0, 3], "<i4").tobytes())],
        [blake(b""), blake(np.array([1, 0, 2], "<u8").tobytes()), blake(b"abc")],
    ]
    schema = "sha256:" + hashlib.sha256(b'[["n","int32"],["s","string"]]').hexdigest()
    assert schema_digest(table.schema) == schema
    canonical = json.dumps([schema, 3, columns], separators=(",", ":")).encode()
    assert rows_digest(table) == "sha256:" + hashlib.sha256(canonical).hexdigest()


def test_a_schema_is_its_names_and_types_in_order():
    tensor = pa.fixed_shape_tensor(pa.float32(), (2, 3))
    schema = pa.schema([("a", pa.int8()), ("t", tensor)])
    dressed = pa.schema([pa.field("a", pa.int8(), nullable=False, metadata={"x": "y"}), ("t", tensor)])
    assert schema_digest(schema) == schema_digest(dressed)
    assert schema_digest(schema) != schema_digest(pa.schema([schema.field("t"), schema.field("a")]))
    other = pa.schema([("a", pa.int8()), ("t", pa.fixed_shape_tensor(pa.float32(), (3, 2)))])
    assert schema_digest(schema) != schema_digest(other)


def test_rows_of_another_schema_are_refused():
    digest = RowsDigest(pa.schema([("a", pa.int64())]))
    with pytest.raises(ValueError, match="but the digest was started with"):
        digest.update(pa.table({"a": ["x"]}))


def test_types_that_are_never_frozen_have_no_digest():
    with pytest.raises(TypeError, match="struct"):
        rows_digest(pa.table({"a": [{"b": 1}]}))


def test_digests_of_bytes_are_those_of_the_standards():
    # FIPS 180-4 and the BLAKE3 specification, both for "abc" and for nothing.
    assert sha256_digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert blake3_digest(b"") == "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert blake3_digest(pa.py_buffer(b"abc")) == blake3_digest(memoryview(b"abc"))
