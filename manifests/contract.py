"""Contract: what the rows of a dataset must satisfy."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self
from unicodedata import is_normalized

from pydantic import Field, model_validator

from assay.manifests.base import Manifest, Name
from assay.manifests.column import FrozenColumn, is_number
from assay.manifests.drift_thresholds import DriftThresholds
from assay.manifests.leakage import LeakageCheck

Severity = Literal["error", "warn"]
"""`error`: rows that break the rule are not frozen. `warn`: they are, and the report says so."""

ColumnRule = Literal[
    "null_fraction", "minimum", "maximum", "allowed_values", "pattern", "min_length", "max_length", "unique"
]
"""The rules of a column that may be told to warn only, by the name of their field; `null_fraction` is
`max_null_fraction`."""

Fraction = Annotated[float, Field(ge=0, le=1)]


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


class RowCount(Manifest):
    """How many rows there must be."""

    minimum: int = Field(default=1, ge=1)
    """At least so many."""
    maximum: int | None = Field(default=None, ge=1)
    """At most so many; None: any number."""
    severity: Severity = "error"
    """Whether breaking it refuses the rows."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError(f"minimum {self.minimum} is over maximum {self.maximum}")
        return self


class ClassBalance(Manifest):
    """How often each class of the label must come."""

    min_rows: int = Field(default=0, ge=0)
    """Rows that each class has at least."""
    min_fraction: Fraction = 0.0
    """The part of the rows that each class has at least."""
    max_fraction: Fraction = 1.0
    """The part of the rows that each class has at most."""
    severity: Severity = "error"
    """Whether breaking it refuses the rows."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.min_fraction > self.max_fraction:
            raise ValueError(f"min_fraction {self.min_fraction:g} is over max_fraction {self.max_fraction:g}")
        return self


class Freshness(Manifest):
    """How old the newest row may be. Looked at when rows are checked: a frozen dataset is not made stale by it."""

    max_age_days: float = Field(gt=0)
    """Days from the latest value of the column of role timestamp to now."""
    severity: Severity = "error"
    """Whether breaking it refuses the rows."""


class UniqueTogether(Manifest):
    """Columns whose values together stand at most once. A row without a value in one of them repeats none."""

    columns: tuple[str, ...] = Field(min_length=2)
    """Their names."""
    severity: Severity = "error"
    """Whether breaking it refuses the rows."""


class DuplicateLimit(Manifest):
    """How many rows may repeat what an earlier row says. A null is equal to a null here."""

    max_fraction: Fraction = 0.0
    """The part of the rows that may."""
    severity: Severity = "warn"
    """Whether more of them refuse the rows."""


class Invariant(Manifest):
    """Something that holds for every row, across its columns."""

    name: Name
    """What reports call it."""
    sql: str = Field(min_length=1, max_length=10_000)
    """A condition in DuckDB's SQL over the columns of one row, such as `ends >= starts`. As in a CHECK of SQL, a row
    breaks it where it is false, or where it fails on a value, as a cast may; where it is null, as with a missing value,
    it does not. Names of columns are exact; one that is a word of SQL stands in double quotes. Timestamps are in UTC,
    without a zone. To divide by zero gives infinity and the root of a negative number NaN, which is above every number.
    Only plain functions of the row's own values may be called: no query, file, setting, clock or random number."""
    description: str = Field(default="", max_length=2000)
    """Why it holds, in words."""
    severity: Severity = "error"
    """Whether breaking it refuses the rows."""


class RowSample(Manifest):
    """Which of the rows are frozen: a stratified sample that the same rows in the same order and seed give again.

    All rows are checked against the contract, whether they are kept or not; the profile is of those that are kept.
    """

    rows: int = Field(ge=1)
    """How many rows are kept."""
    stratify: tuple[str, ...] = ()
    """Columns whose combinations of values keep their parts of the rows, to the row: each gets its part rounded down,
    and those with the largest remainders one more. Rows without a value are a stratum. Empty: a plain sample."""
    seed: int = Field(default=0, ge=0)
    """Which sample."""


Encoding = Literal["utf-8", "utf-16", "latin-1", "cp1252"]
"""How a text file may be encoded."""


class Contract(Manifest):
    """The columns a dataset has, what they are for, and what their rows must satisfy."""

    kind: Literal["Contract"]
    """Always `Contract`."""
    version: Literal[1]
    """The version of this manifest's form."""
    description: str = Field(default="", max_length=10_000)
    """What a row is, and where the rows come from, in words."""
    columns: tuple[Column, ...] = Field(min_length=1)
    """Every column of the source, in the order in which they are frozen."""
    encoding: Encoding = "utf-8"
    """How text files are encoded. They are frozen as UTF-8."""
    unicode: Literal["as_is", "nfc"] = "as_is"
    """Whether texts are brought to Unicode's composed form NFC, in which equal characters have equal bytes."""
    rows: RowCount = RowCount()
    """How many rows there must be."""
    class_balance: ClassBalance | None = None
    """How often each class must come; for a label with classes, or of whole numbers or bools, whose classes are the
    values that come at all."""
    freshness: Freshness | None = None
    """How old the newest row may be."""
    unique_together: tuple[UniqueTogether, ...] = ()
    """Columns whose values together stand at most once."""
    duplicates: DuplicateLimit = DuplicateLimit()
    """Rows whose features and label are those of an earlier row."""
    label_conflicts: DuplicateLimit = DuplicateLimit()
    """Rows whose features are those of an earlier row, and whose label is not that of the first such row."""
    invariants: tuple[Invariant, ...] = ()
    """What holds across the columns of every row."""
    sample: RowSample | None = None
    """Which of the rows are frozen; None: all."""
    drift: DriftThresholds = DriftThresholds()
    """How far columns may move from one version to the next."""
    leakage: LeakageCheck = LeakageCheck()
    """What `assay dataset leakage` calls a leak."""

    @model_validator(mode="after")
    def _has_its_roles(self) -> Self:
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"column names are unique; twice: {', '.join(twice)}")
        roles = [column.role for column in self.columns]
        bounds = (
            ("id", 0, 1), ("label", 1, 1), ("cluster", 0, 1), ("timestamp", 0, 1), ("weight", 0, 1), ("feature", 1, len(roles))
        )  # fmt: skip
        for role, least, most in bounds:
            if not least <= roles.count(role) <= most:
                raise ValueError(f"{roles.count(role)} columns of role {role}; from {least} to {most} are allowed")
        return self

    @model_validator(mode="after")
    def _has_texts_in_its_form(self) -> Self:
        for column in self.columns if self.unicode == "nfc" else ():
            for text in (*column.classes, *column.allowed_values):
                if isinstance(text, str) and not is_normalized("NFC", text):
                    raise ValueError(f"{text!r} of column '{column.name}' is not in NFC, so no text would equal it")
        return self

    @model_validator(mode="after")
    def _names_its_columns(self) -> Self:
        known = {column.name: column for column in self.columns if column.role != "ignored"}
        for field, named in (
            *((f"unique_together[{at}]", each.columns) for at, each in enumerate(self.unique_together)),
            ("sample.stratify", () if self.sample is None else self.sample.stratify),
        ):
            for name in named:
                if name not in known:
                    raise ValueError(f"{field} names '{name}', which is no column that is read")
                if known[name].shape:
                    raise ValueError(f"{field} names '{name}', which is a tensor")
                if named.count(name) > 1:
                    raise ValueError(f"{field} names '{name}' twice")
        label = next(column for column in self.columns if column.role == "label")
        if self.class_balance is not None and label.type.startswith("float"):
            raise ValueError("class_balance needs a label of classes, whole numbers or bools")
        if self.freshness is not None and "timestamp" not in (column.role for column in self.columns):
            raise ValueError("freshness needs a column of role timestamp")
        invariants = [invariant.name for invariant in self.invariants]
        if len(set(invariants)) < len(invariants):
            raise ValueError("names of invariants are unique")
        return self

    @property
    def frozen_columns(self) -> tuple[FrozenColumn, ...]:
        """The columns that are stored: all but the ignored."""
        return tuple(column.frozen for column in self.columns if column.role != "ignored")

    @property
    def read_columns(self) -> tuple[Column, ...]:
        """The same columns, with what the contract says of them."""
        return tuple(column for column in self.columns if column.role != "ignored")
