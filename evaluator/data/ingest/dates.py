"""Dates and timestamps: texts, and Arrow's own, as days and as microseconds of UTC, losing nothing.

Texts are in ISO 8601, or in the one form that the contract's `format` gives. Where all are well, they are read by one
vectorised cast; where not, text by text: that code has the last word on what is accepted, and names the offenders.
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
"""What is wrong with a text, what would be accepted, and what to do."""


def is_moment(type_name: str) -> bool:
    """Whether values of a type are dates or timestamps."""
    return type_name in ("date", "timestamp")


def from_texts(texts: pa.Array, *, type_name: str, form: str) -> Converted:
    """Converts texts; null stays null.

    Args:
        texts: The texts, a string array of shape (rows,).
        type_name: `date` or `timestamp`.
        form: How they are written, in `strptime`'s words; empty: ISO 8601.
    """
    array = None if form else _quick(texts, type_name)
    if array is not None:
        return Converted(array)
    # Every different text once: dates repeat, and reading one takes microseconds.
    encoded: AnyArray = texts.dictionary_encode()
    read = _reader(type_name, form)
    numbers: list[int] = []
    problems: dict[int, tuple[str, Problem]] = {}
    for at, text in enumerate(encoded.dictionary.to_pylist()):
        found = read(text)
        if not isinstance(found, int):
            problems[at] = text, found
        numbers.append(found if isinstance(found, int) else 0)
    refusals: list[Refusal] = []
    if problems:
        is_bad = pc.is_in(encoded.indices, value_set=pa.array(list(problems), encoded.indices.type))
        for row in np.flatnonzero(is_bad.to_numpy(zero_copy_only=False)):
            text, (problem, bound, remedy) = problems[encoded.indices[int(row)].as_py()]
            refusals.append(Refusal(int(row), problem, text, bound, remedy))
    return Converted(_typed(np.array(numbers, np.int64), type_name).take(encoded.indices), tuple(refusals))


def filled(array: AnyArray, rows: list[int]) -> pa.Array:
    """The array with the first day or moment of 1970 in some rows."""
    is_there = np.zeros(len(array), np.bool_)
    is_there[rows] = True
    numbers = array.cast(pa.int32() if pa.types.is_date(array.type) else pa.int64())
    return pc.if_else(pa.array(is_there), pa.scalar(0, numbers.type), numbers).cast(array.type)


def acceptable(actual: AnyType, *, type_name: str) -> bool:
    """Whether some values of an Arrow type can become dates or timestamps without loss.

    A timestamp without a zone can be either: a day at midnight, or a time that the contract says is of UTC. One with a
    zone is no date, since it is another day elsewhere.
    """
    if type_name == "timestamp":
        return pa.types.is_timestamp(actual)
    return pa.types.is_date(actual) or (pa.types.is_timestamp(actual) and actual.tz is None)


def from_arrow(array: AnyArray, *, type_name: str) -> Converted:
    """Converts dates and timestamps of any unit; a time without a zone is taken for UTC's. Null stays null."""
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
            f"past the range of {type_name}" if is_beyond[row] else f"does not fit {type_name}",
            str(np.datetime64(int(given[row]), unit)),
            _RANGE if is_beyond[row] else finest,
        )
        for row in np.flatnonzero(is_bad)
    )
    return Converted(_typed(np.where(is_bad, 0, numbers) * multiplier, type_name, is_null=is_null), refusals)


def _steps(unit: str, type_name: str) -> tuple[int, int]:
    """By what a number of an Arrow unit is multiplied, and by what divided, to be one of the frozen type."""
    if type_name == "date":
        return 1, 1 if unit == "D" else 86_400 * _PER_SECOND[unit]
    per_second = _PER_SECOND[unit]
    return max(1, 10**6 // per_second), max(1, per_second // 10**6)


def _typed(numbers: np.ndarray, type_name: str, *, is_null: np.ndarray | None = None) -> pa.Array:
    if type_name == "date":
        return pa.array(numbers.astype(np.int32), mask=is_null).cast(pa.date32())
    return pa.array(numbers, mask=is_null).cast(SCALARS["timestamp"])


def _quick(texts: AnyArray, type_name: str) -> pa.Array | None:
    """All texts by one cast, or None if any of them needs a closer look."""
    if type_name == "timestamp" and pc.all(pc.match_substring_regex(texts, _RE2_TIMESTAMP)).as_py() is False:
        return None
    try:
        array = texts.cast(SCALARS[type_name])
    except pa.ArrowInvalid:
        return None
    # The cast of dates reads one form only; but both know a year 0, and zones lead out of the years.
    least, most = (_DAYS, pa.int32()) if type_name == "date" else (_MICROSECONDS, pa.int64())
    found = pc.min_max(array.cast(most))
    low, high = found["min"].as_py(), found["max"].as_py()
    return array if low is None or (least[0] <= low and high <= least[1]) else None


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
        return _no_such("day")


def _iso_timestamp(text: str) -> int | Problem:
    match = _ISO_TIMESTAMP.fullmatch(text)
    if match is None:
        if _ISO_WITHOUT_ZONE.fullmatch(text):
            return (
                "a timestamp without a zone",
                "timestamps as 2026-11-21T10:15:00Z or 2026-11-21T11:15:00+01:00",
                "write the zone; if all of them are of UTC, say so with a format in the contract: '%Y-%m-%dT%H:%M:%S'",
            )
        return _other_form(text, "timestamp", "2026-11-21T10:15:00Z")
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    try:
        east = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
        if int(zone_minutes or 0) > 59:
            return _no_such("zone")
        zone = timezone(-east if sign == "-" else east)
        clock = (int(hour), int(minute), int(second or 0), int((fraction or "").ljust(6, "0")))
        return _microseconds(datetime(int(year), int(month), int(day), *clock, tzinfo=zone))
    except ValueError:
        return _no_such("time")


def _by_format(text: str, type_name: str, form: str) -> int | Problem:
    bound = f"dates in the form '{form}', as the contract says"
    # strptime reads the digits of every script.
    if any(character.isdigit() and not character.isascii() for character in text):
        return f"not a {type_name} in the column's form", bound, ""
    try:
        found = datetime.strptime(text, form)  # noqa: DTZ007 - without a zone it is UTC's, as the contract documents
    except ValueError:
        return f"not a {type_name} in the column's form", bound, "a column has one form: convert the others before"
    if type_name == "timestamp":
        return _microseconds(found if found.tzinfo else found.replace(tzinfo=UTC))
    if found.time() != datetime.min.time():
        return "a date with a time of day", bound, "a column of type timestamp keeps it"
    return found.toordinal() - _EPOCH.toordinal()


def _microseconds(moment: datetime) -> int | Problem:
    number = (moment - _EPOCH) // _MICROSECOND
    return number if _MICROSECONDS[0] <= number <= _MICROSECONDS[1] else _no_such("time")


def _no_such(what: str) -> Problem:
    return f"there is no such {what}", f"{_RANGE}, zones up to 23:59" if what == "zone" else _RANGE, ""


def _other_form(text: str, type_name: str, example: str) -> Problem:
    forms = [form for form in _COMMON_FORMATS if type_name == "date" and _is_read(text, form)]
    remedy = "a column has one form: convert the others before"
    if forms:
        remedy += f"; or if all are written so, the contract says format: {' or '.join(map(repr, forms))}"
    return f"not a {type_name} in ISO 8601", f"{type_name}s as {example}", remedy


def _is_read(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007
    except ValueError:
        return False
    return True
