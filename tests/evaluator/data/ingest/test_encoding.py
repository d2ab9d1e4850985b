"""Encodings, compressions and Unicode forms: the rows are the same, changes are reported, and damage is never silent."""

import gzip
import io
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.ingest import Changes, blocks, encoding, read_chunks
from assay.evaluator.data.ingest.encoding import as_utf8
from assay.evaluator.errors import DataError
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column
from tests.evaluator.data import tables

COLUMNS = (
    Column(name="id", role="id"),
    Column(name="y", role="label", type="string", classes=("né", "no")),
    Column(name="x", role="feature"),
)


def contract(**rules) -> Contract:
    return Contract(kind="Contract", version=1, columns=COLUMNS, **rules)


def rows_of(path: Path, rules: Contract) -> tuple[list, tuple[str, ...]]:
    changes = Changes()
    tables_read = [chunk.table for chunk in read_chunks(path, contract=rules, changes=changes)]
    return [tuple(row.values()) for table in tables_read for row in table.to_pylist()], changes.descriptions()


TEXT = "id,y,x\r\n1,né,Žluť\r\n2,no,a\r\n"
ROWS = [("1", "né", "Žluť"), ("2", "no", "a")]


@pytest.mark.parametrize(
    ("name", "codec", "declared", "words"),
    [
        ("a.csv", "utf-8", "utf-8", ["line ends \\r\\n read as \\n: 3"]),
        ("a.csv", "utf-8-sig", "utf-8", ["byte order marks removed: 1", "line ends \\r\\n read as \\n: 3"]),
        ("a.csv", "utf-16", "utf-16", ["files decoded from utf-16 to UTF-8: 1", "line ends \\r\\n read as \\n: 3"]),
        ("a.csv.gz", "utf-16", "utf-16", ["files decompressed from gzip: 1", "files decoded from utf-16 to UTF-8: 1", "line ends \\r\\n read as \\n: 3"]),
        ("a.csv.zst", "utf-8", "utf-8", ["files decompressed from zstd: 1", "line ends \\r\\n read as \\n: 3"]),
    ],
)  # fmt: skip
def test_what_was_changed_is_said(tmp_path, name, codec, declared, words):
    content = TEXT.encode(codec)
    content = gzip.compress(content) if name.endswith(".gz") else content
    content = zstandard.compress(content) if name.endswith(".zst") else content
    (tmp_path / name).write_bytes(content)
    assert rows_of(tmp_path / name, contract(encoding=declared)) == (ROWS, tuple(words))


def test_frozen_datasets_keep_what_was_changed(tmp_path):
    (tmp_path / "a.csv").write_bytes("id,y,x\n1,no,ä\n".encode("latin-1"))
    decomposed = unicodedata.normalize("NFD", '{"id": "2\u00e9", "y": "né", "x": "\u00e4"}\r\n')
    (tmp_path / "b.jsonl").write_bytes(decomposed.encode())
    first = freeze(
        [tmp_path / "a.csv"], contract=contract(encoding="latin-1"), reference="t@v1", store=MemoryStore("a")
    )
    assert first.check.changes == ("files decoded from latin-1 to UTF-8: 1",)
    store = MemoryStore("b")
    second = freeze([tmp_path / "b.jsonl"], contract=contract(unicode="nfc"), reference="t@v1", store=store)
    assert second.check.changes == (
        "line ends \\r\\n read as \\n: 1",
        "texts of column 'id' normalised to Unicode NFC: 1",
        "texts of column 'y' normalised to Unicode NFC: 1",
        "texts of column 'x' normalised to Unicode NFC: 1",
    )
    with pytest.raises(DataError, match="not one of the label's classes"):  # without NFC it is another text
        freeze([tmp_path / "b.jsonl"], contract=contract(), reference="t@v1", store=MemoryStore("c"))


def test_classes_of_another_form_than_the_texts_are_refused():
    with pytest.raises(ValidationError, match="not in NFC"):
        Contract(kind="Contract", version=1, unicode="nfc", columns=(COLUMNS[2], Column(name="y", role="label", type="string", classes=("ne\u0301",))))  # fmt: skip


@given(
    text=st.text(max_size=40),
    codec=st.sampled_from(["utf-16-le", "utf-16-be", "latin-1", "cp1252"]),
    piece=st.sampled_from([1, 2, 3, 5, 1 << 20]),
    damage=st.none() | st.integers(0, 40),
)
@settings(max_examples=200, deadline=None)
def test_any_text_is_decoded_as_python_decodes_it_or_refused(text, codec, piece, damage):
    content = text.encode(codec, "ignore")
    if damage is not None:
        content = content[:damage] + b"\x81" + content[damage:]
    wide = codec.startswith("utf-16")
    mark = "\ufeff".encode(codec) if wide else b""
    name = "utf-16" if wide else codec
    before, encoding._PIECE_BYTES = encoding._PIECE_BYTES, max(piece, 3)
    try:
        found = as_utf8(io.BytesIO(mark + content), name="f.csv", encoding=name).read().decode()
    except DataError as error:
        found = str(error)
    finally:
        encoding._PIECE_BYTES = before
    try:
        wanted = content.decode(codec)
    except UnicodeDecodeError as error:
        start = error.start
        line = content[:start].decode(codec).count("\n") + 1
        wanted = None
    if wanted is None:
        assert found.startswith(f"f.csv:{line}: not {name}; ")
        assert f"at offset {len(mark) + start} " in found
    elif not found.startswith("f.csv: the file "):  # the content looks like another byte order mark
        assert found == wanted


def compressed(kind: str, content: bytes) -> bytes:
    if kind == "gz":
        return gzip.compress(content, mtime=0)
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_compressed_file_cut_anywhere_or_damaged_is_never_a_shorter_dataset(tmp_path, kind):
    content = TEXT.encode() + b"".join(b"%d,no,a\r\n" % row for row in range(3, 60))
    whole = compressed(kind, content)
    path = tmp_path / f"a.csv.{kind}"
    path.write_bytes(whole + compressed(kind, b"") + whole[:0])
    rows, _ = rows_of(path, contract())
    assert len(rows) == 59
    random = np.random.default_rng(0)
    damaged = [whole[:at] for at in range(1, len(whole))]
    damaged += [whole + tail for tail in (b"x", b"\0", b"\0" * 20, b"id,y,x\n", whole[:-1], whole[:5])]
    for at in random.integers(0, len(whole), 60):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(random.integers(8))
        damaged.append(bytes(flipped))
    for each in damaged:
        path.write_bytes(each)
        try:
            found, _ = rows_of(path, contract())
        except DataError as error:
            assert f"a.csv.{kind}" in str(error)  # noqa: PT017 - most raise; some bits of a header mean nothing
        else:
            assert found == rows


def test_a_file_breaks_off_in_a_line_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 12)
    content = b"id,y,x\n" + b"".join(b"%d,no,%d\n" % (row, row * 7919 % 10007) for row in range(100_000))
    whole = gzip.compress(content)
    (tmp_path / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    got = zlib.decompressobj(31).decompress(whole[: len(whole) // 2]).count(b"\n")
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path / "a.csv.gz", contract())
    line = int(str(caught.value).split(":")[1])
    assert 0 <= got + 1 - line < 60_000  # to a piece of decompressed text
    assert "cannot be read as gzip" in str(caught.value)
    assert "bytes of content" in str(caught.value)


@pytest.mark.parametrize("suffix", [name for name in tables.PLAIN if name in ("parquet", "arrow")])
@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_unpacked_files_leave_nothing_behind(tmp_path, monkeypatch, suffix, kind):
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    path = tables.write(tmp_path / f"rows.{suffix}.{kind}", tables.rows(50))
    chunks = list(read_chunks(path, contract=tables.EVERYTHING))
    assert sum(chunk.table.num_rows for chunk in chunks) == 50
    assert chunks[0].origin.file == path.name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="cannot be read as"):
        list(read_chunks(path, contract=tables.EVERYTHING))
    assert not list(room.iterdir())
