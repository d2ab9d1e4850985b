"""Dates and timestamps: lossless conversion from text and from Arrow's own types to days and to microseconds of UTC.

Texts are in ISO 8601, or in the one format that the contract's `format` gives. Where all are valid, one vectorised cast
converts them; otherwise they are read one by one: that code decides what is accepted, and names the offenders.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.ingest.arrow_schema import SCALARS, AnyArray, AnyType
from assay.evaluator.data.ingest.chunk import Converted, Refusal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAYS = (date.min.toordinal() - _EPOCH.toordinal(), date.max.toordinal() - _EPOCH.toordinal())
"""The first and the last day of the years 1 to 9999, counted from 1970."""
_DAY_US = 86_400_000_000
_MICROSECONDS = (_DAYS[0] * _DAY_US, (_DAYS[1] + 1) * _DAY_US - 1)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_CLOCK = r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})0*)?)?"
_ISO_TIMESTAMP = re.compile(_CLOCK + r"(?:Z|([+-])(\d\d)(?::?(\d\d))?)", re.ASCII)
_ISO_WITHOUT_ZONE = re.compile(_CLOCK, re.ASCII)
_RE2_TIMESTAMP = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)$"
_COMMON_FORMATS = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d", "%d %b %Y", "%b %d, %Y",
)  # fmt: skip
_RANGE = "days from 0001-01-01 to 9999-12-31"

Problem = tuple[str, str, str]
"""What is wrong with a text, what would be accepted, and the remedy."""


def is_moment(type_name: str) -> bool:
    """Whether values of a type are dates or timestamps."""
    return type_name in ("date", "timestamp")


def from_texts(texts: pa.Array, *, type_name: str, form: str) -> Converted:
    """Converts texts; nulls stay null.

    Args:
        texts: The texts, a string array of shape (rows,).
        type_name: `date` or `timestamp`.
        form: Their format, in the syntax of `strptime`; empty: ISO 8601.
    """
    array = None if form else _quick(texts, type_name)
    if array is not None:
        return Converted(array)
    # Parses every distinct text once: dates repeat, and parsing one takes microseconds.
    encoded: AnyArray = texts.dictionary_encode()
    read = _reader(type_name, form)
    numbers: list[int] = []
    problems: dict[int, tuple[str, Problem]] = {}
    for at, text in enumerate(encoded.dictionary.to_pylist()):
        result = read(text)
        if not isinstance(result, int):
            problems[at] = text, result
        numbers.append(result if isinstance(result, int) else 0)
    refusals: list[Refusal] = []
    if problems:
        is_bad = pc.is_in(encoded.indices, value_set=pa.array(list(problems), encoded.indices.type))
        for row in np.flatnonzero(is_bad.to_numpy(zero_copy_only=False)):
            text, (problem, bound, remedy) = problems[encoded.indices[int(row)].as_py()]
            refusals.append(Refusal(int(row), problem, text, bound, remedy))
    return Converted(_typed(np.array(numbers, np.int64), type_name).take(encoded.indices), tuple(refusals))


def filled(array: AnyArray, rows: list[int]) -> pa.Array:
    """The array with the given rows set to the start of 1970."""
    is_filled = np.zeros(len(array), np.bool_)
    is_filled[rows] = True
    numbers = array.cast(pa.int32() if pa.types.is_date(array.type) else pa.int64())
    return pc.if_else(pa.array(is_filled), pa.scalar(0, numbers.type), numbers).cast(array.type)


def acceptable(actual: AnyType, *, type_name: str) -> bool:
    """Whether some values of an Arrow type can be converted to dates or timestamps without loss.

    A timestamp without a time zone can be either: a day at midnight, or a time that the contract declares to be in UTC.
    One with a time zone is not a date, since the day depends on the zone.
    """
    if type_name == "timestamp":
        return pa.types.is_timestamp(actual)
    return pa.types.is_date(actual) or (pa.types.is_timestamp(actual) and actual.tz is None)


def from_arrow(array: AnyArray, *, type_name: str) -> Converted:
    """Converts dates and timestamps of any unit; a time without a time zone is taken as UTC. Nulls stay null."""
    kind = array.type
    unit = "D" if pa.types.is_date32(kind) else "ms" if pa.types.is_date64(kind) else kind.unit
    is_null = array.is_null().to_numpy(zero_copy_only=False)
    given = array.cast(pa.int32() if unit == "D" else pa.int64()).fill_null(0).to_numpy().astype(np.int64)
    multiplier, divisor = _steps(unit, type_name)
    (first, last), finest = (_DAYS, "whole days") if type_name == "date" else (_MICROSECONDS, "whole microseconds")
    numbers, rest = np.divmod(given, divisor)
    is_beyond = (numbers < -(-first // multiplier)) | (numbers > last // multiplier)
    is_bad = is_beyond | (rest != 0)
    refusals = tuple(
        Refusal(
            int(row),
            f"outside the range of {type_name}" if is_beyond[row] else f"does not fit {type_name}",
            str(np.datetime64(int(given[row]), unit)),
            _RANGE if is_beyond[row] else finest,
        )
        for row in np.flatnonzero(is_bad)
    )
    return Converted(_typed(np.where(is_bad, 0, numbers) * multiplier, type_name, is_null=is_null), refusals)


def _steps(unit: str, type_name: str) -> tuple[int, int]:
    """The multiplier and the divisor that convert a number of an Arrow unit to the frozen type."""
    if type_name == "date":
        return 1, 1 if unit == "D" else 86_400 * _PER_SECOND[unit]
    per_second = _PER_SECOND[unit]
    return max(1, 10**6 // per_second), max(1, per_second // 10**6)


def _typed(numbers: np.ndarray, type_name: str, *, is_null: np.ndarray | None = None) -> pa.Array:
    if type_name == "date":
        return pa.array(numbers.astype(np.int32), mask=is_null).cast(pa.date32())
    return pa.array(numbers, mask=is_null).cast(SCALARS["timestamp"])


def _quick(texts: AnyArray, type_name: str) -> pa.Array | None:
    """Converts all texts by one cast; None if any of them must be read on its own."""
    if type_name == "timestamp" and pc.all(pc.match_substring_regex(texts, _RE2_TIMESTAMP)).as_py() is False:
        return None
    try:
        array = texts.cast(SCALARS[type_name])
    except pa.ArrowInvalid:
        return None
    # Both casts accept year 0, and a time zone can move a timestamp out of the years 1 to 9999.
    limits, integer = (_DAYS, pa.int32()) if type_name == "date" else (_MICROSECONDS, pa.int64())
    ends = pc.min_max(array.cast(integer))
    low, high = ends["min"].as_py(), ends["max"].as_py()
    return array if low is None or (limits[0] <= low and high <= limits[1]) else None


def _reader(type_name: str, form: str) -> Callable[[str], int | Problem]:
    if form:
        return lambda text: _by_format(text, type_name, form)
    return _iso_date if type_name == "date" else _iso_timestamp


def _iso_date(text: str) -> int | Problem:
    match = _ISO_DATE.fullmatch(text)
    if match is None:
        return _other_form(text, "date", "2026-11-21")
    try:
        return date(*map(int, match.groups())).toordinal() - _EPOCH.toordinal()
    except ValueError:
        return _nonexistent("day")


def _iso_timestamp(text: str) -> int | Problem:
    match = _ISO_TIMESTAMP.fullmatch(text)
    if match is None:
        if _ISO_WITHOUT_ZONE.fullmatch(text):
            return (
                "a timestamp without a time zone",
                "timestamps such as 2026-11-21T10:15:00Z or 2026-11-21T11:15:00+01:00",
                "add the time zone; if all are in UTC, declare it with a format in the contract: '%Y-%m-%dT%H:%M:%S'",
            )
        return _other_form(text, "timestamp", "2026-11-21T10:15:00Z")
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    try:
        east = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
        if int(zone_minutes or 0) > 59:
            return _nonexistent("time zone")
        zone = timezone(-east if sign == "-" else east)
        clock = (int(hour), int(minute), int(second or 0), int((fraction or "").ljust(6, "0")))
        return _microseconds(datetime(int(year), int(month), int(day), *clock, tzinfo=zone))
    except ValueError:
        return _nonexistent("time")


def _by_format(text: str, type_name: str, form: str) -> int | Problem:
    bound = f"{type_name}s in the format '{form}', as declared in the contract"
    # strptime accepts the digits of every script.
    if any(character.isdigit() and not character.isascii() for character in text):
        return f"not a {type_name} in the column's format", bound, ""
    try:
        moment = datetime.strptime(text, form)  # noqa: DTZ007 - without a zone it is UTC, as the contract documents
    except ValueError:
        return f"not a {type_name} in the column's format", bound, "a column has one format: convert the others first"
    if type_name == "timestamp":
        return _microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    if moment.time() != datetime.min.time():
        return "a date with a time of day", bound, "use type timestamp to keep the time"
    return moment.toordinal() - _EPOCH.toordinal()


def _microseconds(moment: datetime) -> int | Problem:
    number = (moment - _EPOCH) // _MICROSECOND
    return number if _MICROSECONDS[0] <= number <= _MICROSECONDS[1] else _nonexistent("time")


def _nonexistent(unit: str) -> Problem:
    bound = f"{_RANGE}, time zones up to 23:59" if unit == "time zone" else _RANGE
    return f"this {unit} does not exist", bound, ""


def _other_form(text: str, type_name: str, example: str) -> Problem:
    forms = [form for form in _COMMON_FORMATS if type_name == "date" and _is_read(text, form)]
    remedy = "a column has one format: convert the others first"
    if forms:
        remedy += f"; or, if the whole column is written like this, add format: {' or '.join(map(repr, forms))}"
    return f"not a {type_name} in ISO 8601", f"{type_name}s such as {example}", remedy


def _is_read(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007
    except ValueError:
        return False
    return True
