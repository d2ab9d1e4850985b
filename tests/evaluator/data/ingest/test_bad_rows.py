"""Bad input to freeze, one kind per line: the place, the column and the value are named, and nothing is left behind."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.ingest import blocks, read_chunks
from assay.evaluator.errors import DataError
from assay.evaluator.storage.local import LocalStore
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from tests.evaluator.data.tables import contract

SMALL = contract(
    Column(name="id", role="id"),
    Column(name="y", role="label", type="string", classes=("cat", "dog")),
    Column(name="n", role="feature", type="int8"),
    Column(name="x", role="feature", type="float32"),
    Column(name="v", role="feature", type="int16", shape=(2,)),
    Column(name="on", role="segment", type="bool"),
    Column(name="note", role="ignored"),
)
HEADER = "id,y,n,x,v,on\n"
GOOD = 'a,cat,1,0.5,"[1, 2]",true\n'


def csv_(*lines: str) -> bytes:
    return "".join((HEADER, GOOD, *lines)).encode()


def json_(*lines: str) -> bytes:
    good = '{"id": "a", "y": "cat", "n": 1, "x": 0.5, "v": [1, 2], "on": true}\n'
    return "".join((good, *lines)).encode()


def json_with(**values: object) -> bytes:
    return json_(json.dumps({"id": "b", "y": "dog", "n": 1, "x": 0.5, "v": [1, 2], "on": True, **values}) + "\n")


TEXTS = [
    # a table's shape
    ("empty.csv", b"", ["the file is empty"]),
    ("header.csv", HEADER.encode(), ["header.csv", "no rows below its header"]),
    ("blank.csv", b"\n" + csv_(), ["blank.csv:1", "the first line is blank"]),
    ("blank.jsonl", b"\n \n", ["blank.jsonl", "the file has no rows"]),
    ("short.csv", csv_("b,dog,1\n"), ["short.csv:3: this row has 3 cells, the header has 6", "got the row 'b,dog,1'"]),
    ("long.csv", csv_('b,dog,1,2,"[1,2]",true,9\n'), ["long.csv:3: this row has 7 cells"]),
    ("twice.csv", b"id,y,n,x,v,on,x\n", ["twice.csv:1: x", "the column occurs twice"]),
    ("unknown.csv", csv_().replace(b"y,", b"why,", 1), ["unknown.csv:1: why", "no such column", "role: ignored"]),
    ("typo.csv", csv_().replace(b"on\n", b"onn\n", 1), ["typo.csv:1: onn", "did you mean 'on'?"]),
    ("missing.csv", b"id,y,n,x,v\na,cat,1,0.5,\n", ["missing.csv:1: on", "the column is missing"]),
    ("tabs.csv", csv_().replace(b",", b"\t"), ["tabs.csv:1", "end the file's name in .tsv"]),
    ("commas.tsv", csv_(), ["commas.tsv:1", "end the file's name in .csv"]),
    # its text
    ("latin.csv", csv_("ok,cat,1,0.5,,true\n") + b"caf\xe9,cat", ["latin.csv:4: id", "not UTF-8", "0xe9", "caf\\xe9"]),
    ("latin.jsonl", json_() + b'{"id": "\xe9"}', ["latin.jsonl:2", "not UTF-8", "0xe9", f"offset {len(json_()) + 8}"]),
    ("utf16.csv", csv_().decode().encode("utf-16"), ["utf16.csv", "UTF-16", "save it as UTF-8"]),
    ("nul.csv", csv_("b\0,dog"), ["nul.csv:3", "a NUL byte"]),
    ("mixed.csv", csv_("b,dog,1,0.5,,true\r\n"), ["mixed.csv:3", "\\r\\n, earlier lines with \\n"]),
    ("mac.csv", csv_().replace(b"\n", b"\r"), ["mac.csv:1", "a carriage return without a newline"]),
    ("open.csv", csv_('b,dog,1,0.5,"[1, 2],true\n'), ["open.csv:3", "never closed", '"[1, 2],true']),
    ("torn.csv", csv_('b,dog,1,0.5,"[1, 2],true\n', 'c,"dog",1'), ["torn.csv:3", "followed by text", "line 4"]),
    ("stray.csv", csv_('5" pipe,dog,1,0.5,,true\n'), ["stray.csv:3", "a quote inside a cell that is not quoted"]),
    # its cells
    ("null.csv", csv_('b,,1,0.5,"[1, 2]",true\n'), ["null.csv:3: y", "missing value (an empty cell)", "cat, dog"]),
    ("null.csv.gz", gzip.compress(csv_('b,,1,0.5,"[1, 2]",true\n')), ["null.csv.gz:3: y", "missing value (an empty cell)"]),
    ("quoted.csv", csv_('b,"",1,0.5,"[1, 2]",true\n'), ["quoted.csv:3: y", "missing value (an empty cell)"]),
    ("classes.csv", csv_('b,dg,1,0.5,"[1, 2]",true\n'), ["classes.csv:3: y", "got dg", "did you mean 'dog'?"]),
    ("word.csv", csv_('b,dog,one,0.5,"[1, 2]",true\n'), ["word.csv:3: n", "not a whole number", "got one"]),
    ("point.csv", csv_('b,dog,3.0,0.5,"[1, 2]",true\n'), ["point.csv:3: n", "not a whole number", "got 3.0"]),
    ("zeros.csv", csv_('b,dog,007,0.5,"[1, 2]",true\n'), ["zeros.csv:3: n", "got 007", "leading zeros"]),
    ("hex.csv", csv_('b,dog,0x1,0.5,"[1, 2]",true\n'), ["hex.csv:3: n", "not a whole number", "got 0x1"]),
    ("range.csv", csv_('b,dog,128,0.5,"[1, 2]",true\n'), ["range.csv:3: n", "outside the range of int8", "-128 to 127"]),
    ("digits.csv", csv_(f"b,dog,{'9' * 5000},0.5,,true\n"), ["digits.csv:3: n", "outside the range of int8"]),
    ("float.csv", csv_('b,dog,1,"0,5","[1, 2]",true\n'), ["float.csv:3: x", "not a number of type float32", "got 0,5"]),
    ("nan.csv", csv_('b,dog,1,NaN,"[1, 2]",true\n'), ["nan.csv:3: x", "NaN is not allowed"]),
    ("inf.csv", csv_('b,dog,1,1e39,"[1, 2]",true\n'), ["inf.csv:3: x", "outside the range of the type", "float32"]),
    ("bool.csv", csv_('b,dog,1,0.5,"[1, 2]",yes\n'), ["bool.csv:3: on", "not a bool", "got yes"]),
    ("list.csv", csv_('b,dog,1,0.5,"[1, 2",true\n'), ["list.csv:3: v", "not a tensor", "got [1, 2;", "shape 2"]),
    ("size.csv", csv_('b,dog,1,0.5,"[1, 2, 3]",true\n'), ["size.csv:3: v", "not a tensor of this shape"]),
    ("inside.csv", csv_('b,dog,1,0.5,"[1, null]",true\n'), ["inside.csv:3: v", "a null inside a tensor"]),
    ("element.csv", csv_('b,dog,1,0.5,"[1, 2.5]",true\n'), ["element.csv:3: v", "not a whole number", "got 2.5"]),
    ("id.csv", csv_('b,dog,1,0.5,"[1, 2]",true\n', GOOD), ["id.csv:4: id", "not unique", "got a", "repeats id.csv:2"]),
    ("lines.csv", csv_('"b\nb",dog,1,0.5,"[1,\n2]",true\n\n', "c,dog\n"), ["lines.csv:7", "2 cells"]),
    # the same in JSON, where values have types of their own
    ("null.jsonl", json_with(y=None), ["null.jsonl:2: y", "missing value (null)"]),
    ("nokey.jsonl", json_('{"id": "b"}\n'), ["nokey.jsonl:2: y", "missing value (null)", "5 violations in total"]),
    ("word.jsonl", json_with(n="1"), ["word.jsonl:2: n", "not a number of type int8", 'got "1"']),
    ("point.jsonl", json_with(n=3.0), ["point.jsonl:2: n", "not a whole number", "got 3.0"]),
    ("range.jsonl", json_with(n=2**70), ["range.jsonl:2: n", "outside the range of int8"]),
    ("number.jsonl", json_with(y=1), ["number.jsonl:2: y", "not a string", "got 1"]),
    ("true.jsonl", json_with(n=True), ["true.jsonl:2: n", "not a number", "got true"]),
    ("one.jsonl", json_with(on=1), ["one.jsonl:2: on", "not a bool", "got 1"]),
    ("nan.jsonl", json_with(x=float("nan")), ["nan.jsonl:2: x", "NaN is not allowed"]),
    ("huge.jsonl", json_with().replace(b"0.5", b"1e999"), ["huge.jsonl:1: x", "outside the range"]),
    ("ragged.jsonl", json_with(v=[[1], [2, 3]]), ["ragged.jsonl:2: v", "not a tensor of this shape", "[[1], [2, 3]]"]),
    ("unknown.jsonl", json_with(lable=1), ["unknown.jsonl:2: lable", "no such column"]),
    ("repeated.jsonl", json_('{"id": "b", "id": "c"}\n'), ["repeated.jsonl:2: id", "occurs twice in this object"]),
    ("cut.jsonl", json_('{"id": "b", "y"'), ["cut.jsonl:2", "not JSON"]),
    ("array.jsonl", json_("[1]\n"), ["array.jsonl:2", "not an object"]),
    ("two.jsonl", json_().replace(b"}\n", b"}{}\n"), ["two.jsonl:1", "not JSON", "on its own line"]),
    ("half.jsonl", json_with(id="\ud800"), ["half.jsonl:2: id", "surrogate"]),
    ("deep.jsonl", json_('{"note": ' + "[" * 200_000 + "\n"), ["deep.jsonl:2", "nested too deeply"]),
    ("array.json", b"[]", ["array.json", "unsupported file format", ".jsonl"]),
    ("array.json.gz", b"[]", ["array.json.gz", "unsupported file format", "got .json.gz", ".jsonl", ".gz or .zst"]),
    # compressed
    ("cut.csv.gz", gzip.compress(csv_())[:-9], ["cut.csv.gz:", "cannot be read as gzip", "bytes of content"]),
    ("cut.jsonl.zst", zstandard.compress(json_())[:-2], ["cut.jsonl.zst:", "cannot be read as zstd", "is the file complete"]),
    ("plain.csv.gz", csv_(), ["plain.csv.gz:1", "cannot be read as gzip", "does its suffix match its compression?"]),
    ("plain.tsv.zst", csv_(), ["plain.tsv.zst:1", "cannot be read as zstd"]),
    ("joined.csv.gz", gzip.compress(csv_()) + GOOD.encode(), ["joined.csv.gz:", "cannot be read as gzip", "nothing appended"]),
    ("packed.csv", gzip.compress(csv_()), ["packed.csv", "compressed with gzip", "end its name in .gz"]),
    ("packed.parquet", zstandard.compress(b"PAR1"), ["packed.parquet", "compressed with zstd", "in .zst"]),
    ("none.csv.gz", gzip.compress(b""), ["none.csv.gz", "no rows"]),
    ("text.parquet.gz", gzip.compress(csv_()), ["text.parquet.gz", "cannot be read as Parquet"]),
    ("text.arrow.zst", zstandard.compress(csv_()), ["text.arrow.zst", "cannot be read as Arrow IPC"]),
    ("cut.parquet.gz", gzip.compress(csv_())[:-1], ["cut.parquet.gz", "cannot be read as gzip"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words"), TEXTS, ids=[name for name, _, _ in TEXTS])
def test_bad_text_is_refused(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, words)


MOMENTS = contract(
    Column(name="y", role="label", type="bool"),
    Column(name="x", role="feature", type="float64", nullable=True),
    Column(name="n", role="feature", type="int64"),
    Column(name="text", role="feature", nullable=True, max_length=1 << 16),
    Column(name="day", role="info", type="date", nullable=True),
    Column(name="us", role="info", type="date", format="%m/%d/%Y", nullable=True),
    Column(name="at", role="timestamp", type="timestamp"),
)
AT = "2026-11-21T10:15:00Z"


def moments(**values: object) -> bytes:
    """Two rows as jsonl, the second with the given values; missing names are null."""
    good = {"y": True, "n": 1, "at": AT, "day": "2026-11-21"}
    return "".join(json.dumps(row) + "\n" for row in (good, {**good, **values})).encode()


def moments_csv(**values: str) -> bytes:
    good = {"y": "true", "x": "", "n": "1", "text": "", "day": "2026-11-21", "us": "11/21/2026", "at": AT}
    rows = (good, good, {**good, **values})
    return "".join(",".join(row) + "\n" for row in (list(good), *(each.values() for each in rows[1:]))).encode()


MORE = [
    ("forms.csv", moments_csv(day="21.11.2026"), ["forms.csv:3: day", "not a date in ISO 8601", "21.11.2026", "'%d.%m.%Y'"]),
    ("forms.jsonl", moments(day="11/21/2026"), ["forms.jsonl:2: day", "not a date in ISO 8601", "one format", "'%m/%d/%Y'"]),
    ("iso.csv", moments_csv(us="2026-11-21"), ["iso.csv:3: us", "not a date in the column's format", "'%m/%d/%Y'"]),
    ("february.csv", moments_csv(day="2026-02-30"), ["february.csv:3: day", "this day does not exist", "got 2026-02-30"]),
    ("year.jsonl", moments(day="10000-01-01"), ["year.jsonl:2: day", "not a date in ISO 8601"]),
    ("number.jsonl", moments(day=20778), ["number.jsonl:2: day", "not a string", "got 20778", "JSON string"]),
    ("zone.csv", moments_csv(at="2026-11-21T10:15:00"), ["zone.csv:3: at", "a timestamp without a time zone", "add the time zone"]),
    ("zone.jsonl", moments(at="2026-11-21 10:15"), ["zone.jsonl:2: at", "a timestamp without a time zone", "UTC"]),
    ("nano.jsonl", moments(at="2026-11-21T10:15:00.123456789Z"), ["nano.jsonl:2: at", "not a timestamp in ISO 8601"]),
    ("none.csv", moments_csv(at=""), ["none.csv:3: at", "missing value"]),
    ("int64.csv", moments_csv(n=str(2**63)), ["int64.csv:3: n", "outside the range of int64", "got 9223372036854775808"]),
    ("int64.jsonl", moments(n=-(2**63) - 1), ["int64.jsonl:2: n", "outside the range of int64"]),
    # NaN is not a null: a nullable column refuses it, too
    ("nan.csv", moments_csv(x="nan"), ["nan.csv:3: x", "NaN is not allowed"]),
    ("nan.jsonl", moments(x=float("nan")), ["nan.jsonl:2: x", "NaN is not allowed"]),
    ("nan.csv.gz", gzip.compress(moments_csv(x="NaN")), ["nan.csv.gz:3: x", "NaN is not allowed"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words"), MORE, ids=[name for name, _, _ in MORE])
def test_bad_moments_and_nulls_are_refused(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, words, rules=MOMENTS)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_bad_byte_in_the_middle_of_many_good_blocks_is_refused_with_its_place(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 12)
    good = moments_csv() if suffix == "csv" else moments()
    line = good.splitlines(keepends=True)[-1]
    before, after = good + line * 2000, line * 2000
    bad = line.replace(b"2026-11-21", b"2026-11-2\xe9", 1)
    path = tmp_path / f"middle.{suffix}"
    path.write_bytes(before + bad + after)
    offset = len(before) + bad.index(b"\xe9")
    number = before.count(b"\n") + 1
    refused(path, [f"middle.{suffix}:{number}", "not UTF-8", f"0xe9 at offset {offset}"], rules=MOMENTS)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_cell_of_a_megabyte_is_read_exactly(tmp_path, suffix):
    text = "long, \u00e9 " * 120_000
    content = moments_csv(text=f'"{text}"') if suffix == "csv" else moments(text=text)
    path = tmp_path / f"long.{suffix}"
    path.write_bytes(content)
    (chunk,) = read_chunks(path, contract=MOMENTS)
    assert chunk.table["text"].to_pylist() == [None, text]


def refused(path: Path, words: list[str], *, rules: Contract = SMALL) -> None:
    store = LocalStore(path.parent / "store")
    with pytest.raises(DataError) as caught:
        freeze([path], contract=rules, reference="small@v1", store=store)
    assert caught.value.exit_code == 2
    for word in words:
        assert word in str(caught.value)
    assert str(path.parent / "store") not in str(caught.value)
    assert not (path.parent / "store").exists()


GOOD_ARRAYS: dict[str, pa.Array] = {
    "id": pa.array(["a", "b"]),
    "y": pa.array(["cat", "dog"]),
    "n": pa.array([1, 2]),
    "x": pa.array([0.5, 1.5]),
    "v": pa.array([[1, 2], [3, 4]]),
    "on": pa.array([True, False]),
}
NOT_UTF8 = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 3], np.int32)), pa.py_buffer(b"ab\xff")]
)

ARRAYS = [
    ("null", {"y": pa.array(["cat", None])}, ["row 2: y", "missing value (null)", "cat, dog"]),
    ("float_for_int", {"n": pa.array([1.0, 2.0])}, ["row 1: n", "another type", "got double", "allowed: int8"]),
    ("int_for_string", {"id": pa.array([1, 2])}, ["row 1: id", "another type", "got int64", "allowed: string"]),
    ("int_for_bool", {"on": pa.array([1, 0])}, ["row 1: on", "got int64", "allowed: bool"]),
    ("too_large", {"n": pa.array([1, 300])}, ["row 2: n", "does not fit int8", "got 300", "-128 to 127"]),
    ("inexact", {"x": pa.array([0.5, 0.1])}, ["row 2: x", "does not fit float32", "got 0.1", "declare double"]),
    ("inexact_int", {"x": pa.array([1, 2**24 + 1])}, ["row 2: x", "does not fit float32", "got 16777217"]),
    ("nan", {"x": pa.array([0.5, float("nan")], pa.float32())}, ["row 2: x", "NaN is not allowed"]),
    ("infinite", {"x": pa.array([float("-inf"), 0.5], pa.float32())}, ["row 1: x", "infinity", "got -inf"]),
    ("not_utf8", {"id": NOT_UTF8}, ["row 2: id", "not UTF-8", "0xff"]),
    ("binary", {"id": pa.array([b"a", b"b"])}, ["row 1: id", "got binary"]),
    ("time", {"x": pa.array([0, 1], pa.timestamp("s"))}, ["row 1: x", "got timestamp["]),
    ("ragged_list", {"v": pa.array([[1, 2], [3]])}, ["row 2: v", "not a tensor of this shape", "got [3]"]),
    ("null_in_list", {"v": pa.array([[1, None], [3, 4]])}, ["row 1: v", "a null inside a tensor"]),
    ("null_list", {"v": pa.array([[1, 2], None])}, ["row 2: v", "missing value (null)"]),
    ("large_in_list", {"v": pa.array([[1, 2], [3, 40000]])}, ["row 2: v", "does not fit int16", "got 40000"]),
    ("fixed_size", {"v": pa.array([[1, 2, 3]] * 2, pa.list_(pa.int16(), 3))}, ["row 1: v", "fixed_size_list", "[2]"]),
    ("nested", {"v": pa.array([[[1, 2]], [[3, 4]]])}, ["row 1: v", "another type"]),
    ("tensor", {"v": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((2, 3), np.int16))}, ["row 1: v", "shape=[3]"]),
    ("same_id", {"id": pa.array(["a", "a"])}, ["row 2: id", "not unique", "row 1"]),
    ("unknown", {"extra": pa.array([1, 2])}, ["extra", "no such column"]),
]  # fmt: skip


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize(("name", "arrays", "words"), ARRAYS, ids=[name for name, _, _ in ARRAYS])
def test_bad_arrow_is_refused(tmp_path, suffix, name, arrays, words):
    if suffix == "parquet" and name == "tensor":
        words = ["row 1: v", "another type"]  # an older Parquet reader may give the storage instead
    path = tmp_path / f"{name}.{suffix}"
    write_arrow(path, pa.table({**GOOD_ARRAYS, **arrays}))
    refused(path, [path.name, *words])


def write_arrow(path: Path, table: pa.Table) -> None:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("name", "keep"), [("cut.parquet", 0.7), ("cut.arrow", 0.7), ("cut.feather", 0.01), ("cut.ipc", 0.5)]
)
def test_a_file_cut_short_is_refused(tmp_path, name, keep):
    path = tmp_path / name
    write_arrow(path, pa.table(GOOD_ARRAYS))
    content = path.read_bytes()
    path.write_bytes(content[: max(8, int(len(content) * keep))])
    refused(path, [name, "cannot be read as", "is the file complete"])


def test_a_binary_file_without_rows_is_refused(tmp_path):
    path = tmp_path / "none.parquet"
    write_arrow(path, pa.table(GOOD_ARRAYS).slice(0, 0))
    refused(path, ["none.parquet", "the file has no rows"])


def test_a_file_that_is_not_there_is_refused_with_its_neighbour(tmp_path):
    (tmp_path / "rows.csv").write_bytes(csv_())
    refused(tmp_path / "row.csv", ["row.csv", "no such file", "did you mean 'rows.csv'?"])


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "rows.csv").mkdir()
    refused(tmp_path / "rows.csv", ["this is a folder"])


def test_the_first_five_offenders_are_named_and_all_are_counted(tmp_path):
    path = tmp_path / "many.csv"
    path.write_bytes(csv_(*(f'{row},cow,{row},0.5,"[1, 2]",true\n' for row in range(200))))
    with pytest.raises(DataError) as caught:
        freeze([path], contract=SMALL, reference="small@v1", store=MemoryStore("many"))
    message = str(caught.value)
    assert "many.csv:3: y: not one of the label's classes; got cow" in message
    assert "272 violations in total" in message  # 200 labels, and the 72 numbers above 127
    assert message.count("many.csv:") == 5
    assert "many.csv:8" not in message


def test_reading_stops_where_offenders_abound(tmp_path, monkeypatch):
    path = tmp_path / "abound.jsonl"
    # If the file were read to its end, the NUL byte would be refused instead.
    path.write_bytes(json_with(y="cow")[len(json_()) :] * 20_000 + b"\0")
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 16)
    with pytest.raises(DataError, match="more than 10,000 violations in total"):
        freeze([path], contract=SMALL, reference="small@v1", store=MemoryStore("abound"))


def test_an_id_may_not_repeat_over_files(tmp_path):
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_bytes(csv_())
    with pytest.raises(DataError, match=r"two\.csv:2: id: the id is not unique; got a; repeats one\.csv:2"):
        freeze(
            [tmp_path / "one.csv", tmp_path / "two.csv"],
            contract=SMALL,
            reference="small@v1",
            store=MemoryStore("repeated"),
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"reference": "small"}, ["small", "name@version", "digits@v1"]),
        ({"reference": "a/b@v1"}, ["a/b@v1", "name@version"]),
        ({"sources": []}, ["nothing to freeze"]),
        ({"shard_rows": 0}, ["shard_rows", "at least 1"]),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, words):
    path = tmp_path / "rows.csv"
    path.write_bytes(csv_())
    given = {"sources": [path], "reference": "small@v1", **arguments}
    with pytest.raises(DataError) as caught:
        freeze(given.pop("sources"), contract=SMALL, store=MemoryStore("arguments"), **given)
    for word in words:
        assert word in str(caught.value)


def test_a_moment_that_is_refused_is_not_said_to_be_missing_as_well(tmp_path):
    path = tmp_path / "at.jsonl"
    path.write_bytes(moments(at=5))
    with pytest.raises(DataError, match=r"at\.jsonl:2: at: not a string") as caught:
        freeze([path], contract=MOMENTS, reference="small@v1", store=MemoryStore("at"))
    assert "violations" not in str(caught.value)
