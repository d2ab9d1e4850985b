"""Profiles: accurate, the same in whatever pieces rows are added, and small however many rows there are."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.ingest import arrow_schema
from assay.evaluator.data.profile.distinct import Distinct
from assay.evaluator.data.profile.profile import Profiler
from assay.evaluator.data.profile.quantiles import Spread
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.column import FrozenColumn
from assay.manifests.profile import QUANTILES, Profile
from tests.evaluator.data import tables

COLUMNS = (
    FrozenColumn(name="id", role="id", type="int64"),
    FrozenColumn(name="label", role="label", type="string", classes=("no", "yes", "perhaps")),
    FrozenColumn(name="number", role="feature", type="float64", nullable=True),
    FrozenColumn(name="text", role="feature", type="string"),
    FrozenColumn(name="flag", role="segment", type="bool"),
    FrozenColumn(name="image", role="feature", type="uint8", shape=(2, 2)),
    FrozenColumn(name="day", role="timestamp", type="date"),
)


def table(num_rows: int, *, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    schema = arrow_schema(COLUMNS)
    pixels = pa.array(random.integers(0, 256, num_rows * 4).astype(np.uint8))
    image = pa.FixedSizeListArray.from_arrays(pixels, 4)
    numbers = random.lognormal(sigma=3, size=num_rows)
    arrays = [
        pa.array(np.arange(num_rows)),
        pa.array(np.array(["no", "yes"])[random.integers(0, 2, num_rows)]),
        pa.array(numbers, mask=random.random(num_rows) < 0.3),
        pa.array([f"word {number}" for number in random.integers(0, num_rows, num_rows)]),
        pa.array(random.random(num_rows) < 0.5),
        pa.ExtensionArray.from_storage(schema.field("image").type, image),
        pa.array(random.integers(0, 20_000, num_rows).astype(np.int32)).view(pa.date32()),
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def profile(rows: pa.Table, *, sizes: list[int]) -> Profile:
    profiler, start, turn = Profiler(COLUMNS), 0, 0
    while start < rows.num_rows:
        size = sizes[turn % len(sizes)]
        profiler.take(rows.slice(start, size))
        start, turn = start + size, turn + 1
    return profiler.finish()


ROWS = table(50_000)


@settings(max_examples=15)
@given(st.lists(st.integers(100, 30_000), min_size=1, max_size=5))
def test_the_same_rows_in_any_pieces_have_the_same_profile(sizes):
    assert profile(ROWS, sizes=sizes) == profile(ROWS, sizes=[50_000])


@pytest.mark.parametrize("size", [1, 3])
def test_a_few_rows_at_a_time_change_nothing(size):
    rows = ROWS.slice(0, 20_000)
    assert profile(rows, sizes=[size]) == profile(rows, sizes=[20_000])


def test_looks_at_few_rows_at_a_time_change_nothing(monkeypatch):
    whole = profile(ROWS, sizes=[50_000])
    monkeypatch.setattr("assay.evaluator.data.profile.profile._WAITING_ROWS", 1000)
    assert profile(ROWS, sizes=[777]) == whole


@pytest.mark.parametrize("order", ["drawn", "ascending", "descending", "zigzag"])
@pytest.mark.parametrize("num_values", [1, 8191, 8192, 8193, 1_000_000])
def test_quantiles_are_within_a_hundredth_of_the_rank(num_values, order):
    values = np.random.default_rng(num_values).lognormal(sigma=4, size=num_values)
    if order != "drawn":
        values = np.sort(values)
    if order == "descending":
        values = values[::-1]
    if order == "zigzag":  # a summary that always keeps the same neighbour would drift
        values = np.concatenate((values[::2], values[1::2][::-1]))
    spread = Spread()
    for piece in np.array_split(values, 7):
        spread.take(piece)
    distribution = spread.distribution()
    assert distribution.num_values == num_values
    found = distribution.quantiles(QUANTILES)
    ordered = np.sort(values)
    assert (found[0], found[-1]) == (ordered[0], ordered[-1])
    ranks = np.searchsorted(ordered, found, side="right") / num_values
    bound = 0 if num_values < 8192 else 0.002
    assert np.all(np.abs(ranks - np.maximum(np.ceil(np.array(QUANTILES) * num_values), 1) / num_values) <= bound)
    assert spread.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert sum(distribution.histogram().counts) == num_values


def test_few_numbers_are_kept_exactly():
    values = np.random.default_rng(1).normal(size=5000)
    spread = Spread()
    spread.take(values)
    expected = np.quantile(values, QUANTILES, method="inverted_cdf")
    assert np.array_equal(spread.distribution().quantiles(QUANTILES), expected)
    counts, edges = np.histogram(values, bins=32)
    found = spread.distribution().histogram()
    assert found.counts == tuple(counts)
    assert found.edges == pytest.approx(edges)


@pytest.mark.parametrize("values", [[2.5], [0.0] * 9, [-1e308, 1e308], [5e-324, 1e-323], [1e300, 1e300]])
def test_every_finite_number_has_its_place(values):
    spread = Spread(block=4)
    spread.take(np.array(values))
    histogram = spread.distribution().histogram()
    assert (histogram.edges[0], histogram.edges[-1]) == (min(values), max(values))
    assert len(histogram.counts) == (32 if max(values) - min(values) == np.inf else len(histogram.edges) - 1)
    assert sum(histogram.counts) == len(values)


def test_a_mean_past_the_range_of_floats_is_none():
    spread = Spread()
    spread.take(np.array([1.7e308, 1.7e308]))
    assert spread.mean is None


@pytest.mark.parametrize(
    "values",
    [
        pa.array(np.arange(300_000)),
        pa.array(np.random.default_rng(3).normal(size=300_000)),
        pa.array(np.random.default_rng(3).random(300_000, dtype=np.float32)),
        pa.array([f"text {number}" for number in range(300_000)]),
        pa.array(np.arange(300_000, dtype=np.int64) * 86_400_000_000).cast(pa.timestamp("us", "UTC")),
        pa.array(np.arange(20_000, dtype=np.int32)).cast(pa.date32()),
    ],
    ids=lambda values: str(values.type),
)
def test_many_different_values_are_estimated_to_within_a_few_percent(values):
    distinct = Distinct()
    for start in range(0, 2 * len(values), 50_000):  # every value occurs twice
        distinct.take(values.slice(start % len(values), 50_000))
    assert distinct.counts is None
    assert distinct.num_distinct == pytest.approx(len(values.unique()), rel=0.05)


@pytest.mark.parametrize("num_values", [1, 4096, 4097, 8000])
def test_a_few_thousand_different_values_are_counted_exactly(num_values):
    values = pa.array(np.arange(num_values) % num_values)
    distinct = Distinct()
    distinct.take(values)
    distinct.take(values)
    assert distinct.num_distinct == num_values
    assert (distinct.counts is None) == (num_values > 4096)


def test_a_few_very_long_texts_are_not_all_kept():
    distinct = Distinct()
    distinct.take(pa.array([f"{number} {'x' * 1000}" for number in range(2000)]))
    assert distinct.counts is None
    assert distinct.num_distinct == 2000


def test_columns_of_every_kind_are_described():
    found = profile(ROWS, sizes=[9999])
    assert [column.name for column in found.columns] == [column.name for column in COLUMNS]
    number = found.column("number")
    assert number.num_nulls == ROWS["number"].null_count > 0
    assert number.mean == pytest.approx(np.mean(ROWS["number"].drop_null().to_numpy()))
    label = found.column("label")
    counts = {each["values"]: each["counts"] for each in ROWS["label"].value_counts().to_pylist()}
    assert {each.value: each.num_rows for each in label.top} == {**counts, "perhaps": 0}
    assert label.num_distinct == 2
    assert label.top[-1].value == "perhaps"
    text = found.column("text")
    assert (text.quantiles[0], text.quantiles[-1]) == (len("word 1"), len("word 12345"))
    assert text.top == ()
    flag = found.column("flag")
    assert (flag.quantiles, flag.histogram) == ((), None)
    assert {each.value for each in flag.top} == {"true", "false"}
    image = found.column("image")
    assert (image.num_distinct, image.quantiles[-1], sum(image.histogram.counts)) == (None, 255, 200_000)
    days = ROWS["day"].to_pylist()
    assert found.column("day").quantiles[-1] == (max(days) - dt.date(1970, 1, 1)).total_seconds()


def test_all_values_of_a_segment_are_there_and_fifty_of_a_feature():
    values = pa.array([f"v{number:03}" for number in range(200)])
    rows = pa.table({"segment": values, "feature": values})
    columns = tuple(FrozenColumn(name=role, role=role, type="string") for role in ("segment", "feature"))
    profiler = Profiler(columns)
    profiler.take(rows)
    found = profiler.finish()
    assert [len(column.top) for column in found.columns] == [200, 50]


def test_freezing_keeps_the_profile_of_the_rows(tmp_path):
    rows = tables.rows(3000)
    dataset = freeze(
        [tables.write(tmp_path / "rows.csv", rows[:1000]), tables.write(tmp_path / "rows.parquet", rows[1000:])],
        contract=tables.EVERYTHING,
        reference="t@v1",
        store=MemoryStore("profile"),
    )
    assert dataset.profile.num_rows == 3000
    top = dataset.profile.column("label").top
    assert [(each.value, each.num_rows) for each in top] == [("no", 1500), ("yes", 1500)]
    assert dataset.profile.column("wide").mean == pytest.approx(np.mean([row["wide"] for row in rows]))
