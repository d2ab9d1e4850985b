"""A column of a contract: what it is frozen as, what it means, and what its values must be."""

from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Fraction
from assay.manifests.column import FrozenColumn, is_number
from assay.manifests.drift_thresholds import DriftThresholds

ColumnRule = Literal[
    "null_fraction", "minimum", "maximum", "allowed_values", "pattern", "min_length", "max_length", "unique"
]
"""The rules of a column that may be told to warn only, by the name of their field; `null_fraction` is
`max_null_fraction`."""


class Column(FrozenColumn):
    """One column of a contract: what it is frozen as, what it means, and what its values must be."""

    description: str = Field(default="", max_length=2000)
    """What the column means, in words."""
    unit: str = Field(default="", max_length=100)
    """The unit of its numbers, such as `s`, `mmHg` or `EUR`."""
    format: str = Field(default="", max_length=100)
    """How text files write a date or timestamp, in `strptime`'s words, such as `%d.%m.%Y`; empty: ISO 8601, and a
    timestamp has a zone, `Z` or an offset. A timestamp's format without `%z` says that times without a zone, in text as
    in Arrow files, are of UTC."""
    null_values: tuple[str, ...] = ()
    """What csv and tsv write in this column where it has no value, besides nothing: such as `NA`. Needs `nullable`."""
    max_null_fraction: Fraction | None = None
    """How many of the rows may have no value. Needs `nullable`."""
    minimum: float | None = None
    """The least number allowed; of a tensor, for each of its elements."""
    maximum: float | None = None
    """The greatest number allowed; of a tensor, for each of its elements."""
    allowed_values: tuple[str | int | bool, ...] = ()
    """The only values there may be: whole numbers, texts or bools, as the column's type is; empty: any."""
    pattern: str | None = None
    """A regular expression that the whole of each text matches, in RE2's words: no lookaround, no back references."""
    min_length: int | None = Field(default=None, ge=0)
    """The least length of a text, in characters (Unicode code points)."""
    max_length: int | None = Field(default=None, ge=0)
    """The greatest length of a text, in characters (Unicode code points)."""
    unique: bool = False
    """Whether no value may stand twice; rows without one do not count. An id is unique without being told so."""
    warn: tuple[ColumnRule, ...] = ()
    """Which of this column's rules only warn."""
    drift: DriftThresholds | None = None
    """How far this column may move between versions; None: as far as the contract's `drift` says."""

    @model_validator(mode="after")
    def _has_rules_that_fit(self) -> Self:
        is_text, is_numeric = self.type == "string", is_number(self.type)
        plain = not self.shape
        for field, given, fits, needs in (
            ("minimum", self.minimum is not None, is_numeric, "a column of numbers"),
            ("maximum", self.maximum is not None, is_numeric, "a column of numbers"),
            ("pattern", self.pattern is not None, is_text, "a column of type string"),
            ("min_length", self.min_length is not None, is_text, "a column of type string"),
            ("max_length", self.max_length is not None, is_text, "a column of type string"),
            (
                "allowed_values",
                bool(self.allowed_values),
                plain and (is_text or self.type == "bool" or self.type.startswith(("int", "uint"))),
                "whole numbers, texts or bools",
            ),
            ("unique", self.unique, plain, "a plain column"),
            ("format", bool(self.format), self.type in ("date", "timestamp"), "a column of type date or timestamp"),
            ("null_values", bool(self.null_values), self.nullable, "nullable: true"),
            ("max_null_fraction", self.max_null_fraction is not None, self.nullable, "nullable: true"),
        ):
            if given and not fits:
                raise ValueError(f"{field} needs {needs}")
        for least, most in (("minimum", "maximum"), ("min_length", "max_length")):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                raise ValueError(f"{least} {low} is over {most} {high}")
        if len(set(self.warn)) < len(self.warn):
            raise ValueError("warn names each rule once")
        for rule in self.warn:
            field = "max_null_fraction" if rule == "null_fraction" else rule
            given = getattr(self, field)
            if given is None or given is False or given == ():
                raise ValueError(f"warn names {rule}, but the column has no {field}")
        if self.role == "id" and "unique" in self.warn:
            raise ValueError("an id is unique: that cannot only warn")
        kind = {"string": str, "bool": bool}.get(self.type, int)
        wrong = [value for value in self.allowed_values if type(value) is not kind]
        if wrong:
            raise ValueError(f"allowed_values of a column of type {self.type} holds {wrong[0]!r}")
        if self.role == "ignored" and not self._is_bare:
            raise ValueError("an ignored column is not read, so it has no rules; role: info is read and checked")
        return self

    @model_validator(mode="after")
    def _has_a_format_that_loses_nothing(self) -> Self:
        if self.format:
            _require_format(self.format, is_date=self.type == "date")
        return self

    @property
    def is_utc_without_zone(self) -> bool:
        """Whether the contract says that timestamps without a zone are of UTC."""
        return bool(self.format) and "%z" not in self.format

    @property
    def _is_bare(self) -> bool:
        """Whether nothing is said of it but its name, type and meaning."""
        bare = Column.model_construct(name=self.name, role=self.role, type=self.type)
        return self.model_copy(update={"description": "", "unit": ""}) == bare

    @property
    def frozen(self) -> FrozenColumn:
        """The column as shards and variants know it, without rules and words."""
        return FrozenColumn.model_validate({name: getattr(self, name) for name in FrozenColumn.model_fields})


_SOME_TIME = datetime(2026, 11, 21, 13, 45, 51, 123456, tzinfo=UTC)


def _require_format(form: str, *, is_date: bool) -> None:
    """Refuses a format in which a day, or an hour that is given, cannot be told from another."""
    if any(word in form for word in ("%Z", "%c", "%x", "%X")):
        raise ValueError("format may not hold %Z, %c, %x or %X: what they read differs between machines")
    given = datetime(2026, 11, 21) if is_date else _SOME_TIME  # noqa: DTZ001 - a date has no zone
    try:
        found = datetime.strptime(given.strftime(form), form)  # noqa: DTZ007 - it may be a date's
    except ValueError as error:
        raise ValueError(f"format '{form}' cannot be read: {error}") from None
    found = found.replace(tzinfo=given.tzinfo) if found.tzinfo is None else found
    to_second = given.replace(microsecond=0)
    to_minute = to_second.replace(second=0)
    if found not in (given, to_second, to_minute, to_minute.replace(minute=0), to_minute.replace(minute=0, hour=0)):
        raise ValueError(f"format '{form}' must give year, month and day, and %I needs %p: it reads {given} as {found}")
