"""Contract: what the rows of a dataset must satisfy."""

from typing import Literal, Self
from unicodedata import is_normalized

from pydantic import Field, model_validator

from assay.manifests.base import Fraction, Manifest, Name
from assay.manifests.column import FrozenColumn
from assay.manifests.contract_column import Column
from assay.manifests.drift_thresholds import DriftThresholds
from assay.manifests.leakage import LeakageCheck

Severity = Literal["error", "warn"]
"""`error`: rows that break the rule are not frozen. `warn`: they are, and the report says so."""


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
