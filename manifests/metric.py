"""Metric: how scores are computed, and which direction is better."""

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
"""Parameters, and the measures that require them; no other measure accepts them."""
_AT_A_THRESHOLD = ("accuracy", "precision", "recall", "f1", "balanced_accuracy", "matthews", "value_per_row")


def _with_text_keys(data: Any) -> Any:
    """The mapping with integer keys as strings: YAML reads the classes 0 and 1 as numbers, JSON keys are strings."""
    if not isinstance(data, Mapping):
        return data
    mapping = cast("Mapping[Any, Any]", data)
    return {(str(name) if type(name) is int else name): _with_text_keys(value) for name, value in mapping.items()}


def _frozen(values: Mapping[str, Mapping[str, float]]) -> Mapping[str, Mapping[str, float]]:
    return MappingProxyType({label: MappingProxyType(dict(row)) for label, row in values.items()})


def _plain(values: Mapping[str, Mapping[str, float]] | None) -> dict[str, dict[str, float]] | None:
    return None if values is None else {label: dict(row) for label, row in values.items()}


Values = Annotated[Mapping[str, Mapping[str, float]], BeforeValidator(_with_text_keys), AfterValidator(_frozen)]


class OperatingPoint(Manifest):
    """A threshold, defined by its effect on the control."""

    false_positive_rate: float = Field(ge=0, lt=1)
    """Largest false positive rate of the control: of its rows labelled with the first class, at most this fraction
    reaches the threshold. The threshold is the lowest of the control's probabilities for which this holds."""


class Metric(Manifest):
    """Something that is measured for every arm, under a name of your choice."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")
    """The metric's name in plans, policies and reports: at most 61 lower-case letters, digits and `_`, starting with a
    letter."""
    measure: RowMeasure | CorpusMeasure | QueryMeasure
    """What is computed. The mean of one score per row: `correct` (0 or 1), `top_k_accuracy`, `log_loss`, `brier`,
    `value_per_row`, `absolute_error`, `squared_error`, `absolute_percentage_error`, `quantile_loss`, `custom`. The mean
    of one score per query, which is a cluster of rows: `ndcg`, `mrr`, `hit_rate`. The others are computed from all rows
    together."""
    direction: Direction = "higher"
    """Which direction is better. Default: that of the measure. Required for `custom`; set `lower` for `value_per_row`
    if its values are costs."""
    k: int | None = Field(default=None, ge=1)
    """`top_k_accuracy`: number of most likely classes that count as correct, at least 2. `ndcg`, `hit_rate`: number of
    a query's highest-ranked rows that count. Required for these measures."""
    quantile: float | None = Field(default=None, gt=0, lt=1)
    """`quantile_loss`: the quantile that the variants predict, such as 0.9. Required for this measure."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """The second of two classes is predicted if its probability is at least this. Null (default): if it is the more
    likely one."""
    operating_point: OperatingPoint | None = None
    """Chooses the threshold by its effect on the control and uses it for every arm. Null (default): see `threshold`."""
    values: Annotated[Values | None, PlainSerializer(_plain)] = None
    """`value_per_row`: the value of each outcome, as `{LABEL: {PREDICTION: VALUE}}` for all pairs of classes. Required
    for this measure."""
    scorer: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`custom`: `module:function`, importable where slots run. It is called for each batch as `function(predictions,
    probabilities, labels)` with arrays and must return one finite number per row. The module is imported and
    executed."""
    scorer_digest: Digest | None = None
    """Digest of the scorer module's source file. Null (default): filled in when a run starts. Set it to pin the
    code: it must match."""

    @model_validator(mode="before")
    @classmethod
    def _with_direction(cls, data: Any) -> Any:
        fields = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
        measure = fields.get("measure")
        if measure is None or "direction" in fields:
            return cast("Any", data)
        if measure == "custom":
            raise ValueError("measure 'custom' needs 'direction: higher' or 'direction: lower'")
        return {**fields, "direction": "lower" if measure in _LOWER_IS_BETTER else "higher"}

    @model_validator(mode="after")
    def _has_its_parameters(self) -> Self:
        own: Direction = "lower" if self.measure in _LOWER_IS_BETTER else "higher"
        if self.measure not in _OF_EITHER_DIRECTION and self.direction != own:
            raise ValueError(f"{self.measure} is always '{own}'; remove 'direction'")
        for field, measures in _NEEDED_BY.items():
            is_given = getattr(self, field) is not None
            if is_given and self.measure not in measures:
                raise ValueError(f"{self.measure} does not take {field}; only {', '.join(measures)} can have it")
            if not is_given and self.measure in measures:
                raise ValueError(f"{self.measure} needs '{field}'")
        if self.scorer_digest is not None and self.scorer is None:
            raise ValueError("scorer_digest is given without scorer; remove it or add 'scorer:'")
        if self.measure == "top_k_accuracy" and self.k == 1:
            raise ValueError("k of top_k_accuracy must be at least 2; use measure correct for k = 1")
        if self.has_threshold and self.measure not in _AT_A_THRESHOLD:
            field = "operating_point" if self.threshold is None else "threshold"
            raise ValueError(f"{self.measure} does not take {field}; only {', '.join(_AT_A_THRESHOLD)} can have it")
        if self.threshold is not None and self.operating_point is not None:
            raise ValueError("threshold and operating_point cannot be combined; remove one of them")
        self._check_values()
        return self

    def _check_values(self) -> None:
        if self.values is None:
            return
        classes = list(self.values)
        for name, row in self.values.items():
            if set(row) != set(classes):
                raise ValueError(
                    f"values has the labels {', '.join(classes)}; label {name} needs a value for each of them as the "
                    f"prediction, but has {', '.join(row) or 'none'}"
                )
        if len(classes) < 2:
            raise ValueError("values needs at least two classes")
        if self.has_threshold and len(classes) != 2:
            raise ValueError(f"a threshold needs exactly two classes; values has {len(classes)}")

    @property
    def row_measure(self) -> RowMeasure | None:
        """The measure, if slots can compute a score for each row, so that the metric is their mean; otherwise None.

        At an operating point they cannot: the threshold is known only after the control has scored every row.
        """
        if self.operating_point is not None or self.measure not in get_args(RowMeasure):
            return None
        return cast("RowMeasure", self.measure)

    @property
    def is_binary(self) -> bool:
        """Whether the metric is a mean of row scores that are 0 or 1."""
        return self.measure in ("correct", "accuracy", "top_k_accuracy")

    @property
    def has_threshold(self) -> bool:
        """Whether the metric predicts classes by its own threshold."""
        return self.threshold is not None or self.operating_point is not None

    @property
    def of_probabilities(self) -> bool:
        """Whether the metric is computed from the probabilities of all rows together."""
        return self.measure in _OF_PROBABILITIES or (self.has_threshold and self.row_measure is None)

    @property
    def of_two_classes(self) -> bool:
        """Whether the metric needs exactly two classes, of which the last is the positive one."""
        return self.measure in _OF_TWO_CLASSES or self.has_threshold

    @property
    def of_queries(self) -> bool:
        """Whether the metric is a mean over queries: clusters of rows, ranked by their values."""
        return self.measure in _OF_QUERIES

    def accepts(self, output: str) -> bool:
        """Whether the metric can be computed from a variant's output of this kind."""
        if self.measure == "custom":
            return True
        if self.measure in _NEEDS_PROBABILITIES or self.has_threshold:
            return output in ("logits", "probabilities")
        if self.measure in _NEEDS_VALUES:
            return output == "values"
        return output != "values"
