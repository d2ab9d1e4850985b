"""Contract: the columns of a dataset and the rules that its rows must satisfy."""

from typing import ClassVar, Literal, Self
from unicodedata import is_normalized

from pydantic import Field, model_validator

from assay.manifests.base import Fraction, Manifest, Name
from assay.manifests.column import FrozenColumn
from assay.manifests.contract_column import Column
from assay.manifests.drift_thresholds import DriftThresholds
from assay.manifests.leakage import LeakageCheck

Severity = Literal["error", "warn"]
"""`error`: rows that violate the rule cannot be frozen. `warn`: they can, and the report lists them."""


class RowCount(Manifest):
    """Limits on the number of rows."""

    minimum: int = Field(default=1, ge=1)
    """Smallest number of rows allowed. Default: 1."""
    maximum: int | None = Field(default=None, ge=1)
    """Largest number of rows allowed. Null (default): no limit."""
    severity: Severity = "error"
    """`error` (default): a violation prevents freezing. `warn`: it is only reported."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError(f"minimum {self.minimum} is greater than maximum {self.maximum}")
        return self


class ClassBalance(Manifest):
    """Limits on how often each class of the label occurs."""

    min_rows: int = Field(default=0, ge=0)
    """Smallest number of rows of any class. Default: 0."""
    min_fraction: Fraction = 0.0
    """Smallest fraction of the rows that any class may have. Default: 0."""
    max_fraction: Fraction = 1.0
    """Largest fraction of the rows that any class may have. Default: 1."""
    severity: Severity = "error"
    """`error` (default): a violation prevents freezing. `warn`: it is only reported."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.min_fraction > self.max_fraction:
            raise ValueError(f"min_fraction {self.min_fraction:g} is greater than max_fraction {self.max_fraction:g}")
        return self


class Freshness(Manifest):
    """Limit on the age of the newest row. Evaluated when rows are checked; a frozen dataset does not expire."""

    max_age_days: float = Field(gt=0)
    """Largest age of the newest row in days: from the latest value of the column of role timestamp to now."""
    severity: Severity = "error"
    """`error` (default): a violation prevents freezing. `warn`: it is only reported."""


class UniqueTogether(Manifest):
    """Columns whose combination of values must be unique. Rows with a missing value in any of them are not compared."""

    columns: tuple[str, ...] = Field(min_length=2)
    """Names of at least two columns."""
    severity: Severity = "error"
    """`error` (default): a violation prevents freezing. `warn`: it is only reported."""


class DuplicateLimit(Manifest):
    """Limit on rows that repeat an earlier row. Two missing values count as equal here."""

    OFF: ClassVar[str] = "{max_fraction: 1}"
    """The limit that any rows keep."""

    max_fraction: Fraction = 0.0
    """Largest fraction of the rows that may repeat an earlier row. Default: 0. 1 permits any number, which switches the
    rule off."""
    severity: Severity = "warn"
    """`error`: a violation prevents freezing. `warn` (default): it is only reported."""


class Invariant(Manifest):
    """A condition on the columns of a row that every row must satisfy."""

    name: Name
    """The rule's name in reports; unique within the contract."""
    sql: str = Field(min_length=1, max_length=10_000)
    """A condition in DuckDB's SQL dialect on the columns of one row, such as `ends >= starts`. A row violates it if it
    is false, or if it fails to evaluate, as a cast can. As in an SQL CHECK constraint, a row for which it is null, such
    as one with a missing value, passes. Column names are case-sensitive; quote a name that is an SQL keyword in double
    quotes. Timestamps are in UTC and have no time zone. Division by zero with `/` gives infinity; the square root of a
    negative number is NaN, which compares greater than every number. Only a fixed list of functions of the row's own
    values is allowed: no queries, files, settings, clock or random numbers."""
    description: str = Field(default="", max_length=2000)
    """Why the condition must hold, as text."""
    severity: Severity = "error"
    """`error` (default): a violation prevents freezing. `warn`: it is only reported."""


class RowSample(Manifest):
    """Freezes a random sample of the rows, optionally stratified.

    The same rows in the same order with the same seed give the same sample. All rows are checked against the contract,
    sampled or not; the dataset's profile describes the sampled rows only.
    """

    rows: int = Field(ge=1)
    """Number of rows in the sample. The source must have at least as many."""
    stratify: tuple[str, ...] = ()
    """Columns whose combinations of values define the strata. Each stratum keeps its share of the rows: rounded down,
    plus one row for the strata with the largest remainders. Missing values form a stratum. Empty (default): no
    strata."""
    seed: int = Field(default=0, ge=0)
    """Random seed of the sample. Default: 0."""


Encoding = Literal["utf-8", "utf-16", "latin-1", "cp1252"]
"""Character encodings of text files that can be read."""


class Contract(Manifest):
    """The columns of a dataset, what they are for, and the rules that its rows must satisfy."""

    kind: Literal["Contract"]
    """Always `Contract`."""
    version: Literal[1]
    """The version of this schema: always 1."""
    description: str = Field(default="", max_length=10_000)
    """What a row represents and where the rows come from, as text."""
    columns: tuple[Column, ...] = Field(min_length=1)
    """Every column of the source files, in the order in which they are stored."""
    encoding: Encoding = "utf-8"
    """Character encoding of text files. Default: `utf-8`. Rows are stored as UTF-8."""
    unicode: Literal["as_is", "nfc"] = "as_is"
    """`nfc`: normalise strings to Unicode NFC, so that equal characters have equal bytes. `as_is` (default): keep
    them."""
    rows: RowCount = RowCount()
    """Limits on the number of rows. Default: at least 1."""
    class_balance: ClassBalance | None = None
    """Limits on how often each class occurs, for a label of type string, integer or bool. The classes of an integer or
    bool label are the values that occur. Null (default): no limits."""
    freshness: Freshness | None = None
    """Limit on the age of the newest row. Null (default): no limit."""
    unique_together: tuple[UniqueTogether, ...] = ()
    """Combinations of columns whose values must be unique. Default: none."""
    duplicates: DuplicateLimit = DuplicateLimit()
    """Limit on rows whose features and label equal those of an earlier row. Default: any such row warns."""
    label_conflicts: DuplicateLimit = DuplicateLimit()
    """Limit on rows whose features equal those of an earlier row but whose label differs from that of the first row with
    these features. Default: any such row warns."""
    invariants: tuple[Invariant, ...] = ()
    """Conditions across the columns of a row that every row must satisfy. Default: none."""
    sample: RowSample | None = None
    """Freeze only a random sample of the rows. Null (default): freeze all."""
    drift: DriftThresholds = DriftThresholds()
    """How much the values of a column may change from one version to the next before it counts as drift."""
    leakage: LeakageCheck = LeakageCheck()
    """What counts as a leak in `assay dataset leakage`."""

    @model_validator(mode="after")
    def _has_its_roles(self) -> Self:
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"column names must be unique; given more than once: {', '.join(twice)}")
        roles = [column.role for column in self.columns]
        bounds = (
            ("id", 0, 1), ("label", 1, 1), ("cluster", 0, 1), ("timestamp", 0, 1), ("weight", 0, 1), ("feature", 1, len(roles))
        )  # fmt: skip
        for role, least, most in bounds:
            if not least <= roles.count(role) <= most:
                raise ValueError(f"{roles.count(role)} columns have the role {role}; allowed: {least} to {most}")
        return self

    @model_validator(mode="after")
    def _has_texts_in_its_form(self) -> Self:
        for column in self.columns if self.unicode == "nfc" else ():
            for text in (*column.classes, *column.allowed_values):
                if isinstance(text, str) and not is_normalized("NFC", text):
                    raise ValueError(f"{text!r} of column '{column.name}' is not in NFC, so no value could equal it")
        return self

    @model_validator(mode="after")
    def _names_its_columns(self) -> Self:
        read = {column.name: column for column in self.columns if column.role != "ignored"}
        for field, named in (
            *((f"unique_together[{at}]", each.columns) for at, each in enumerate(self.unique_together)),
            ("sample.stratify", () if self.sample is None else self.sample.stratify),
        ):
            for name in named:
                if name not in read:
                    raise ValueError(
                        f"{field} names '{name}', which is not a column of the contract, or has the role ignored"
                    )
                if read[name].shape:
                    raise ValueError(f"{field} names '{name}', which is a tensor")
                if named.count(name) > 1:
                    raise ValueError(f"{field} names '{name}' twice")
        label = next(column for column in self.columns if column.role == "label")
        if self.class_balance is not None and label.type.startswith("float"):
            raise ValueError("class_balance needs a label of type string, integer or bool")
        if self.freshness is not None and "timestamp" not in (column.role for column in self.columns):
            raise ValueError("freshness needs a column of role timestamp")
        invariants = [invariant.name for invariant in self.invariants]
        if len(set(invariants)) < len(invariants):
            raise ValueError("the names of invariants must be unique")
        return self

    @property
    def frozen_columns(self) -> tuple[FrozenColumn, ...]:
        """The columns that are stored: all except those of role ignored."""
        return tuple(column.frozen for column in self.columns if column.role != "ignored")

    @property
    def read_columns(self) -> tuple[Column, ...]:
        """The same columns with the contract's rules for them."""
        return tuple(column for column in self.columns if column.role != "ignored")
