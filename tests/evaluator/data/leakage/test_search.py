"""Each kind of leak on small tables: what counts, what does not, and which place is reported."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from assay.evaluator.data.ingest import Origin
from assay.evaluator.data.leakage import open_training
from assay.evaluator.data.leakage.hits import Hits
from assay.evaluator.data.leakage.near_numbers import NearNumbers, Scales
from assay.evaluator.data.leakage.row_digest import row_digests
from assay.evaluator.data.leakage.training_cutoff import TrainingCutoff, as_microseconds, instant
from assay.evaluator.errors import DataError
from assay.manifests.column import FrozenColumn
from assay.manifests.contract_column import Column
from assay.manifests.leakage import LeakageCheck
from tests.evaluator.data.leakage.builders import Y, frozen, overlap, searched, texts, train, vocabulary

ID = Column(name="id", role="id")
TEXT = Column(name="text", role="feature")
X = Column(name="x", role="feature", type="float64", nullable=True)
WHEN = Column(name="when", role="timestamp", type="timestamp")
START = datetime(2026, 1, 1, tzinfo=UTC)


def write(folder, suffix: str, rows: list[dict]) -> str:
    path = folder / f"train{suffix}"
    if suffix == ".csv":
        path.write_text("\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]) + "\n")
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


@pytest.mark.parametrize(
    ("suffix", "place"), [(".csv", "train.csv:4"), (".jsonl", "train.jsonl:3"), (".parquet", "train.parquet row 3")]
)
def test_a_training_file_may_have_more_columns_and_lack_all_but_the_features(tmp_path, suffix, place):
    rows = {"id": ["a", "b"], "text": ["one", "two"], "x": [1.0, 2.5], "y": [0, 1]}
    dataset, store = frozen(tmp_path, [ID, TEXT, X, Y], rows)
    learned = [{"source": "web", "x": 9.5, "text": "none"}] * 2 + [{"source": "web", "x": 2.5, "text": "two"}]
    found = searched(dataset, store, write(tmp_path, suffix, learned))
    (pair,) = overlap(found, "exact").pairs
    assert (pair.row, pair.id, pair.place) == (1, "b", place)
    assert overlap(found, "ids").num_rows is None
    assert [(each.name, each.num_rows) for each in found.training] == [(f"train{suffix}", 3)]


@pytest.mark.parametrize("name", ["train.csv.gz", "train@2.csv.gz", "train@2.csv"])
def test_a_training_file_may_be_compressed_and_have_an_at_in_its_name(tmp_path, name):
    dataset, store = frozen(tmp_path, [X, Y], {"x": [0.5, 2.5], "y": [0, 1]})
    content = b"x\n9.5\n2.5\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = searched(dataset, store, str(tmp_path / name))
    assert overlap(found, "exact").pairs[0].place == f"{name}:3"


def test_a_column_that_comes_late_in_a_jsonl_file_does_not_end_the_reading(tmp_path):
    dataset, store = frozen(tmp_path, [X, Y], {"x": [0.5], "y": [0]})
    rows = [{"x": 7.5, "pad": "p" * 1000}] * 9000 + [{"x": 0.5, "late": 1}]
    found = searched(dataset, store, write(tmp_path, ".jsonl", rows))
    assert overlap(found, "exact").pairs[0].place == "train.jsonl:9001"
    assert found.training[0].num_rows == 9001


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_training_file_without_a_feature_is_refused(tmp_path, suffix):
    dataset, store = frozen(tmp_path, [X, TEXT, Y], {"x": [0.5], "text": ["a"], "y": [0]})
    with pytest.raises(DataError, match="the column is missing") as error:
        searched(dataset, store, write(tmp_path, suffix, [{"text": "a"}]))
    assert error.value.field == "x"


def test_a_value_that_does_not_convert_is_refused_with_its_place(tmp_path):
    dataset, store = frozen(tmp_path, [X, Y], {"x": [0.5], "y": [0]})
    with pytest.raises(DataError) as error:
        searched(dataset, store, write(tmp_path, ".csv", [{"x": 1.5}, {"x": "much"}]))
    assert error.value.place == "train.csv:3"


def test_a_frozen_dataset_is_a_training_set_and_needs_the_same_types(tmp_path):
    dataset, store = frozen(tmp_path, [X, Y], {"x": [0.5, 1.5], "y": [0, 1]})
    frozen(tmp_path, [X, Y], {"x": [1.5, 7.0], "y": [0, 1]}, name="train")
    found = searched(dataset, store, f"{tmp_path}/datasets/train@v1")
    assert [pair.place for pair in overlap(found, "exact").pairs] == ["train@v1 row 1"]
    narrow = X.model_copy(update={"type": "float32"})
    frozen(tmp_path, [narrow, Y], {"x": [1.5, 7.0], "y": [0, 1]}, name="narrow")
    with pytest.raises(DataError, match="another type"):
        open_training(f"{tmp_path}/datasets/narrow@v1", dataset=dataset)


def test_case_white_space_and_unicode_forms_are_of_the_second_kind(tmp_path):
    ours = ["Caf\u00e9  au lait", "same", "other"]
    dataset, store = frozen(tmp_path, [TEXT, Y], {"text": ours, "y": [0, 1, 0]})
    found = searched(dataset, store, train(tmp_path, {"text": ["cafe\u0301\tAU lait ", "same", "othe"]}))
    assert [pair.row for pair in overlap(found, "exact").pairs] == [1]
    assert [pair.row for pair in overlap(found, "normalised").pairs] == [0]


def test_rows_are_equal_by_their_values_alone():
    columns = [FrozenColumn(name="a", role="feature"), FrozenColumn(name="b", role="feature")]
    x = [FrozenColumn(name="x", role="feature", type="float64", nullable=True)]
    split = pa.table({"a": ["ab", "a", None, ""], "b": ["c", "bc", "x", "x"]})
    assert len(set(row_digests(split, columns).tolist())) == 4
    assert row_digests(split.slice(1, 2), columns).tolist() == row_digests(split, columns)[1:3].tolist()
    zeros = row_digests(pa.table({"x": pa.array([0.0, -0.0, None, float("nan")])}), x).tolist()
    assert (zeros[0] == zeros[1], zeros[2] == zeros[3], zeros[0] == zeros[2]) == (True, True, False)


def test_ids_count_where_the_training_set_has_them(tmp_path):
    dataset, store = frozen(tmp_path, [ID, X, Y], {"id": ["a", "b", "c"], "x": [0.5, 1.5, 2.5], "y": [0, 1, 0]})
    found = searched(dataset, store, train(tmp_path, {"id": ["c", "z"], "x": [9.0, 8.0]}))
    assert [(pair.row, pair.id, pair.place) for pair in overlap(found, "ids").pairs] == [
        (2, "c", "train.parquet row 1")
    ]
    assert overlap(found, "exact").num_rows == 0
    assert found.leaks == ("1 of 3 rows have an id that is in a training set (the first: row 2, train.parquet row 1)",)


def test_time_is_beside_the_cutoff_or_else_beside_the_newest_training_row():
    when = pa.chunked_array([pa.array([START + timedelta(days=day) for day in range(4)], pa.timestamp("us", "UTC"))])
    learned = pa.chunked_array([[START, None], [START + timedelta(days=1)]], pa.timestamp("ms", "UTC"))
    newest, cut = TrainingCutoff(None), TrainingCutoff(instant("2026-01-02"))
    assert newest.too_old(as_microseconds(when)) is None
    for moments in (newest, cut):
        moments.add(learned)
    assert newest.too_old(as_microseconds(when)).tolist() == [True, True, False, False]
    assert cut.too_old(as_microseconds(when)).tolist() == [True, False, False, False]
    assert (newest.num_not_older, cut.num_not_older) == (0, 1)
    days = pa.chunked_array([pa.array([20454, 20455], pa.date32())])  # 2026-01-01 and the day after
    assert cut.too_old(as_microseconds(days)).tolist() == [True, False]
    with pytest.raises(DataError, match="not a date"):
        instant("soon")


def test_blocks_and_shards_change_nothing(tmp_path):
    words = vocabulary(500)
    ours = [" ".join(text) for text in texts(3000, words, seed=1)]
    learned = train(tmp_path, {"text": [*ours[5:900:7], *(text[:-4] for text in ours[1:3000:11])]})
    found = []
    for name, shard_rows, block_bytes in (("whole", None, 1 << 29), ("cut", 700, 1)):
        dataset, store = frozen(tmp_path, [TEXT, Y], {"text": ours, "y": [0] * 3000}, name=name, shard_rows=shard_rows)
        found.append(searched(dataset, store, learned, block_bytes=block_bytes).overlaps)
    assert found[0] == found[1]
    assert found[0][2].num_rows > 200


def test_with_long_texts_the_texts_decide_and_else_the_numbers_beside_equal_words(tmp_path):
    random = np.random.default_rng(2)
    columns = [TEXT, *(Column(name=f"x{at}", role="feature", type="float64") for at in range(6)), Y]
    numbers = random.normal(size=(50, 6))
    rows = {**{f"x{at}": numbers[:, at] for at in range(6)}, "y": [0] * 50}
    other = {f"x{at}": numbers[:, at] + 3.0 for at in range(6)}
    close = {f"x{at}": numbers[:, at] + 0.001 for at in range(6)}
    long = [" ".join(text) for text in texts(50, vocabulary(500), seed=4)]
    dataset, store = frozen(tmp_path / "long", [*columns], {**rows, "text": long})
    assert overlap(searched(dataset, store, train(tmp_path, {**other, "text": long})), "near").num_rows == 50
    short = ["red", "green"] * 25
    dataset, store = frozen(tmp_path / "short", [*columns], {**rows, "text": short})
    same = {**close, "text": pc.utf8_upper(pa.array(short))}
    assert overlap(searched(dataset, store, train(tmp_path, same)), "near").num_rows == 50
    assert overlap(searched(dataset, store, train(tmp_path, {**close, "text": short[::-1]})), "near").num_rows == 0
    assert overlap(searched(dataset, store, train(tmp_path, {**other, "text": short})), "near").num_rows == 0


def test_numbers_that_are_missing_are_near_those_that_are_missing_only():
    columns = tuple(FrozenColumn(name=f"x{at}", role="feature", type="float64", nullable=True) for at in range(5))
    numbers = np.random.default_rng(2).normal(size=(40, 5))

    def table(*, by: float, missing: bool) -> pa.Table:
        rows = {f"x{at}": pa.array(numbers[:, at] + by) for at in range(5)}
        return pa.table({**rows, "x0": pa.nulls(40, pa.float64())} if missing else rows)

    def num_near(learned: pa.Table) -> int:
        ours = table(by=0.0, missing=True)
        near, hits = NearNumbers(ours, columns, scales=Scales(ours, columns), threshold=0.05), Hits(40)
        near.search(learned, Origin("train", "row", 1), np.arange(40))
        near.copy_hits(hits, 0)
        return int(hits.is_hit_R.sum())

    assert num_near(table(by=1e-4, missing=True)) == 40
    assert num_near(table(by=1e-4, missing=False)) == 0


def test_a_finding_cannot_say_that_a_leak_is_fine(tmp_path):
    dataset, store = frozen(tmp_path, [X, Y], {"x": [0.5], "y": [0]})
    found = searched(dataset, store, train(tmp_path, {"x": [0.5]}))
    assert not found.is_fine
    with pytest.raises(ValidationError, match="is_fine"):
        type(found).model_validate({**found.model_dump(), "is_fine": True})


def test_time_is_told_and_a_leak_only_past_a_cutoff_or_by_the_contract(tmp_path):
    when = [START + timedelta(days=day) for day in range(4)]
    dataset, store = frozen(tmp_path, [X, WHEN, Y], {"x": [0.5, 1.5, 2.5, 3.5], "when": when, "y": [0, 1, 0, 1]})
    learned = train(tmp_path, {"x": [9.5], "when": [START + timedelta(days=1)]})
    told = searched(dataset, store, learned)
    assert (overlap(told, "time").num_rows, told.is_fine) == (2, True)
    judged = searched(dataset, store, learned, check=LeakageCheck(time=0.25, single_feature=None))
    assert judged.leaks == ("2 of 4 rows are not newer than the training sets",)
    cut = searched(dataset, store, learned, cutoff=instant("2026-01-02"))
    assert (overlap(cut, "time").num_rows, overlap(cut, "time").num_training_rows, cut.is_fine) == (1, 1, False)
    assert searched(dataset, store, train(tmp_path, {"x": [9.5]}), cutoff=instant("2026-01-01")).is_fine
    with pytest.raises(DataError, match="not a date"):
        instant("soon")


def test_equal_features_under_other_ids_are_said_to_be_that(tmp_path):
    dataset, store = frozen(tmp_path, [ID, X, Y], {"id": ["a", "b", "c"], "x": [0.5, 1.5, 2.5], "y": [0, 1, 0]})
    other = searched(dataset, store, train(tmp_path, {"id": ["z"], "x": [2.5]}))
    same = searched(dataset, store, train(tmp_path, {"id": ["c"], "x": [2.5]}))
    first = "(the first: row 2, train.parquet row 1)"
    assert other.leaks == (
        f"1 of 3 rows have the same features as a training row, but no row has the id of a training row {first}",
    )
    assert same.leaks[0] == f"1 of 3 rows have the same features as a training row {first}"
