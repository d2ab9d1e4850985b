"""A column of a contract: how it is stored, what it means, and the rules for its values."""

from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Fraction
from assay.manifests.column import FrozenColumn, is_number
from assay.manifests.drift_thresholds import DriftThresholds

ColumnRule = Literal[
    "null_fraction", "minimum", "maximum", "allowed_values", "pattern", "min_length", "max_length", "unique"
]
"""The rules of a column that can be listed in `warn`, by the name of their field; `null_fraction` stands for
`max_null_fraction`."""


class Column(FrozenColumn):
    """One column of a contract: how it is stored, what it means, and the rules for its values."""

    description: str = Field(default="", max_length=2000)
    """What the column means, as text."""
    unit: str = Field(default="", max_length=100)
    """The unit of its numbers, such as `s`, `mmHg` or `EUR`; documentation only, values are never converted."""
    format: str = Field(default="", max_length=100)
    """How text files write a date or timestamp, as a `strptime` format such as `%d.%m.%Y`. Empty (default): ISO 8601,
    where a timestamp needs a time zone, `Z` or an offset. For a timestamp, a format without `%z` declares that times
    without a time zone are in UTC, in text files and in Arrow files."""
    null_values: tuple[str, ...] = ()
    """Strings that mean "missing" in csv and tsv files, such as `NA`, in addition to an empty field. Needs
    `nullable`."""
    max_null_fraction: Fraction | None = None
    """Largest fraction of the rows that may have no value. Needs `nullable`. Null (default): no limit."""
    minimum: float | None = None
    """Smallest number allowed, for a tensor in every element. Null (default): no limit."""
    maximum: float | None = None
    """Largest number allowed, for a tensor in every element. Null (default): no limit."""
    allowed_values: tuple[str | int | bool, ...] = ()
    """The values allowed: integers, strings or bools, as the column's type demands. Empty (default): any value."""
    pattern: str | None = None
    """A regular expression that must match each whole string. RE2 syntax: no lookaround, no back-references."""
    min_length: int | None = Field(default=None, ge=0)
    """Smallest length of a string, in Unicode code points. Null (default): no limit."""
    max_length: int | None = Field(default=None, ge=0)
    """Largest length of a string, in Unicode code points. Null (default): no limit."""
    unique: bool = False
    """Whether values must be unique; missing values do not count. Default: false. A column of role id is always
    unique."""
    warn: tuple[ColumnRule, ...] = ()
    """Rules of this column whose violation is only reported and does not prevent freezing. Default: none."""
    drift: DriftThresholds | None = None
    """Drift thresholds of this column. Null (default): those of the contract's `drift`."""

    @model_validator(mode="after")
    def _has_rules_that_fit(self) -> Self:
        is_text, is_numeric = self.type == "string", is_number(self.type)
        is_scalar = not self.shape
        for field, is_given, fits, needs in (
            ("minimum", self.minimum is not None, is_numeric, "a column of numbers"),
            ("maximum", self.maximum is not None, is_numeric, "a column of numbers"),
            ("pattern", self.pattern is not None, is_text, "a column of type string"),
            ("min_length", self.min_length is not None, is_text, "a column of type string"),
            ("max_length", self.max_length is not None, is_text, "a column of type string"),
            (
                "allowed_values",
                bool(self.allowed_values),
                is_scalar and (is_text or self.type == "bool" or self.type.startswith(("int", "uint"))),
                "a scalar column of type string, integer or bool",
            ),
            ("unique", self.unique, is_scalar, "a scalar column"),
            ("format", bool(self.format), self.type in ("date", "timestamp"), "a column of type date or timestamp"),
            ("null_values", bool(self.null_values), self.nullable, "nullable: true"),
            ("max_null_fraction", self.max_null_fraction is not None, self.nullable, "nullable: true"),
        ):
            if is_given and not fits:
                raise ValueError(f"{field} needs {needs}")
        for least, most in (("minimum", "maximum"), ("min_length", "max_length")):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                raise ValueError(f"{least} {low} is greater than {most} {high}")
        if len(set(self.warn)) < len(self.warn):
            raise ValueError("warn must not repeat a rule")
        for rule in self.warn:
            field = "max_null_fraction" if rule == "null_fraction" else rule
            value = getattr(self, field)
            if value is None or value is False or value == ():
                raise ValueError(f"warn names {rule}, but the column has no {field}")
        if self.role == "id" and "unique" in self.warn:
            raise ValueError("an id must be unique; remove unique from warn")
        kind = {"string": str, "bool": bool}.get(self.type, int)
        wrong = [value for value in self.allowed_values if type(value) is not kind]
        if wrong:
            raise ValueError(f"allowed_values contains {wrong[0]!r}, but the column is of type {self.type}")
        if self.role == "ignored" and not self._is_bare:
            raise ValueError(
                "a column of role ignored is not read, so it cannot have rules; use role info to have it checked"
            )
        return self

    @model_validator(mode="after")
    def _has_a_format_that_loses_nothing(self) -> Self:
        if self.format:
            _require_format(self.format, is_date=self.type == "date")
        return self

    @property
    def is_utc_without_zone(self) -> bool:
        """Whether the contract declares that timestamps without a time zone are in UTC."""
        return bool(self.format) and "%z" not in self.format

    @property
    def _is_bare(self) -> bool:
        """Whether only its name, role, type, description and unit are given."""
        bare = Column.model_construct(name=self.name, role=self.role, type=self.type)
        return self.model_copy(update={"description": "", "unit": ""}) == bare

    @property
    def frozen(self) -> FrozenColumn:
        """The column as shards store it and variants receive it: without rules and descriptions."""
        return FrozenColumn.model_validate({name: getattr(self, name) for name in FrozenColumn.model_fields})


_SOME_TIME = datetime(2026, 11, 21, 13, 45, 51, 123456, tzinfo=UTC)


def _require_format(form: str, *, is_date: bool) -> None:
    """Raises ValueError for a format that cannot tell two days, or two hours that it includes, apart."""
    if any(directive in form for directive in ("%Z", "%c", "%x", "%X")):
        raise ValueError("format must not contain %Z, %c, %x or %X: what they match differs between machines")
    written = datetime(2026, 11, 21) if is_date else _SOME_TIME  # noqa: DTZ001 - a date has no zone
    try:
        read = datetime.strptime(written.strftime(form), form)  # noqa: DTZ007 - it may be a date's
    except ValueError as error:
        raise ValueError(f"format '{form}' is not valid: {error}") from None
    read = read.replace(tzinfo=written.tzinfo) if read.tzinfo is None else read
    to_second = written.replace(microsecond=0)
    to_minute = to_second.replace(second=0)
    if read not in (written, to_second, to_minute, to_minute.replace(minute=0), to_minute.replace(minute=0, hour=0)):
        raise ValueError(
            f"format '{form}' must include year, month and day, and %I needs %p: it reads {written} as {read}"
        )
