"""Metric: how scores are made, and which direction is better."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, cast, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from assay.manifests.base import Digest, Manifest

RowMeasure = Literal[
    "correct",
    "top_k_accuracy",
    "log_loss",
    "brier",
    "value_per_row",
    "absolute_error",
    "squared_error",
    "absolute_percentage_error",
    "quantile_loss",
    "custom",
]
CorpusMeasure = Literal[
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "macro_f1",
    "matthews",
    "auroc",
    "average_precision",
    "calibration_error",
    "rmse",
    "mae",
    "r2",
]
QueryMeasure = Literal["ndcg", "mrr", "hit_rate"]
Direction = Literal["higher", "lower"]

_LOWER_IS_BETTER = frozenset(
    {
        "log_loss",
        "brier",
        "absolute_error",
        "squared_error",
        "absolute_percentage_error",
        "quantile_loss",
        "calibration_error",
        "rmse",
        "mae",
    }
)
_OF_EITHER_DIRECTION = frozenset({"value_per_row", "custom"})
_OF_PROBABILITIES = frozenset({"auroc", "average_precision", "calibration_error"})
_OF_TWO_CLASSES = frozenset({"precision", "recall", "f1"})
_NEEDS_PROBABILITIES = _OF_PROBABILITIES | {"log_loss", "brier", "top_k_accuracy"}
_OF_QUERIES = frozenset(get_args(QueryMeasure))
_NEEDS_VALUES = _OF_QUERIES | {
    "absolute_error",
    "squared_error",
    "absolute_percentage_error",
    "quantile_loss",
    "rmse",
    "mae",
    "r2",
}
_NEEDED_BY = {
    "k": ("top_k_accuracy", "ndcg", "hit_rate"),
    "quantile": ("quantile_loss",),
    "values": ("value_per_row",),
    "scorer": ("custom",),
}
"""Parameters, and the measures that cannot do without: all that take them."""
_AT_A_THRESHOLD = ("accuracy", "precision", "recall", "f1", "balanced_accuracy", "matthews", "value_per_row")


def _named_by_text(given: Any) -> Any:
    """YAML reads the classes 0 and 1 as numbers; JSON names everything by text."""
    if not isinstance(given, Mapping):
        return given
    named = cast("Mapping[Any, Any]", given)
    return {(str(name) if type(name) is int else name): _named_by_text(value) for name, value in named.items()}


def _frozen(given: Mapping[str, Mapping[str, float]]) -> Mapping[str, Mapping[str, float]]:
    return MappingProxyType({label: MappingProxyType(dict(row)) for label, row in given.items()})


def _plain(given: Mapping[str, Mapping[str, float]] | None) -> dict[str, dict[str, float]] | None:
    return None if given is None else {label: dict(row) for label, row in given.items()}


Values = Annotated[Mapping[str, Mapping[str, float]], BeforeValidator(_named_by_text), AfterValidator(_frozen)]


class OperatingPoint(Manifest):
    """Where a threshold lies, said by what it does to the control."""

    false_positive_rate: float = Field(ge=0, lt=1)
    """Of the control's rows that are labelled with the first class, at most this share reaches the threshold. It is
    the lowest such threshold among the control's probabilities."""


class Metric(Manifest):
    """One measure of a variant, under a name of its own."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")
    """How the metric is called in tables and plans: small letters, digits and `_`."""
    measure: RowMeasure | CorpusMeasure | QueryMeasure
    """What is computed: one score a row, one number of the whole dataset, or one score a query, which is a cluster of
    rows: `ndcg`, `mrr`, `hit_rate`."""
    direction: Direction = "higher"
    """Which direction is better. Left out, it is the measure's own; `custom` must say it, `value_per_row` may, where
    its values are costs."""
    k: int | None = Field(default=None, ge=1)
    """`top_k_accuracy`: how many classes a row may name, from 2: 1 is `correct`. `ndcg`, `hit_rate`: how many of a
    query's rows count, the highest first."""
    quantile: float | None = Field(default=None, gt=0, lt=1)
    """`quantile_loss`: the quantile that the values predict."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """The second of two classes is predicted from this probability on. Null: where it is the likelier one."""
    operating_point: OperatingPoint | None = None
    """Instead of a threshold: what it is to do to the control. The threshold is then the same for every arm."""
    values: Annotated[Values | None, PlainSerializer(_plain)] = None
    """`value_per_row`: what each outcome is worth: label, then prediction, then value."""
    scorer: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`custom`: `module:function`, importable where the slots run, called as `function(predictions, probabilities,
    labels)` with the arrays of each batch; gives one finite number a row."""
    scorer_digest: Digest | None = None
    """The digest of the scorer module's source. Filled when a run is resolved; if given, it must match."""

    @model_validator(mode="before")
    @classmethod
    def _with_direction(cls, given: Any) -> Any:
        fields = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        measure = fields.get("measure")
        if measure is None or "direction" in fields:
            return cast("Any", given)
        if measure == "custom":
            raise ValueError("only its author knows which direction of a custom measure is better: add 'direction:'")
        return {**fields, "direction": "lower" if measure in _LOWER_IS_BETTER else "higher"}

    @model_validator(mode="after")
    def _has_its_parameters(self) -> Self:
        own: Direction = "lower" if self.measure in _LOWER_IS_BETTER else "higher"
        if self.measure not in _OF_EITHER_DIRECTION and self.direction != own:
            raise ValueError(f"of {self.measure}, {own} is better: leave 'direction' out")
        for field, measures in _NEEDED_BY.items():
            there = getattr(self, field) is not None
            if there and self.measure not in measures:
                raise ValueError(f"{self.measure} takes no {field}; it belongs to {', '.join(measures)}")
            if not there and self.measure in measures:
                raise ValueError(f"{self.measure} needs '{field}'")
        if self.scorer_digest is not None and self.scorer is None:
            raise ValueError("scorer_digest is given, but no scorer")
        if self.measure == "top_k_accuracy" and self.k == 1:
            raise ValueError("k of top_k_accuracy is at least 2; with one class a row the measure is correct")
        if self.has_threshold and self.measure not in _AT_A_THRESHOLD:
            field = "operating_point" if self.threshold is None else "threshold"
            raise ValueError(f"{self.measure} takes no {field}; it belongs to {', '.join(_AT_A_THRESHOLD)}")
        if self.threshold is not None and self.operating_point is not None:
            raise ValueError("threshold and operating_point say the same thing: give one of them")
        self._check_values()
        return self

    def _check_values(self) -> None:
        if self.values is None:
            return
        classes = list(self.values)
        for name, row in self.values.items():
            if set(row) != set(classes):
                raise ValueError(
                    f"values names the labels {', '.join(classes)}; label {name} needs a value for the prediction of "
                    f"each, and has {', '.join(row) or 'none'}"
                )
        if len(classes) < 2:
            raise ValueError("values needs two classes at least")
        if self.has_threshold and len(classes) != 2:
            raise ValueError(f"a threshold tells two classes apart; values names {len(classes)}")

    @property
    def row_measure(self) -> RowMeasure | None:
        """The measure, if a slot can give each row its score: then the metric is their mean.

        At an operating point no slot can: the threshold is known once the control has scored every row.
        """
        if self.operating_point is not None or self.measure not in get_args(RowMeasure):
            return None
        return cast("RowMeasure", self.measure)

    @property
    def is_binary(self) -> bool:
        """Whether the metric is a mean of rows that are 0 or 1."""
        return self.measure in ("correct", "accuracy", "top_k_accuracy")

    @property
    def has_threshold(self) -> bool:
        """Whether classes are told apart by a threshold of the metric's own."""
        return self.threshold is not None or self.operating_point is not None

    @property
    def of_probabilities(self) -> bool:
        """Whether the metric is made of all rows' probabilities together."""
        return self.measure in _OF_PROBABILITIES or (self.has_threshold and self.row_measure is None)

    @property
    def of_two_classes(self) -> bool:
        """Whether the metric tells one class, the last, from one other."""
        return self.measure in _OF_TWO_CLASSES or self.has_threshold

    @property
    def of_queries(self) -> bool:
        """Whether the metric is a mean over queries: clusters of rows that are ranked by their values."""
        return self.measure in _OF_QUERIES

    def accepts(self, output: str) -> bool:
        """Whether a variant with this output can be measured so."""
        if self.measure == "custom":
            return True
        if self.measure in _NEEDS_PROBABILITIES or self.has_threshold:
            return output in ("logits", "probabilities")
        if self.measure in _NEEDS_VALUES:
            return output == "values"
        return output != "values"
