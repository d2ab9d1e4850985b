"""Dates and timestamps: what is accepted, that both ways of reading agree, and that Arrow's own types lose nothing."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.frozen.shards import ShardReader
from assay.evaluator.data.ingest import dates
from assay.evaluator.errors import DataError
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.contract_column import Column
from tests.evaluator.data import tables

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("type_name", "form", "text", "value"),
    [
        ("date", "", "2026-11-21", date(2026, 11, 21)),
        ("date", "", "0001-01-01", date(1, 1, 1)),
        ("date", "", "9999-12-31", date(9999, 12, 31)),
        ("date", "", "0000-01-01", "this day does not exist"),
        ("date", "", "2026-02-30", "this day does not exist"),
        ("date", "", "2100-02-29", "this day does not exist"),
        ("date", "", "2026-11-21T00:00:00", "not a date in ISO 8601"),
        ("date", "", "20261121", "not a date in ISO 8601"),
        ("date", "", "21/11/2026", "not a date in ISO 8601"),
        ("date", "", "٢٠٢٦-11-21", "not a date in ISO 8601"),
        ("date", "%d.%m.%Y", "21.11.2026", date(2026, 11, 21)),
        ("date", "%d.%m.%Y", "1.2.2026", date(2026, 2, 1)),
        ("date", "%d.%m.%Y", "2026-11-21", "not a date in the column's format"),
        ("date", "%d.%m.%Y", "30.02.2026", "not a date in the column's format"),
        ("date", "%d.%m.%Y", "٢١.11.2026", "not a date in the column's format"),
        ("date", "%Y-%m-%d %H:%M", "2026-11-21 00:00", date(2026, 11, 21)),
        ("date", "%Y-%m-%d %H:%M", "2026-11-21 00:01", "a date with a time of day"),
        ("timestamp", "", "2026-11-21T12:00:00Z", NOON),
        ("timestamp", "", "2026-11-21 12:00Z", NOON),
        ("timestamp", "", "2026-11-21T13:30:00+01:30", NOON),
        ("timestamp", "", "2026-11-21T07:00:00-0500", NOON),
        ("timestamp", "", "2026-11-21 12:00:00.000001+00", NOON + timedelta(microseconds=1)),
        ("timestamp", "", "2026-11-21T12:00:00.500000000Z", NOON + timedelta(seconds=0.5)),
        ("timestamp", "", "2026-11-21T12:00:00.0000001Z", "not a timestamp in ISO 8601"),
        ("timestamp", "", "2026-11-21T12:00:00", "a timestamp without a time zone"),
        ("timestamp", "", "2026-11-21", "not a timestamp in ISO 8601"),
        ("timestamp", "", "2026-11-21T24:00:00Z", "this time does not exist"),
        ("timestamp", "", "2026-11-21T12:00:60Z", "this time does not exist"),
        ("timestamp", "", "2026-11-21T12:00:00+01:60", "this time zone does not exist"),
        ("timestamp", "", "2026-11-21T12:00:00+24:00", "this time does not exist"),
        ("timestamp", "", "0001-01-01T00:00:00+00:01", "this time does not exist"),
        ("timestamp", "", "9999-12-31T23:59:59-00:01", "this time does not exist"),
        ("timestamp", "%Y-%m-%dT%H:%M:%S", "2026-11-21T12:00:00", NOON),
        ("timestamp", "%d.%m.%Y %H:%M %z", "21.11.2026 13:00 +0100", NOON),
        ("timestamp", "%d.%m.%Y %H:%M %z", "21.11.2026 13:00", "not a timestamp in the column's format"),
        ("timestamp", "%Y-%m-%d %H:%M %z", "0001-01-01 00:00 +0100", "this time does not exist"),
    ],
)  # fmt: skip
def test_a_text_is_accepted_or_refused(type_name, form, text, value):
    # The same text twice, and a null, which stays null either way.
    converted = dates.from_texts(pa.array([None, text, text]), type_name=type_name, form=form)
    assert converted.array[0].as_py() is None
    if isinstance(value, str):
        assert [(refusal.row, refusal.value) for refusal in converted.refusals] == [(1, text), (2, text)]
        assert value in converted.refusals[0].problem
        assert converted.array.null_count == 1
    else:
        assert not converted.refusals
        assert converted.array.to_pylist() == [None, value, value]


def test_another_common_form_is_guessed_and_an_ambiguous_one_named_twice():
    found = dates.from_texts(pa.array(["21.11.2026", "11/12/2026"]), type_name="date", form="").refusals
    assert "'%d.%m.%Y'" in found[0].remedy
    assert "'%d/%m/%Y' or '%m/%d/%Y'" in found[1].remedy


MOMENTS = st.datetimes(timezones=st.timezones() | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(lambda each: timedelta(minutes=each // timedelta(minutes=1)))))  # fmt: skip


def _offset(moment: datetime) -> timedelta:
    offset = moment.utcoffset()
    assert offset is not None
    return offset


@given(st.lists(MOMENTS, min_size=1, max_size=5), st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_python_writes_is_read_back(moments, blank):
    # Some zones had offsets of seconds, up to 1972.
    moments = [each for each in moments if 1 < each.year < 9999 and not _offset(each) % timedelta(minutes=1)]
    texts = pa.array([each.isoformat(sep=" " if blank else "T") for each in moments], pa.string())
    converted = dates.from_texts(texts, type_name="timestamp", form="")
    assert not converted.refusals
    assert converted.array.to_pylist() == [each.astimezone(UTC) for each in moments]
    days = pa.array([each.date().isoformat() for each in moments], pa.string())
    assert dates.from_texts(days, type_name="date", form="").array.to_pylist() == [each.date() for each in moments]


@given(
    text=st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?(Z|[+-][0-2][0-9](:?[0-6][0-9])?)?)?\Z")
    | st.text(alphabet="0129-:TZ+. \n", max_size=26),
    type_name=st.sampled_from(["date", "timestamp"]),
)  # fmt: skip
@example(text="2026-11-21T12:00:00Z\n", type_name="timestamp")
@example(text="2026-11-21\n", type_name="date")
@example(text="0000-01-01", type_name="date")
@example(text="0001-01-01T00:00+01", type_name="timestamp")
@settings(max_examples=400, deadline=None)
def test_what_the_fast_road_accepts_the_slow_one_accepts_alike(text, type_name):
    quick = dates._quick(pa.array([text]), type_name)
    exact = dates._reader(type_name, "")(text)
    if quick is not None:
        assert quick.cast(pa.int32() if type_name == "date" else pa.int64()).to_pylist() == [exact]


@pytest.mark.parametrize(
    ("type_name", "array", "values"),
    [
        ("date", pa.array([0, None, -719162], pa.date32()), [date(1970, 1, 1), None, date(1, 1, 1)]),
        ("date", pa.array([86_400_000, 1], pa.date64()), [date(1970, 1, 2), "does not fit date"]),
        ("date", pa.array([-86_400, 86_401], pa.timestamp("s")), [date(1969, 12, 31), "does not fit date"]),
        ("date", pa.array([2932896, 2932897], pa.date32()), [date(9999, 12, 31), "outside the range of date"]),
        ("timestamp", pa.array([1, 2**62], pa.timestamp("s", "UTC")), [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), "outside the range of timestamp"]),
        ("timestamp", pa.array([-1, None], pa.timestamp("ms", "Asia/Tokyo")), [datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC), None]),
        ("timestamp", pa.array([253402300799999999, 253402300800000000], pa.timestamp("us", "UTC")), [datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "outside the range of timestamp"]),
        ("timestamp", pa.array([-62135596800000000, -62135596800000001], pa.timestamp("us", "UTC")), [datetime(1, 1, 1, tzinfo=UTC), "outside the range of timestamp"]),
        ("timestamp", pa.array([-1000, 1001], pa.timestamp("ns", "UTC")), [datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "does not fit timestamp"]),
    ],
)  # fmt: skip
def test_arrow_moments_become_days_and_microseconds_without_loss(type_name, array, values):
    converted = dates.from_arrow(array, type_name=type_name)
    refused = {refusal.row: refusal.problem for refusal in converted.refusals}
    assert refused == {row: value for row, value in enumerate(values) if isinstance(value, str)}
    found = converted.array.to_pylist()
    assert [found[row] for row, value in enumerate(values) if row not in refused] == [
        value for value in values if not isinstance(value, str)
    ]


MOMENT_COLUMNS = (
    Column(name="day", role="info", type="date", nullable=True),
    Column(name="at", role="timestamp", type="timestamp"),
)
DATED = tables.contract(*tables.EVERYTHING.columns, *MOMENT_COLUMNS)


def dated(num_rows: int) -> list[dict]:
    return [
        {**row, "day": None if number % 7 == 3 else date(1970, 1, 1) + timedelta(days=31 * number - 400_000),
         "at": NOON + timedelta(microseconds=123_456_789_012 * number)}
        for number, row in enumerate(tables.rows(num_rows))
    ]  # fmt: skip


def test_every_format_gives_the_same_moments(tmp_path):
    found, given = set(), dated(300)
    plain = [{**row, "day": row["day"] and row["day"].isoformat(), "at": row["at"].isoformat()} for row in given]
    for suffix in tables.FORMATS:
        is_text = suffix.split(".")[0] in ("csv", "tsv", "jsonl", "ndjson")
        path = tables.write(tmp_path / f"rows.{suffix}", plain if is_text else given)
        store = MemoryStore(suffix)
        dataset = freeze([path], contract=DATED, reference="t@v1", store=store)
        found.add(dataset.rows_digest)
        table = ShardReader(dataset, store).rows(0, 300)
        assert table["day"].to_pylist() == [row["day"] for row in given]
        assert table["at"].to_pylist() == [row["at"] for row in given]
    assert len(found) == 1


def test_arrow_timestamps_without_a_zone_need_the_contracts_word(tmp_path):
    table = pa.table({"y": [True], "x": pa.array([0.5], pa.float32()), "at": pa.array([1], pa.timestamp("us"))})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    columns = (Column(name="y", role="label", type="bool"), Column(name="x", role="feature", type="float32"))
    for form in ("", "%Y-%m-%d %z"):
        at = Column(name="at", role="timestamp", type="timestamp", format=form)
        with pytest.raises(
            DataError, match=r"a\.arrow row 1: at: timestamps without a time zone.*format in the contract"
        ):
            freeze(
                [tmp_path / "a.arrow"], contract=tables.contract(*columns, at), reference="t@v1", store=MemoryStore("t")
            )
    at = Column(name="at", role="timestamp", type="timestamp", format="%Y-%m-%d")
    store = MemoryStore("t")
    dataset = freeze([tmp_path / "a.arrow"], contract=tables.contract(*columns, at), reference="t@v1", store=store)
    (found,) = ShardReader(dataset, store).rows(0, 1)["at"].to_pylist()
    assert found == datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("form", ["%m/%Y", "%d.%m.", "%H:%M", "%Y-%m-%d %I:%M", "%Y-%m-%d %H:%M %Z", "%q", "%x", "day"])
def test_a_format_that_cannot_tell_moments_apart_is_refused(form):
    with pytest.raises(ValidationError, match="format"):
        Column(name="at", role="timestamp", type="timestamp", format=form)


def test_refused_rows_are_not_missing_as_well():
    array = dates.filled(pa.array([None, None, 5], pa.date32()), [1])
    assert array.to_pylist() == [None, date(1970, 1, 1), date(1970, 1, 6)]
    assert np.array(array.is_null()).tolist() == [True, False, False]
