"""Leakage: what of a dataset was there to be learned before: its rows in training sets, its labels in its features."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from assay.manifests.base import Digest, Instant, Manifest, Reference

OverlapKind = Literal["exact", "normalised", "near", "ids", "time"]
"""How a row is found in a training set. `exact`: all its features are there. `normalised`: they are, but for the case,
white space and Unicode form of texts. `near`: a row much like it is there. `ids`: its id is there. `time`: it is not
newer than the training set, or older than the cut-off; or a row of the training set is not older than the cut-off."""

Fraction = Annotated[float, Field(ge=0, le=1)]

NUM_PAIRS = 5
"""How many of the rows that were found are named."""


class LeakageCheck(Manifest):
    """How alike is too alike, and which part of the rows may be found; null: it is told, and never called a leak."""

    exact: Fraction | None = 0.0
    """Rows whose features are in a training set."""
    normalised: Fraction | None = 0.0
    """Rows whose features are, once case, white space and Unicode form of texts are taken away."""
    near: Fraction | None = 0.001
    """Rows that much alike are in a training set: the search itself may be wrong about one in a thousand."""
    ids: Fraction | None = 0.0
    """Rows whose id is in a training set."""
    time: Fraction | None = None
    """Rows that are not newer than the training sets' newest. Null: with a random split that is all of them, and no
    harm. With a cut-off, no row may be on its wrong side, whatever stands here."""
    jaccard: float = Field(default=0.7, gt=0, le=1)
    """Texts are near from this part of all their runs of five characters on that they share: one changed word of ten
    or more."""
    distance: float = Field(default=0.05, gt=0, le=1)
    """Numbers are near up to this root mean square of the differences of columns, each in units of its spread."""
    single_feature: float | None = Field(default=0.95, gt=0, le=1)
    """A feature is a leak of the label from this part on of the mistakes of always saying the commonest label that it
    alone avoids. Null: it is told, and never called a leak."""


class TrainingSet(Manifest):
    """What was looked through."""

    name: str
    """A file's name, without its folder, or the `name@version` of a frozen dataset."""
    sha256: Digest
    """That of the file's bytes, or the digest of the frozen rows."""
    num_rows: int = Field(ge=0)
    """How many rows it has."""


class Pair(Manifest):
    """A row of the dataset, and the first like it in the training sets."""

    row: int = Field(ge=0)
    """The row's place in the dataset, from 0."""
    id: str | None
    """Its id, if rows have one."""
    place: str
    """Where the other stands: `train.csv:12`, or `train.parquet row 12`. Empty where no single row is meant."""
    value: float | None
    """How near they are, as `measure` of the overlap says."""


class Overlap(Manifest):
    """How many rows of the dataset were found in the training sets in one way."""

    kind: OverlapKind
    """In which way. A row counts as `normalised` or `near` only if it is found in no stricter way."""
    num_rows: int | None
    """How many were found. Null: nobody could look; `words` says why."""
    bound: Fraction | None
    """Which part of the rows may be found. Null: any."""
    measure: Literal["jaccard", "distance"] | None = None
    """What the values of pairs are: 1 is the same text, 0 are the same numbers."""
    pairs: tuple[Pair, ...]
    """The first that were found, in row order."""
    words: str
    """What was looked for, or why it could not be."""
    num_training_rows: int = Field(default=0, ge=0)
    """For `time` with a cut-off: rows of the training sets that are not older. No such row may be."""


class SingleFeature(Manifest):
    """How well one feature alone tells the label."""

    feature: str
    """The column."""
    how: Literal["value", "bins", "words"]
    """`value`: by the label that is commonest beside each value. `bins`: beside each of its quantiles. `words`: by
    which label stands in the text."""
    accuracy: Fraction
    """The part of rows whose label is told right, by what other rows say."""
    commonest: Fraction
    """The part that always saying the commonest label tells right."""

    @property
    def skill(self) -> float:
        """The part of the commonest label's mistakes that are avoided; 0 at most where there are none."""
        return 0.0 if self.commonest >= 1 else (self.accuracy - self.commonest) / (1 - self.commonest)


class Leakage(Manifest):
    """What a search for leaks in a frozen dataset has found."""

    kind: Literal["Leakage"] = "Leakage"
    """Always `Leakage`."""
    reference: Reference
    """The dataset."""
    rows_digest: Digest
    """Its rows."""
    num_rows: int = Field(ge=1)
    """How many they are."""
    found_at: Instant
    """When the search ended."""
    check: LeakageCheck
    """What is called a leak."""
    cutoff: Instant | None
    """The moment that parts training sets from the dataset. Null: none was given."""
    training: tuple[TrainingSet, ...] = Field(min_length=1)
    """What was looked through."""
    overlaps: tuple[Overlap, ...]
    """What was found there: one for each kind."""
    single_features: tuple[SingleFeature, ...]
    """The features that alone tell the label best, best first."""
    is_fine: bool
    """Whether nothing is over its bound."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.is_fine == bool(self.leaks):
            raise ValueError("is_fine says that there is no leak, and nothing else")
        return self

    @property
    def leaks(self) -> tuple[str, ...]:
        """Each thing that is over its bound, in words."""
        found = [self._told(overlap) for overlap in self.overlaps if self.is_over(overlap)]
        found += [
            f"feature '{each.feature}' alone tells the label of {each.accuracy:.1%} of rows "
            f"(the commonest label is right in {each.commonest:.1%})"
            for each in self.single_features
            if self.is_telling(each)
        ]
        return tuple(found)

    def is_over(self, overlap: Overlap) -> bool:
        """Whether more rows were found than may be."""
        if overlap.num_training_rows:
            return True
        if overlap.bound is None or overlap.num_rows is None:
            return False
        return overlap.num_rows > overlap.bound * self.num_rows

    def is_telling(self, each: SingleFeature) -> bool:
        """Whether a feature is a leak of the label."""
        return self.check.single_feature is not None and each.skill >= self.check.single_feature

    @property
    def words(self) -> str:
        """The finding in one line."""
        names = ", ".join(each.name for each in self.training[:3])
        more = f" and {len(self.training) - 3} more" * (len(self.training) > 3)
        within = f"against {names}{more}"
        return f"leakage {within}: {'; '.join(self.leaks)}" if self.leaks else f"no leakage found {within}"

    def _told(self, overlap: Overlap) -> str:
        if overlap.num_training_rows and not overlap.num_rows:
            return f"{overlap.num_training_rows:,} training rows are not older than the cut-off"
        assert overlap.num_rows is not None
        how = {
            "exact": "are in a training set",
            "normalised": "are in a training set but for case and white space",
            "near": "have a near duplicate in a training set",
            "ids": "have an id that is in a training set",
            "time": "are older than the cut-off" if self.cutoff else "are not newer than the training sets",
        }[overlap.kind]
        first = overlap.pairs[0] if overlap.pairs else None
        where = f" (the first: row {first.row}, {first.place})" if first is not None and first.place else ""
        return f"{overlap.num_rows:,} of {self.num_rows:,} rows {how}{where}"
