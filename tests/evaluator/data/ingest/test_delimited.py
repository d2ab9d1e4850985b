"""Delimited text against Python's own csv reader: the same rows on the same lines, or a refusal."""

import csv
import io
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.evaluator.data.ingest import blocks
from assay.evaluator.data.ingest.delimited import delimited_chunks
from assay.evaluator.errors import DataError
from assay.manifests.contract_column import Column
from tests.evaluator.data.tables import contract

NAMES = ("a", "b", "y")
TEXTS = contract(
    Column(name="a", role="feature"),
    Column(name="b", role="feature"),
    Column(name="y", role="label", type="string", classes=("only looked at later",)),
)
BLOCK_BYTES = st.sampled_from([1, 5, 16, 1 << 22])


def read(content: bytes, *, delimiter: str = ",", block_bytes: int = 1 << 22) -> tuple[list, list, list]:
    """Rows, their line numbers, and the offences."""
    rows, lines, offences = [], [], []
    with mock.patch.object(blocks, "BLOCK_BYTES", block_bytes):
        for chunk in delimited_chunks(io.BytesIO(content), name="f.csv", contract=TEXTS, delimiter=delimiter):
            rows += [tuple(row.values()) for row in chunk.table.to_pylist()]
            lines += [chunk.origin.number(row) for row in range(chunk.table.num_rows)]
            offences += chunk.offences
    return rows, lines, offences


def expected(text: str, delimiter: str) -> tuple[list, list, list]:
    """Python's rows of three cells and their first lines, and the first lines of the others."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows, lines, ragged = [], [], []
    for row in reader:
        first = reader.line_num - sum(cell.count("\n") for cell in row)
        if len(row) == 3:
            rows.append(tuple(cell or None for cell in row))
            lines.append(first)
        elif row:
            ragged.append(first)
    return rows[1:], lines[1:], ragged


@given(
    text=st.text(alphabet='a1",\n\r\té ', max_size=60),
    block_bytes=BLOCK_BYTES,
    delimiter=st.sampled_from(",\t"),
)
@example(text='"a\n""",\n\n1,"",2', block_bytes=1, delimiter=",")
@example(text="1,2,3\n\n4,5,6\n\n7,8,9", block_bytes=1 << 22, delimiter=",")
@example(text='a"b",c,d', block_bytes=16, delimiter=",")
@settings(max_examples=400, deadline=None)
def test_any_text_gives_the_rows_of_the_csv_module_or_is_refused(text, block_bytes, delimiter):
    text = delimiter.join(NAMES) + "\n" + text
    try:
        rows, lines, offences = read(text.encode(), delimiter=delimiter, block_bytes=block_bytes)
    except DataError:
        return
    wanted_rows, wanted_lines, ragged = expected(text, delimiter)
    assert rows == wanted_rows
    if "\r" not in text:
        assert lines == wanted_lines
        assert sorted(offence.number for offence in offences) == ragged
    assert len(offences) == len(ragged)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=12),
    block_bytes=BLOCK_BYTES,
    delimiter=st.sampled_from(",\t"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_what_the_csv_module_writes_is_read_back(rows, block_bytes, delimiter, line_end, bom):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([NAMES, *rows])
    content = b"\xef\xbb\xbf" * bom + file.getvalue().encode()
    found, _, offences = read(content, delimiter=delimiter, block_bytes=block_bytes)
    assert found == [tuple(cell or None for cell in row) for row in rows]
    assert not offences


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 22])
def test_line_numbers_count_newlines_in_quotes_and_blank_lines(block_bytes):
    content = b'a,b,y\n\n"1\n2",x,y\n\n\n3,x,y\n"4",x,y\n'
    rows, lines, _ = read(content, block_bytes=block_bytes)
    assert [row[0] for row in rows] == ["1\n2", "3", "4"]
    assert lines == [3, 7, 8]


def test_the_column_of_a_bad_byte_is_named_past_quotes_and_newlines():
    with pytest.raises(DataError, match=r"f\.csv:3: y: not UTF-8; got byte 0xff at offset 18 in '5\\xff'"):
        read(b'a,b,y\n"1\n2",", ",5\xff\n')


def test_a_row_may_not_be_endless():
    with (
        mock.patch.object(blocks, "MAX_RECORD_BYTES", 1000),
        pytest.raises(DataError, match=r"f\.csv:3: a row is too long.*not closed"),
    ):
        read(b'a,b,y\n1,2,3\n"' + b"x\n" * 5000, block_bytes=100)


def test_columns_may_come_in_any_order_and_ignored_ones_are_read_past():
    columns = contract(*TEXTS.columns, Column(name="note", role="ignored"))
    content = io.BytesIO(b"note,y,b,a\nn,3,2,1\n")
    (chunk,) = delimited_chunks(content, name="f.csv", contract=columns, delimiter=",")
    assert chunk.table.to_pylist() == [{"a": "1", "b": "2", "y": "3"}]


@pytest.mark.parametrize("block_bytes", [1, 1 << 22])
def test_a_byte_order_mark_amid_a_file_is_a_character_of_its_cell(block_bytes):
    content = "\ufeffa,b,y\n\ufeff,2,3\n\ufeff\ufeff1,2,3\n".encode()
    rows, _, offences = read(content, block_bytes=block_bytes)
    assert rows == [("\ufeff", "2", "3"), ("\ufeff\ufeff1", "2", "3")]
    assert not offences


def test_words_that_stand_for_no_value_are_null_in_the_columns_that_say_so():
    words = contract(
        Column(name="a", role="feature", type="float64", nullable=True, null_values=("NA", "-")),
        Column(name="b", role="feature", nullable=True),
        Column(name="y", role="label", type="int8"),
    )
    content = io.BytesIO(b'a,b,y\nNA,NA,1\n"-",-,2\n1.5,,3\nna,x,4\n')
    (chunk,) = delimited_chunks(content, name="f.csv", contract=words, delimiter=",")
    assert chunk.table["a"].to_pylist()[:3] == [None, None, 1.5]
    assert chunk.table["b"].to_pylist() == ["NA", "-", None, "x"]
    assert [(each.place, each.value) for each in chunk.offences] == [("f.csv:5", "na")]
