"""Metric: how scores are computed, and which direction is better."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Self, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from assay.manifests import measures
from assay.manifests.base import Digest, Manifest
from assay.manifests.measures import MEASURES, Direction, Measure, MeasureName, Scale

_OWN = ("direction", "scale")
"""Fields that a measure fills in; it accepts them only where the metric may differ from it."""


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

    model_config = ConfigDict(json_schema_extra=measures.json_schema())

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")
    """The metric's name in plans, policies and reports: at most 61 lower-case letters, digits and `_`, starting with a
    letter."""
    measure: MeasureName = Field(description=measures.description())
    direction: Direction = "higher"
    """Which direction is better. Default: that of the measure. Required for `custom`; set `lower` for `value_per_row`
    if its values are costs."""
    scale: Scale = "continuous"
    """The kind of the scores, as in a plan. Default: that of the measure. `custom`: what the scorer returns:
    `continuous` (default), `binary` (each number must be 0 or 1), `count` or `ordinal`."""
    k: int | None = Field(default=None, ge=1)
    """`top_k_accuracy`: number of most likely classes that count as correct, at least 2. `ndcg`, `hit_rate`: number of
    a query's highest-ranked rows that count. Required for these measures."""
    quantile: float | None = Field(default=None, gt=0, lt=1)
    """`quantile_loss`: the quantile that the variants predict, such as 0.9. Required for this measure."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """The second of two classes is predicted if its probability is at least this. Null (default): the more
    likely class is predicted."""
    operating_point: OperatingPoint | None = None
    """Chooses the threshold by its effect on the control and uses it for every arm. Null (default): see `threshold`."""
    values: Annotated[Values | None, PlainSerializer(_plain)] = None
    """`value_per_row`: the value of each outcome, as `{LABEL: {PREDICTION: VALUE}}` for all pairs of classes. Required
    for this measure."""
    scorer: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`custom`: `module:function`, from where an `entrypoint` may come. It is called for each batch as `function(predictions,
    probabilities, labels)` with arrays and must return one finite number per row. If its fourth parameter is named
    `columns`, it is also given the row's other columns, as arrays by name. The module is imported and executed."""
    scorer_digest: Digest | None = None
    """Digest of the scorer module's source file. Null (default): filled in when a run starts. Set it to pin the
    code: it must match."""

    @model_validator(mode="before")
    @classmethod
    def _with_own(cls, data: Any) -> Any:
        """The fields with the direction and the scale of the measure filled in."""
        fields = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
        name = fields.get("measure")
        if not isinstance(name, str) or name not in MEASURES:
            return cast("Any", data)
        measure = MEASURES[name]
        if measure.direction is None and "direction" not in fields:
            raise ValueError(f"measure '{name}' needs 'direction: higher' or 'direction: lower'")
        return {"direction": measure.direction, "scale": measure.scale, **fields}

    @model_validator(mode="after")
    def _has_its_parameters(self) -> Self:
        measure = self.definition
        for field in _OWN:
            own = getattr(measure, field)
            if not measure.accepts(field) and getattr(self, field) != own:
                raise ValueError(f"{self.measure} is always '{own}'; remove '{field}'")
        for field in type(self).model_fields:
            is_given = getattr(self, field) is not None
            if is_given and field not in _OWN and not measure.accepts(field):
                takers = measures.names_with(field)
                if takers:
                    raise ValueError(f"{self.measure} does not take {field}; only {', '.join(takers)} can have it")
            if not is_given and field in measure.parameters:
                raise ValueError(f"{self.measure} needs '{field}'")
        if self.measure == "top_k_accuracy" and self.k == 1:
            raise ValueError("k of top_k_accuracy must be at least 2; use measure accuracy for k = 1")
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
    def definition(self) -> Measure:
        """The measure's row of the table of measures."""
        return MEASURES[self.measure]

    @property
    def scores_rows(self) -> bool:
        """Whether slots can compute a score for each row, so that the metric is their mean.

        At an operating point they cannot: the threshold is known only after the control has scored every row.
        """
        return self.operating_point is None and self.definition.level == "row"

    @property
    def is_binary(self) -> bool:
        """Whether the metric is a mean of row scores that are 0 or 1."""
        return self.scale == "binary"

    @property
    def has_threshold(self) -> bool:
        """Whether the metric predicts classes by its own threshold."""
        return self.threshold is not None or self.operating_point is not None

    @property
    def stores_probabilities(self) -> bool:
        """Whether the metric is computed from probabilities after all rows were scored, so that they must be stored."""
        return self.needs_probabilities and not self.scores_rows

    @property
    def of_two_classes(self) -> bool:
        """Whether the metric needs exactly two classes, of which the last is the positive one."""
        return self.definition.of_two_classes or self.has_threshold

    @property
    def of_queries(self) -> bool:
        """Whether the metric is a mean over queries: clusters of rows, ranked by their values."""
        return self.definition.level == "query"

    @property
    def needs_probabilities(self) -> bool:
        """Whether the metric is computed from probabilities."""
        return self.definition.needs == "probabilities" or self.has_threshold

    def accepts(self, output: str) -> bool:
        """Whether the metric can be computed from a variant's output of this kind."""
        if self.needs_probabilities:
            return output in ("logits", "probabilities")
        needs = self.definition.needs
        return needs == "any" or (output == "values") == (needs == "values")

    def fits_scale(self, scale: Scale) -> bool:
        """Whether a plan for scores of this scale may compare this metric.

        Continuous scores may also be analysed by methods for counts or grades; otherwise the scales must be the same.
        """
        return self.scale == scale or (self.scale == "continuous" and scale != "binary")
