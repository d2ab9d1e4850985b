"""Samples: exact shares of the strata, equal chances within each, and the same rows in whatever pieces they are added."""

import json
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from assay.evaluator.data.check import check_files
from assay.evaluator.data.frozen import sampling, staging
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.frozen.sampling import SampledStaging, allocation, row_keys
from assay.evaluator.data.frozen.shards import ShardReader, verify
from assay.evaluator.data.ingest import arrow_schema
from assay.evaluator.errors import DataError
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.contract import Contract, RowSample
from assay.manifests.contract_column import Column
from tests.evaluator.data import tables

COLUMNS = (
    Column(name="key", role="id", type="int64"),
    Column(name="x", role="feature", type="float64"),
    Column(name="y", role="label", type="bool"),
    Column(name="group", role="segment", type="string", nullable=True),
)
FROZEN = tuple(column.frozen for column in COLUMNS)
CONTRACT = tables.contract(*COLUMNS)


def table(num_rows: int, *, groups=("a", "b", None, "c"), seed: int = 1) -> pa.Table:
    """Rows whose groups are of very different sizes."""
    random = np.random.default_rng(seed)
    part = 0.5 ** np.arange(1, len(groups) + 1)
    group = random.choice(len(groups), size=num_rows, p=part / part.sum())
    columns = {
        "key": np.arange(num_rows),
        "x": random.normal(size=num_rows),
        "y": random.random(num_rows) < 0.3,
        "group": [groups[at] for at in group],
    }
    return pa.table(columns, schema=arrow_schema(FROZEN))


def drawn(folder: Path, rows: pa.Table, sample: RowSample, *, pieces: list[int] | None = None) -> list[int]:
    """The keys of the rows that a sample keeps."""
    folder.mkdir(parents=True)
    kept: list[int] = []
    staged = SampledStaging(
        folder,
        columns=FROZEN,
        shard_rows=None,
        sample=sample,
        on_kept=lambda each: kept.extend(each["key"].to_pylist()),
    )
    ends = [0, *sorted(pieces or []), len(rows)]
    for first, end in pairwise(ends):
        staged.add(rows.slice(first, end - first))
    staged.finish()
    return kept


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=40), st.fractions(0, 1))
def test_parts_are_exact_to_less_than_one_row_and_add_up(counts, part):
    num_rows = int(part * sum(counts))
    given_H = allocation(counts, num_rows)
    assert sum(given_H) == num_rows
    for count, given_rows in zip(counts, given_H, strict=True):
        exact = Fraction(num_rows * count, sum(counts))
        assert int(exact) <= given_rows <= min(count, int(exact) + 1)


@pytest.mark.parametrize(
    ("counts", "num_rows", "expected"),
    [
        # Quotas 4.7, 1.6, 1.58, 1.2, 0.6, 0.32: the example of the largest remainders (Hare's quota) in textbooks.
        ([47_000, 16_000, 15_800, 12_000, 6_100, 3_100], 10, [5, 2, 1, 1, 1, 0]),
        ([1, 1, 1], 2, [1, 1, 0]),  # equal remainders: the first strata take precedence
        ([5, 5], 10, [5, 5]),
        ([3, 1], 1, [1, 0]),
    ],
)
def test_the_largest_remainders_get_the_rows_that_are_left(counts, num_rows, expected):
    assert allocation(counts, num_rows) == expected


@pytest.mark.parametrize("stratify", [(), ("group",), ("y", "group"), ("group", "y", "group")])
def test_every_stratum_keeps_its_part_and_rows_their_order(tmp_path, stratify):
    rows = table(5000)
    kept = drawn(tmp_path / "s", rows, RowSample(rows=700, stratify=stratify, seed=3))
    assert len(kept) == 700
    assert kept == sorted(set(kept))
    strata = list(zip(*(rows[name].to_pylist() for name in stratify), strict=True)) if stratify else [()] * 5000
    counts = Counter(strata)  # in the order of first occurrence
    found = Counter(strata[key] for key in kept)
    assert [found[stratum] for stratum in counts] == allocation(list(counts.values()), 700)


@given(pieces=st.lists(st.integers(0, 3000), max_size=8))
def test_pieces_leave_no_trace(tmp_path_factory, pieces):
    rows, sample = table(3000), RowSample(rows=400, stratify=("group", "y"), seed=5)
    folder = tmp_path_factory.mktemp("pieces")
    assert drawn(folder / "cut", rows, sample, pieces=pieces) == drawn(folder / "whole", rows, sample)


def test_neither_the_size_of_blocks_nor_the_first_guess_shows(tmp_path, monkeypatch):
    rows, sample = table(3000), RowSample(rows=400, stratify=("group", "y"), seed=5)
    expected = drawn(tmp_path / "usual", rows, sample)
    monkeypatch.setattr(sampling, "_BLOCK_ROWS", 17)
    assert drawn(tmp_path / "small", rows, sample) == expected
    monkeypatch.setattr(staging, "SHARD_BYTES", 1)  # rows wait in three files
    assert drawn(tmp_path / "three", rows, sample) == expected
    usual, top = row_keys(0, 3000, seed=5) >> np.uint64(9), np.uint64(2**64 - 2**55)
    # All keys are outside the expected interval, below and above, but in the same order.
    for name, keys_R in (("low", usual), ("high", usual | top)):
        monkeypatch.setattr(
            sampling, "row_keys", lambda first, num, *, seed, keys_R=keys_R: keys_R[first : first + num]
        )
        assert drawn(tmp_path / name, rows, sample) == expected


def test_of_strata_with_equal_remainders_the_first_in_the_rows_is_kept(tmp_path):
    rows = table(3).set_column(2, "y", pa.array([True, False, True]))
    rows = rows.set_column(3, "group", pa.array(["a", "a", "b"])).cast(arrow_schema(FROZEN))
    assert drawn(tmp_path / "whole", rows, RowSample(rows=2, stratify=("y", "group"))) == [0, 1]
    assert drawn(tmp_path / "cut", rows, RowSample(rows=2, stratify=("y", "group")), pieces=[1]) == [0, 1]


def test_the_sample_is_the_rows_of_the_smallest_keys(tmp_path):
    rows = table(2000)
    keys = row_keys(0, 2000, seed=8)
    kept = drawn(tmp_path / "s", rows, RowSample(rows=150, seed=8))
    assert kept == sorted(np.argsort(keys)[:150].tolist())


def test_every_row_of_a_stratum_has_the_same_chance_over_seeds(tmp_path):
    rows, num_seeds = table(60, groups=("a", "b")), 1500
    counts, pairs = np.zeros(60), np.zeros((60, 60))
    for seed in range(num_seeds):
        codes = np.array([{"a": 0, "b": 1}[group] for group in rows["group"].to_pylist()], dtype=np.uint16)
        path = tmp_path / "strata"
        codes.tofile(path)
        num_H = np.bincount(codes)
        wanted_H = np.array([10, 5])
        last_H = sampling._last_keys(path, num_H, wanted_H, seed=seed)
        kept = row_keys(0, 60, seed=seed) <= last_H[codes]
        assert (np.bincount(codes[kept]) == wanted_H).all()
        counts += kept
        pairs += np.outer(kept, kept)
    for stratum, wanted in ((0, 10), (1, 5)):
        inside = codes == stratum
        num = int(inside.sum())
        expected = num_seeds * wanted / num
        # Draws without replacement vary less than a multinomial's by the factor (n - k) / (n - 1).
        chi2 = ((counts[inside] - expected) ** 2 / expected).sum() * (num - 1) / (num - wanted)
        assert 0.001 < stats.chi2.sf(chi2, num - 1) < 0.999
    a = np.flatnonzero(codes == 0)
    together = pairs[np.ix_(a, a)][np.triu_indices(len(a), 1)]
    chance = 10 * 9 / (len(a) * (len(a) - 1))
    assert abs(together - num_seeds * chance).max() < 5 * np.sqrt(num_seeds * chance)


def test_other_seeds_are_other_samples(tmp_path):
    rows = table(500)
    found = [drawn(tmp_path / str(seed), rows, RowSample(rows=50, seed=seed)) for seed in (0, 1, 2**63)]
    assert len({tuple(each) for each in found}) == 3


def frozen(tmp_path: Path, rows: pa.Table, *, sample: RowSample | None, files: int = 1, shard_rows: int | None = None):
    store = MemoryStore("samples")
    lines = [json.dumps(row) + "\n" for row in rows.to_pylist()]
    size, paths = -(-len(lines) // files), []
    for number in range(files):
        paths.append(tmp_path / f"{number}-of-{files}.jsonl")
        paths[-1].write_text("".join(lines[number * size : (number + 1) * size]))
    contract = Contract(**{**dict(CONTRACT), "sample": sample})
    return freeze(paths, contract=contract, reference="t@v1", store=store, shard_rows=shard_rows), store


# Reading nullable columns is the readers' work; these rows have a group each.
NAMED = table(3000, groups=("a", "b", "d", "c")).cast(arrow_schema(FROZEN))


@pytest.fixture(autouse=True)
def _without_nullable(monkeypatch):
    plain = tables.contract(*COLUMNS[:3], Column(name="group", role="segment", type="string"))
    monkeypatch.setattr(f"{__name__}.CONTRACT", plain)


def test_freezing_a_sample_records_what_it_was_drawn_from(tmp_path):
    whole, _ = frozen(tmp_path, NAMED, sample=None)
    sample = RowSample(rows=300, stratify=("group",), seed=2)
    dataset, store = frozen(tmp_path, NAMED, sample=sample, files=3, shard_rows=128)
    assert dataset.parent is not None
    assert (dataset.parent.num_rows, dataset.parent.rows_digest) == (3000, whole.rows_digest)
    assert dataset.parent.sample == sample
    assert (dataset.num_rows, dataset.check.num_rows) == (300, 3000)
    assert [shard.num_rows for shard in dataset.shards] == [128, 128, 44]
    assert dataset.digest() != whole.digest()
    verify(dataset, store)
    kept = ShardReader(dataset, store).rows(0, 300)
    assert kept.equals(NAMED.take(kept["key"].to_numpy()).cast(kept.schema))
    again, _ = frozen(tmp_path, NAMED, sample=sample, shard_rows=128)
    assert again.digest() == dataset.digest()


def test_a_sample_of_all_rows_is_all_rows(tmp_path):
    whole, _ = frozen(tmp_path, NAMED, sample=None)
    dataset, _ = frozen(tmp_path, NAMED, sample=RowSample(rows=3000, stratify=("group",)))
    assert dataset.digest() == whole.digest()


def test_more_rows_than_there_are_is_refused_and_nothing_is_stored(tmp_path):
    store = MemoryStore("nothing")
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in NAMED.slice(0, 20).to_pylist()))
    contract = Contract(**{**dict(CONTRACT), "sample": RowSample(rows=21)})
    with pytest.raises(DataError, match=r"the rule 'sample' is violated; got 20; allowed: at least 21"):
        freeze([path], contract=contract, reference="t@v1", store=store)
    assert not list(store.listing(""))
    assert [rule.rule for rule in check_files([path], contract=contract).broken] == ["sample"]


def test_columns_that_tell_rows_apart_are_no_strata(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_STRATA", 100)
    with pytest.raises(DataError, match=r"too many strata.*key.*at most 100"):
        drawn(tmp_path / "s", table(101), RowSample(rows=5, stratify=("key",)))
    assert len(drawn(tmp_path / "t", table(100), RowSample(rows=5, stratify=("key",)))) == 5
