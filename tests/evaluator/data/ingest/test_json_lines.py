"""JSON lines against Python's own json reader: the same values, or a refusal; and the fast way gives the same as the slow one."""

import io
import json
import struct
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.evaluator.data.ingest import blocks, json_lines, json_values
from assay.evaluator.data.ingest.blocks import Block
from assay.evaluator.data.ingest.json_lines import json_lines_chunks
from assay.evaluator.errors import DataError
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from tests.evaluator.data.tables import contract

PLAIN = contract(
    Column(name="s", role="feature"),
    Column(name="i", role="feature", type="int64"),
    Column(name="f", role="feature", type="float64"),
    Column(name="n", role="feature", type="float32"),
    Column(name="t", role="feature", type="int8", shape=(2, 1)),
    Column(name="y", role="label", type="bool"),
)
IGNORING = contract(*PLAIN.columns, Column(name="rest", role="ignored"))

OBJECTS = st.fixed_dictionaries(
    {
        "s": st.text(st.characters(codec="utf-8"), max_size=6),
        "i": st.integers(-(2**63), 2**63 - 1),
        "f": st.floats(allow_nan=False, allow_infinity=False),
        "n": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "t": st.lists(st.lists(st.integers(-128, 127), min_size=1, max_size=1), min_size=2, max_size=2),
        "y": st.booleans(),
    }
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("siftyq"), inner, max_size=2),
    max_leaves=4,
)


def read(content: bytes, *, columns: Contract = PLAIN, block_bytes: int = 1 << 22) -> tuple[list, list, list]:
    rows, lines, offences = [], [], []
    with mock.patch.object(blocks, "BLOCK_BYTES", block_bytes):
        for chunk in json_lines_chunks(io.BytesIO(content), name="f.jsonl", contract=columns):
            rows += chunk.table.to_pylist()
            lines += [chunk.origin.number(row) for row in range(chunk.table.num_rows)]
            offences += chunk.offences
    return rows, lines, offences


def frozen(found: dict) -> dict:
    """The row that a JSON object must be frozen as."""
    values = {**dict.fromkeys("sifnty"), **found}
    values.pop("rest", None)
    with np.errstate(over="ignore"):
        values["n"] = None if values["n"] is None else float(np.float32(values["n"]))
    if values["t"] is not None:
        values["t"] = [element for row in values["t"] for element in row]
    return {name: float(value) if name == "f" and value is not None else value for name, value in values.items()}


def of_exact_types(values: dict) -> bool:
    """Whether Python's reader gave each value the type that the column has."""
    kinds = {"s": str, "i": int, "y": bool, "t": list}
    return all(type(values[name]) is kind for name, kind in kinds.items() if values.get(name) is not None)


@given(objects=st.lists(OBJECTS, min_size=1, max_size=6), block_bytes=st.sampled_from([1, 40, 1 << 22]))
@settings(max_examples=60, deadline=None)
def test_what_the_json_module_writes_is_read_back(objects, block_bytes):
    content = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects).encode()
    rows, lines, offences = read(content, block_bytes=block_bytes)
    assert not offences
    assert rows == [frozen(each) for each in objects]
    assert lines == list(range(1, len(objects) + 1))


@st.composite
def damaged_text(draw) -> str:
    """Lines of objects, some with other values in them, and a few characters changed."""
    objects = draw(st.lists(OBJECTS | st.dictionaries(st.sampled_from("sifntyq"), ANYTHING, max_size=4), max_size=4))
    text = "".join(json.dumps(each, ensure_ascii=draw(st.booleans())) + "\n" for each in objects)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(["", *'{}[]":,\n 0.-e+\\N', "\r", "null", "\x01"])) + text[at + 1 :]
    return text


@given(text=damaged_text(), ignoring=st.booleans())
@example(text='{"i":1}{"i":2}\n{"i":\n3}', ignoring=False)
@example(text='{"i":1}{"i":2}\n{"rest":{}\n}\n', ignoring=True)
@example(text="null", ignoring=False)
@example(text='{"i":-0,"n":1e-60,"f":-0.0}', ignoring=False)
@example(text='{"rest":{"i":1},"i":2}', ignoring=True)
@settings(max_examples=100, deadline=None)
def test_any_text_gives_the_values_of_the_json_module_or_is_refused(text, ignoring):
    try:
        rows, _, offences = read(text.encode("utf-8", "surrogatepass"), columns=IGNORING if ignoring else PLAIN)
    except DataError:
        return
    if offences:
        return
    wanted = [json.loads(line) for line in text.split("\n") if line.strip()]
    assert all(of_exact_types(each) for each in wanted)
    # As bytes, because NaN differs from itself, and 0.0 from -0.0.
    assert [_bytes(row) for row in rows] == [_bytes(frozen(each)) for each in wanted]


def _bytes(row: dict) -> dict:
    return {name: struct.pack("d", value) if isinstance(value, float) else value for name, value in row.items()}


@given(text=damaged_text(), ignoring=st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_fast_road_gives_what_the_slow_one_gives(text, ignoring):
    columns = IGNORING if ignoring else PLAIN
    block = Block(text.encode("utf-8", "replace"), 1, 0)
    quick = json_lines._quick(block, "f.jsonl", columns)
    if quick is None:
        return
    exact = json_lines._exact(block, "f.jsonl", columns)
    assert not exact.offences
    assert [_bytes(row) for row in quick.table.to_pylist()] == [_bytes(row) for row in exact.table.to_pylist()]


@pytest.mark.parametrize("columns", [PLAIN, IGNORING])
def test_plain_lines_take_the_fast_road(columns):
    content = b'{"s": "a", "i": 1, "f": 1, "n": 0.1, "t": [[1], [2]], "y": true}\n' * 3
    assert json_lines._quick(Block(content, 1, 0), "f.jsonl", columns) is not None


def test_a_narrow_float_is_the_nearest_to_the_text_not_to_its_double():
    # 1 + 2^-24 + 2^-60 in decimal digits: as a double it is a tie, which would round down to 1.
    text = "1.00000005960464477626"
    assert np.float32(float(text)) == np.float32(1)
    rows, _, _ = read(f'{{"n": {text}}}'.encode())
    assert rows[0]["n"] == np.nextafter(np.float32(1), np.float32(2))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("name", ["rest", "q", "s"])
def test_deep_nesting_is_refused_and_ends_nothing(opening, closing, name):
    content = f'{{"{name}": {opening * 300_000}1{closing * 300_000}}}\n'
    _, _, offences = read(content.encode(), columns=IGNORING)
    assert offences[0].problem == "not JSON: nested too deeply"


@pytest.mark.parametrize("content", ["null", " null\n", "{}null", "{} null {}"])
def test_a_null_outside_any_object_ends_nothing(content):
    assert json_values.quick(content.encode(), types={"i": pa.int64()}, num_rows=1) is None
    _, _, offences = read(content.encode())
    assert offences


def test_blank_lines_and_carriage_returns_are_read_past():
    content = b'\xef\xbb\xbf{"i": 1}\r\n\r\n  {"i": 2}  \n\n{"i": 3}'
    rows, lines, _ = read(content)
    assert [row["i"] for row in rows] == [1, 2, 3]
    assert lines == [1, 3, 5]
