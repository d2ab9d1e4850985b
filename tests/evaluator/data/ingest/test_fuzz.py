"""The three text readers against Python's own csv and json: equal rows or our error, whatever the bytes.

ASSAY_FUZZ_EXAMPLES=20000 looks longer.
"""

import csv
import io
import json
import os
import struct
from datetime import UTC, date, datetime, timedelta, timezone
from unittest import mock

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.evaluator.data.ingest import blocks
from assay.evaluator.data.ingest.delimited import delimited_chunks
from assay.evaluator.data.ingest.json_lines import json_lines_chunks
from assay.manifests.contract_column import Column
from assay.manifests.errors import AssayError
from tests.evaluator.data import tables

NUM_EXAMPLES = int(os.environ.get("ASSAY_FUZZ_EXAMPLES", "60"))
CONTRACT = tables.contract(
    Column(name="s", role="feature"),
    Column(name="i", role="feature", type="int64"),
    Column(name="u", role="feature", type="uint8"),
    Column(name="f", role="feature", type="float64"),
    Column(name="n", role="feature", type="float32"),
    Column(name="d", role="info", type="date"),
    Column(name="a", role="timestamp", type="timestamp"),
    Column(name="t", role="feature", type="int8", shape=(2,)),
    Column(name="b", role="label", type="bool"),
)
NAMES = [column.name for column in CONTRACT.columns]
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES)  # noqa: DTZ001 - Hypothesis adds zones
VALUES = {
    # Python writes a carriage return without quotes, which is refused; quoted ones are in test_delimited.
    "s": st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=8),
    "i": st.integers(-(2**63), 2**63 - 1),
    "u": st.integers(0, 255),
    "f": st.floats(allow_nan=False, allow_infinity=False),
    "n": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "d": st.dates().map(date.isoformat),
    "a": MOMENTS.map(datetime.isoformat),
    "t": st.lists(st.integers(-128, 127), min_size=2, max_size=2),
    "b": st.booleans(),
}
ROW = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})
BLOCK_BYTES = st.sampled_from([1, 7, 64, 1 << 22])


def typed(name: str, value: object) -> object:
    """The value of a cell or JSON value according to Python, in the type of its column.

    Raises:
        ValueError: It is of no such type: it has to be refused.
    """
    if value is None:
        return None
    match name:
        case "s":
            return value
        case "i" | "u":
            return int(str(value))
        case "f":
            return struct.pack("d", float(str(value)))
        case "n":
            with np.errstate(over="ignore"):
                return struct.pack("f", np.float32(str(value)))
        case "d":
            return date.fromisoformat(str(value))
        case "a":
            return datetime.fromisoformat(str(value)).astimezone(UTC)
        case "t":
            return [int(each) for each in (json.loads(value) if isinstance(value, str) else value)]
        case _:
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]


def found_rows(content: bytes, *, kind: str, block_bytes: int) -> list | None:
    """The rows of our reader, None where it refuses."""
    file = io.BytesIO(content)
    rows: list = []
    with mock.patch.object(blocks, "BLOCK_BYTES", block_bytes):
        try:
            if kind == "jsonl":
                chunks = list(json_lines_chunks(file, name="f", contract=CONTRACT))
            else:
                delimiter = "," if kind == "csv" else "\t"
                chunks = list(delimited_chunks(file, name="f", contract=CONTRACT, delimiter=delimiter))
        except AssayError:
            return None
    for chunk in chunks:
        if chunk.offences:
            return None
        rows += chunk.table.to_pylist()
    for row in rows:
        row["f"] = None if row["f"] is None else struct.pack("d", row["f"])
        row["n"] = None if row["n"] is None else struct.pack("f", row["n"])
    return rows


def pythons_rows(content: bytes, *, kind: str) -> list:
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    if kind == "jsonl":
        objects = [json.loads(line, parse_float=str, parse_int=str) for line in text.split("\n") if line.strip()]
        return [{name: typed(name, row.get(name)) for name in NAMES} for row in objects]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="," if kind == "csv" else "\t", strict=True)
    return [{name: typed(name, row[name] or None) for name in NAMES} for row in reader]


def compare(content: bytes, *, kind: str, block_bytes: int) -> None:
    found = found_rows(content, kind=kind, block_bytes=block_bytes)
    if found is not None:
        assert found == pythons_rows(content, kind=kind)


@st.composite
def files(draw, kind: str) -> bytes:
    """A valid file, as Python writes it in one of its ways."""
    rows = draw(st.lists(ROW, min_size=1, max_size=5))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    mark = b"\xef\xbb\xbf" * draw(st.booleans())
    if kind == "jsonl":
        ascii_, spaces = draw(st.booleans()), draw(st.sampled_from([(",", ":"), (", ", ": ")]))
        lines = [json.dumps(row, ensure_ascii=ascii_, separators=spaces) for row in rows]
        return mark + "".join(line + end for line in lines).encode()
    file = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    writer = csv.writer(file, delimiter="," if kind == "csv" else "\t", quoting=quoting, lineterminator=end)
    writer.writerow(NAMES)
    for row in rows:
        writer.writerow([json.dumps(cell) if isinstance(cell, list) else cell for cell in map(row.get, NAMES)])
    return mark + file.getvalue().encode()


KINDS = st.sampled_from(["csv", "tsv", "jsonl"])
FILES = KINDS.flatmap(lambda kind: st.tuples(st.just(kind), files(kind)))
INSERTED = [
    *(
        each.encode()
        for each in ('"', '""', ",", "\t", "\n", "\r", "\r\n", "\0", "{", "}", "[", "]", ":", "\\", "\ufeff")
    ),
    *(each.encode() for each in ("", "0", "-", ".", "e", "T", "+", " ", "1e400", "null", "NaN", "\\u00e9", "\\ud800")),
    b"\xff",
    b"\xc3",
]
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(INSERTED)), min_size=1, max_size=4)


@given(file=FILES, block_bytes=BLOCK_BYTES)
@settings(max_examples=NUM_EXAMPLES, deadline=None)
def test_what_python_writes_is_read_back_and_never_refused(file, block_bytes):
    kind, content = file
    assert found_rows(content, kind=kind, block_bytes=block_bytes) == pythons_rows(content, kind=kind)


@given(file=FILES, block_bytes=BLOCK_BYTES, edits=EDITS)
@settings(max_examples=NUM_EXAMPLES, deadline=None)
def test_a_damaged_file_gives_pythons_rows_or_our_error(file, block_bytes, edits):
    kind, content = file
    for where, removed, added in edits:
        at = int(where * len(content))
        content = content[:at] + added + content[at + removed :]
    compare(content, kind=kind, block_bytes=block_bytes)


@given(content=st.binary(max_size=80), kind=KINDS, with_header=st.booleans(), block_bytes=BLOCK_BYTES)
@example(content=b"\x1a\r\r\n\xe2\x80\xa8", kind="csv", with_header=True, block_bytes=1)
@settings(max_examples=NUM_EXAMPLES, deadline=None)
def test_any_bytes_give_pythons_rows_or_our_error(content, kind, with_header, block_bytes):
    if with_header and kind != "jsonl":
        content = (("," if kind == "csv" else "\t").join(NAMES) + "\n").encode() + content
    compare(content, kind=kind, block_bytes=block_bytes)
