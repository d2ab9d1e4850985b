"""Inferred contracts: they parse, and the rows that they were inferred from pass them."""

import builtins
import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.infer import infer
from assay.evaluator.errors import DataError
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.contract import Contract
from assay.manifests.parse import parse
from tests.evaluator.data import tables


def contract(text: str) -> Contract:
    found = parse(text, file="contract.yaml", kind="Contract")
    assert isinstance(found, Contract)
    return found


def columns(text: str) -> dict[str, dict]:
    """The fields of each column that are written out, by name."""
    return {each.name: each.model_dump(exclude_unset=True) for each in contract(text).columns}


def csv_file(folder: Path, **values) -> Path:
    rows = zip(*values.values(), strict=True)
    path = folder / "rows.csv"
    path.write_text("\n".join([",".join(values), *(",".join(row) for row in rows)]) + "\n")
    return path


LABEL = ["yes", "no"] * 50
NUMBERS = [str(row) for row in range(100)]


@pytest.mark.parametrize("suffix", tables.FORMATS)
def test_rows_of_every_format_keep_the_contract_that_was_inferred_from_them(tmp_path, suffix):
    path = tables.write(tmp_path / f"rows.{suffix}", tables.rows(300))
    found = contract(infer([path]))
    dataset = freeze([path], contract=found, reference="t@v1", store=MemoryStore("infer"))
    assert (dataset.num_rows, dataset.names("id"), dataset.label.classes) == (300, ("id",), ("no", "yes"))


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1, max_size=6).filter(
    lambda text: text.strip() == text
)
VALUES = (
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    TEXTS,
    st.sampled_from(["a", "B", "true", "1", "null", "~", "2020-01-01", "007", "- x", "# y", "'", "1e5"]),
    st.from_regex(r"[A-Z]{2}-[0-9]{3}", fullmatch=True),
)


@st.composite
def drawn_tables(draw) -> list[dict]:
    """Rows with a label, and columns of one kind of values each."""
    num_rows = draw(st.integers(1, 30))
    names = draw(
        st.lists(
            TEXTS.filter(lambda name: name.lower() not in ("label", "target", "y", "class", "outcome")),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    kinds = {name: draw(st.sampled_from(VALUES)) for name in names}
    label = draw(st.sampled_from([st.booleans(), st.integers(0, 3), st.sampled_from(["a", "b: c", "no"])]))
    kinds = {name: kind | st.none() if draw(st.booleans()) else kind for name, kind in kinds.items()}
    # One column can always be a feature.
    return [
        {"label": draw(label), "row": row, **{name: draw(kind) for name, kind in kinds.items()}}
        for row in range(num_rows)
    ]


@settings(max_examples=60)
@given(drawn_tables(), st.sampled_from(["csv", "tsv", "jsonl", "parquet", "arrow", "ipc"]))
def test_any_rows_keep_the_contract_that_was_inferred_from_them(tmp_path_factory, rows, suffix):
    path = tables.write(tmp_path_factory.mktemp("infer") / f"rows.{suffix}", rows)
    found = contract(infer([path], label="label"))
    dataset = freeze([path], contract=found, reference="t@v1", store=MemoryStore("infer"))
    assert dataset.num_rows == len(rows)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (NUMBERS, {"type": "int64"}),
        (["1.5", "-2"] * 50, {"type": "float64"}),
        (["0", "1"] * 50, {"type": "int64"}),  # could be bools, but integers lose nothing
        (["true", "false"] * 50, {"type": "bool"}),
        ([f"{row:03}" for row in range(100)], {"type": "string", "pattern": "[0-9]{3}"}),  # codes: zeros in front
        (["12345678901234567890", *NUMBERS[1:]], {"type": "string"}),  # outside int64, and too long for float64
        ([*NUMBERS[1:], "n/a"], {"type": "string"}),
        ([*NUMBERS[2:], "n/a", "NA"], {"type": "string"}),  # one of them is a text
        ([*NUMBERS[1:], "nan"], {"type": "float64", "nullable": True, "null_values": ("nan",)}),
        (["NA", *NUMBERS[1:-1], "-"], {"type": "float64", "nullable": True, "null_values": ("-", "NA")}),
        (["NA", *["a"] * 49] * 2, {"type": "string", "role": "segment", "allowed_values": ("NA", "a")}),  # a code
        ([f"AB-{row:04}" for row in range(100)], {"type": "string", "pattern": r"[A-Z]{2}\-[0-9]{4}"}),
        (["red", "green"] * 50, {"type": "string", "role": "segment", "allowed_values": ("green", "red")}),
    ],
)
def test_a_column_gets_the_narrowest_type_that_loses_nothing(tmp_path, values, expected):
    found = columns(infer([csv_file(tmp_path, y=LABEL, x=NUMBERS, z=values)]))
    assert found["z"] == {"name": "z", "role": "feature", **expected}


@pytest.mark.parametrize(
    ("name", "role"), [("id", "id"), ("user_id", "id"), ("rowId", "id"), ("z", "feature"), ("android", "feature")]
)
def test_an_id_is_called_so_and_has_no_repeats(tmp_path, name, role):
    assert columns(infer([csv_file(tmp_path, y=LABEL, x=LABEL, **{name: NUMBERS})]))[name]["role"] == role
    repeated = columns(infer([csv_file(tmp_path, y=LABEL, x=NUMBERS, **{name: ["7", *NUMBERS[1:]]})]))
    assert repeated[name]["role"] == "feature"


def test_the_first_column_is_the_id_if_it_has_no_repeats(tmp_path):
    assert columns(infer([csv_file(tmp_path, z=NUMBERS, y=LABEL, x=NUMBERS)]))["z"]["role"] == "id"


def test_the_only_column_beside_the_label_is_a_feature_though_nothing_repeats(tmp_path):
    found = columns(infer([csv_file(tmp_path, x=["1", "2", "3"], y=["0", "1", "0"])]))
    assert found["x"]["role"] == "feature"


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_numbers_that_would_be_refused_are_counted_and_are_no_bounds(tmp_path, suffix):
    rows = [{"y": row % 2, "x": value} for row, value in enumerate((1.5, float("nan"), 2.5, float("inf")))]
    text = infer([tables.write(tmp_path / f"rows.{suffix}", rows)])
    assert "# 2 numbers are NaN or infinite" in text
    assert "# minimum: 1.5" in text
    assert "# maximum: 2.5" in text


def test_what_was_seen_stands_in_comments_ready_to_be_made_rules(tmp_path):
    text = infer([csv_file(tmp_path, y=LABEL, z=[str(int(row) - 7) for row in NUMBERS])])
    assert "# minimum: -7\n" in text
    assert "# maximum: 92\n" in text
    edited = text.replace("    # minimum", "    minimum").replace("    # maximum", "    maximum")
    assert columns(edited)["z"]["minimum"] == -7


def test_lists_become_tensors_and_what_fits_no_type_is_left_out_with_a_reason(tmp_path):
    rows = [
        {"y": 1, "v": [[1, 2]], "w": [1] * (row + 1), "o": {}, "m": "a" if row else 1, "n": 2**70} for row in range(9)
    ]
    path = tables.write(tmp_path / "rows.jsonl", rows)
    text = infer([path])
    found = columns(text)
    assert (found["v"]["type"], found["v"]["shape"]) == ("int64", (1, 2))
    assert [name for name, column in found.items() if column["role"] == "ignored"] == ["w", "o", "m", "n"]
    assert "values of different kinds: int64, string" in text
    freeze([path], contract=contract(text), reference="t@v1", store=MemoryStore("infer"))


def test_small_whole_numbers_of_a_tensor_stay_small(tmp_path):
    path = tmp_path / "rows.parquet"
    images = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(12, dtype=np.uint8)), 4)
    pq.write_table(pa.table({"label": [1, 2, 3], "image": images, "n": pa.array([1, 2, 3], pa.int8())}), path)
    found = columns(infer([path]))
    assert (found["image"]["type"], found["image"]["shape"], found["n"]["type"]) == ("uint8", (4,), "int64")


def test_files_are_looked_at_to_their_last_row(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("y,x\n" + f"1,{10**17}\n" * 100_000 + "1,two\n")
    assert columns(infer([path]))["x"]["type"] == "string"
    assert len(columns(infer([path, path]))) == 2


def test_an_id_that_comes_back_far_below_is_no_id(tmp_path):
    ids = np.arange(70_000) % 69_000
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": ids, "y": ids % 2, "x": ids}), path)
    assert columns(infer([path]))["id"]["role"] == "feature"


def test_several_files_share_a_contract(tmp_path):
    first = tables.write(tmp_path / "a.parquet", [{"y": 1, "x": 1}])
    second = tables.write(tmp_path / "b.parquet", [{"y": 1, "x": 1.5}])
    assert columns(infer([first, second]))["x"]["type"] == "float64"
    with pytest.raises(DataError, match="different columns"):
        infer([first, tables.write(tmp_path / "c.jsonl", [{"y": 1, "z": 1.5}])])


@pytest.mark.parametrize(
    ("values", "arguments", "message"),
    [
        (
            {"a": NUMBERS, "b": LABEL},
            {},
            "--label: no column is named label, target, y, class or outcome; allowed: a, b",
        ),
        ({"a": NUMBERS, "yes": LABEL}, {"label": "yess"}, "--label: no such column.*did you mean 'yes'"),
        ({"y": LABEL, "b": NUMBERS}, {"id_column": "c"}, "--id: no such column; got 'c'"),
        ({"y": LABEL, "b": LABEL, "c": NUMBERS}, {"id_column": "b"}, "--id: this column cannot be the id"),
        ({"y": LABEL, "b": NUMBERS}, {"id_column": "b"}, "no column can be a feature"),
        ({"y": LABEL}, {}, "at least two columns"),
        ({"y": LABEL, "": NUMBERS}, {}, "a column has no name"),
    ],
)
def test_what_cannot_be_a_contract_is_refused(tmp_path, values, arguments, message):
    with pytest.raises(DataError, match=message):
        infer([csv_file(tmp_path, **values)], **arguments)


def test_a_label_of_too_many_texts_is_refused(tmp_path):
    rows = [{"y": f"text {row}", "x": row} for row in range(1001)]
    with pytest.raises(DataError, match="1,001 distinct values"):
        infer([tables.write(tmp_path / "rows.jsonl", rows)])


def test_a_bad_line_of_json_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"y": 1, "x": 2}) + "\n{oops\n")
    with pytest.raises(DataError, match=r"rows\.jsonl:2"):
        infer([path])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", b"x,y\r1,2\r3,4\r", r"rows\.csv:1: the header cannot be read"),
        ("rows.csv", b"x" * 200_000 + b",y\n1,2\n", r"rows\.csv:1: the header cannot be read"),
        ("rows.jsonl", b'{"y": 1, "x": ' + b"[" * 5000 + b"]" * 5000 + b"}\n", r"rows\.jsonl:1: nested too deeply"),
        ("rows.csv", b"x" * 201 + b",y\n1,2\n", "at most 200 characters; got xxx"),
        ("rows.jsonl", b'{"y": 1, "": 2}\n', "invalid column name for a contract"),
        (
            "rows.jsonl",
            b'{"y": 1, "x": "\\ud800"}\n',
            "no column other than the label.*; x: texts with half of a surrogate pair",
        ),
        # Ignoring the column does not help: the row itself is invalid.
        ("rows.jsonl", b'{"y": 1, "x": 2, "z": 0}\n{"y": 1, "x": 2, "x": 3, "z": 0}\n', r"rows\.jsonl:2: x: "),
    ],
)
def test_a_file_that_no_contract_could_read_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        infer([tmp_path / name])


@pytest.mark.parametrize(
    ("value", "role", "kind"),
    [
        (7, "feature", "float64"),
        (1.5, "feature", "float64"),
        (True, "info", "bool"),
        ("a", "segment", "string"),
        (2**60, "info", "int64"),
    ],
)
def test_a_column_with_nulls_may_have_them_and_says_how_many(tmp_path, value, role, kind):
    rows = [{"y": row % 2, "x": row, "z": None if row % 4 == 0 else value} for row in range(100)]
    for suffix in ("csv", "jsonl", "parquet", "ipc"):
        path = tables.write(tmp_path / f"rows.{suffix}", rows)
        text = infer([path])
        found = columns(text)["z"]
        assert (found["role"], found["type"], found["nullable"]) == (role, kind, True)
        assert "# missing in 25 rows (25.000%)" in text
        freeze([path], contract=contract(text), reference="t@v1", store=MemoryStore("infer"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "cp1252"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "csv.gz"])
def test_rows_in_another_encoding_keep_the_contract_that_says_it(tmp_path, encoding, suffix):
    rows = [{"größe": row, "y": ["schön", "übel"][row % 2]} for row in range(100)]
    path = tables.write(tmp_path / f"plain.{suffix}", rows)
    pack = gzip if suffix.endswith("gz") else builtins
    with pack.open(path, "rt", encoding="utf-8") as file:
        text = file.read()
    with pack.open(tmp_path / f"rows.{suffix}", "wt", encoding=encoding) as file:
        file.write(text)
    found = contract(infer([tmp_path / f"rows.{suffix}"], encoding=encoding))
    assert found.encoding == encoding
    dataset = freeze([tmp_path / f"rows.{suffix}"], contract=found, reference="t@v1", store=MemoryStore("infer"))
    assert (dataset.num_rows, dataset.label.classes) == (100, ("schön", "übel"))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, suffix):
    path = tables.write(tmp_path / f"rows.{suffix}", [{"y": row % 2, "x": row} for row in range(100)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(columns(infer([path]))) == ["y", "x"]


def test_the_wrong_encoding_and_an_unknown_one_say_what_to_do(tmp_path):
    path = csv_file(tmp_path, y=LABEL, x=NUMBERS)
    path.write_bytes(path.read_bytes().replace(b"yes", b"j\xe4"))
    with pytest.raises(DataError, match=r"rows\.csv:2: y: not UTF-8.*--encoding"):
        infer([path])
    path.write_bytes(path.read_text("latin-1").replace("\n", "\r\n").encode("utf-16"))
    with pytest.raises(DataError, match=r"rows\.csv:1: not UTF-8.*--encoding"):
        infer([path])
    lines = tmp_path / "rows.jsonl"
    lines.write_bytes('{"y": 1, "x": 2}\n{"y": "ä", "x": 2}\n'.encode("latin-1"))
    with pytest.raises(DataError, match=r"rows\.jsonl:2: not UTF-8.*0xe4 at offset 24.*--encoding"):
        infer([lines])
    with pytest.raises(DataError, match=r"--encoding: unsupported encoding.*latin-1"):
        infer([path], encoding="latin1")


def test_dates_and_times_are_seen_as_such(tmp_path):
    moments = [f"2026-01-{row % 28 + 1:02}" for row in range(100)]
    path = csv_file(tmp_path, y=LABEL, x=NUMBERS, day=moments, at=[f"{day}T10:00:00Z" for day in moments])
    text = infer([path])
    found = columns(text)
    assert [(found[name]["role"], found[name]["type"]) for name in ("day", "at")] == [
        ("timestamp", "date"),
        ("info", "timestamp"),
    ]
    freeze([path], contract=contract(text), reference="t@v1", store=MemoryStore("infer"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("x", "row_id"), "row_id"),  # named like an id, wherever it is
        (("row", "x"), "row"),  # the first column
        (("x", "row"), None),  # neither
    ],
)
def test_the_id_is_named_like_one_or_comes_first(tmp_path, names, expected):
    values = {"x": [0.5] * 30, "row": [*range(30)], "row_id": [*range(30)]}
    rows = [{**{name: values[name][at] for name in names}, "y": at % 2} for at in range(30)]
    drafted = columns(infer([tables.write(tmp_path / "rows.jsonl", rows)]))
    assert [name for name, fields in drafted.items() if fields["role"] == "id"] == ([expected] if expected else [])


def test_a_class_that_yaml_reads_as_a_number_is_in_quotes(tmp_path):
    rows = [{"label": ["1e5", "-2E-3", "other"][row % 3], "x": row / 7, "row": row} for row in range(30)]
    path = tables.write(tmp_path / "rows.jsonl", rows)
    columns = contract(infer([path], label="label")).columns
    assert {"1e5", "-2E-3", "other"} in [set(column.classes) for column in columns]
