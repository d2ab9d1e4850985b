"""Leakage: rows of a dataset that are also in training sets, and features that reveal its labels."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Digest, Instant, Manifest, Reference

OverlapKind = Literal["exact", "normalised", "near", "ids", "time"]
"""How a row matches a training set. `exact`: a training row has the same features. `normalised`: the same features
after normalising case, white space and Unicode form of strings. `near`: similar features. `ids`: the same id. `time`:
the row is not newer than the newest training row or, given a cut-off, older than it; a training row that is not older
than the cut-off counts, too."""

Fraction = Annotated[float, Field(ge=0, le=1)]

NUM_PAIRS = 5
"""Number of matching rows that are listed."""


class LeakageCheck(Manifest):
    """What counts as a leak: how similar rows must be, and which fraction of the rows may match.

    Null: matches of this kind are reported but never count as a leak.
    """

    exact: Fraction | None = 0.0
    """Largest fraction of rows whose features equal those of a training row. Default: 0."""
    normalised: Fraction | None = 0.0
    """Largest fraction of rows whose features equal those of a training row after normalising case, white space and
    Unicode form of strings. Default: 0."""
    near: Fraction | None = 0.001
    """Largest fraction of rows for which a training set has a near duplicate, as `jaccard` and `distance` define it.
    Default: 0.001, which allows for a few false positives."""
    ids: Fraction | None = 0.0
    """Largest fraction of rows whose id is in a training set. Default: 0."""
    time: Fraction | None = None
    """Largest fraction of rows that are not newer than the newest training row. Null (default): no limit; after a random
    split nearly all rows are older than the newest training row, and that is harmless. If a cut-off is given to `assay dataset leakage`, no row may be on the wrong side of it, whatever this value is."""
    jaccard: float = Field(default=0.7, gt=0, le=1)
    """Smallest Jaccard similarity of the 5-character shingles of two texts at which they are near duplicates. Default:
    0.7: texts of which about one word in ten differs."""
    distance: float = Field(default=0.05, gt=0, le=1)
    """Largest root mean square difference at which two rows of numbers are near duplicates, with each column in units
    of its spread. Default: 0.05."""
    single_feature: float | None = Field(default=0.95, gt=0, le=1)
    """How well a single feature may predict the label. Example: always predicting the most frequent label is wrong in
    40 % of rows. With 0.95, a feature is a leak if predicting from it alone avoids 95 % of these errors, that is, if it
    is wrong in at most 2 % of rows. Default: 0.95. Null: features are reported but never count as a leak."""


class TrainingSet(Manifest):
    """A training set that was searched."""

    name: str
    """A file's name, without its folder, or the `name@version` of a frozen dataset."""
    sha256: Digest
    """The sha256 of the file, or the digest of the frozen rows."""
    num_rows: int = Field(ge=0)
    """Number of rows."""


class Pair(Manifest):
    """A row of the dataset and the first training row that it matches."""

    row: int = Field(ge=0)
    """Index of the row in the dataset, from 0."""
    id: str | None
    """Id of the row, if rows have ids."""
    place: str
    """Place of the training row: `train.csv:12` or `train.parquet row 12`. Empty: no single row matches."""
    value: float | None
    """How similar the two are, on the scale of the overlap's `measure`."""


class Overlap(Manifest):
    """How many rows of the dataset match the training sets in one way."""

    kind: OverlapKind
    """The kind of match. A row counts as `normalised` or `near` only if it does not match more strictly."""
    num_rows: int | None
    """Number of rows that match. Null: the search was not possible; `summary` says why."""
    bound: Fraction | None
    """Largest fraction of the rows that may match. Null: any."""
    measure: Literal["jaccard", "distance"] | None = None
    """Scale of the pairs' values. `jaccard`: 1 is the same text. `distance`: 0 means the same numbers."""
    pairs: tuple[Pair, ...]
    """The first few matches, in row order."""
    summary: str
    """What was searched for, or why the search was not possible."""
    num_training_rows: int = Field(default=0, ge=0)
    """For `time` with a cut-off: training rows that are not older than the cut-off. Any such row is a leak."""


class SingleFeature(Manifest):
    """How well one feature alone predicts the label."""

    feature: str
    """The feature's column."""
    target: Literal["label", "decile"] = "label"
    """What is predicted: the label, or the decile that it lies in if it is a number with more than 200 values."""
    how: Literal["value", "bins", "words"]
    """How the target is predicted. `value`: the most frequent target for each value. `bins`: the most frequent target
    in each percentile of the feature. `words`: the class whose name occurs in the text."""
    accuracy: Fraction
    """Fraction of rows whose target is predicted correctly; cross-validated for `value` and `bins`."""
    commonest: Fraction
    """Fraction of rows for which always predicting the most frequent target is correct."""

    @property
    def target_name(self) -> str:
        """What is predicted, in words."""
        return "label" if self.target == "label" else "label's decile"

    @property
    def skill(self) -> float:
        """The fraction of the errors of the most frequent target that are avoided; 0 where it makes no errors."""
        return 0.0 if self.commonest >= 1 else (self.accuracy - self.commonest) / (1 - self.commonest)


class Leakage(Manifest):
    """The result of searching a frozen dataset for leaks."""

    kind: Literal["Leakage"] = "Leakage"
    """Always `Leakage`."""
    reference: Reference
    """The dataset that was searched."""
    rows_digest: Digest
    """Digest of its rows."""
    num_rows: int = Field(ge=1)
    """Number of rows of the dataset."""
    found_at: Instant
    """When the search ended."""
    check: LeakageCheck
    """What counted as a leak."""
    cutoff: Instant | None
    """Training cut-off: training rows must be older, dataset rows must not be. Null: none was given."""
    training: tuple[TrainingSet, ...] = Field(min_length=1)
    """The training sets that were searched."""
    overlaps: tuple[Overlap, ...]
    """The matches, one entry for each kind."""
    single_features: tuple[SingleFeature, ...]
    """The features that alone predict the label best, best first."""
    is_fine: bool
    """Whether nothing counts as a leak."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.is_fine == bool(self.leaks):
            raise ValueError(
                f"is_fine is {self.is_fine}, but there are {len(self.leaks)} leaks; it must be true if there are none"
            )
        return self

    @property
    def leaks(self) -> tuple[str, ...]:
        """A description of each leak."""
        leaks = [self._description(overlap) for overlap in self.overlaps if self.is_over(overlap)]
        leaks += [
            f"feature '{each.feature}' alone predicts the {each.target_name} of {each.accuracy:.1%} of rows "
            f"(always predicting the most frequent {each.target}: {each.commonest:.1%})"
            for each in self.single_features
            if self.is_telling(each)
        ]
        return tuple(leaks)

    def is_over(self, overlap: Overlap) -> bool:
        """Whether more rows match than are allowed."""
        if overlap.num_training_rows:
            return True
        if overlap.bound is None or overlap.num_rows is None:
            return False
        return overlap.num_rows > overlap.bound * self.num_rows

    def is_telling(self, each: SingleFeature) -> bool:
        """Whether a feature leaks the label."""
        return self.check.single_feature is not None and each.skill >= self.check.single_feature

    @property
    def summary(self) -> str:
        """The finding in one line."""
        names = ", ".join(each.name for each in self.training[:3])
        more = f" and {len(self.training) - 3} more" * (len(self.training) > 3)
        within = f"against {names}{more}"
        return f"leakage {within}: {'; '.join(self.leaks)}" if self.leaks else f"no leakage found {within}"

    def _description(self, overlap: Overlap) -> str:
        if overlap.num_training_rows and not overlap.num_rows:
            return f"{overlap.num_training_rows:,} training rows are not older than the cut-off"
        assert overlap.num_rows is not None
        how = {
            "exact": "have the same features as a training row",
            "normalised": "have the same features as a training row up to case and white space",
            "near": "have a near duplicate in a training set",
            "ids": "have an id that is in a training set",
            "time": "are older than the cut-off" if self.cutoff else "are not newer than the training sets",
        }[overlap.kind]
        if overlap.kind == "exact" and any(each.kind == "ids" and each.num_rows == 0 for each in self.overlaps):
            how += ", but no row has the id of a training row"
        first = overlap.pairs[0] if overlap.pairs else None
        where = f" (the first: row {first.row}, {first.place})" if first is not None and first.place else ""
        return f"{overlap.num_rows:,} of {self.num_rows:,} rows {how}{where}"
