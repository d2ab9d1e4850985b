"""Measures: what a metric can compute, and everything about it that is not arithmetic.

`MEASURES` is the only list of them. The fields and checks of a metric, the check of a plan's scale, which columns the
ledger stores, batch-size sensitivity and the JSON Schema follow from it. The functions that compute measures are
registered under these names: those of rows in `evaluator.metrics.row`, the others in `cluster.commit.statistic`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

Direction = Literal["higher", "lower"]
Scale = Literal["binary", "continuous", "count", "ordinal"]
Level = Literal["row", "query", "dataset"]
Needs = Literal["classes", "probabilities", "values", "any"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One thing that a metric can compute.

    Attributes:
        name: Its name in manifests.
        meaning: What it is, with the source or the reference implementation of its formula.
        needs: The output that it is computed from: predicted classes, probabilities (logits give them), predicted
            values, or any. With a threshold, every measure needs probabilities.
        level: `row`: one score per row, and the metric is their mean. `query`: one score per query, which is a
            cluster of rows, and the metric is their mean. `dataset`: one number for all rows.
        direction: Which direction is better; None if only the metric can say.
        scale: The kind of the scores that are analysed, as in a plan. Measures of queries and datasets are analysed
            by pseudo-values, which are continuous.
        of_two_classes: It is about the second of two classes, so there must be exactly two.
        parameters: The fields of a metric that it requires.
        options: Further fields of a metric that it accepts.
    """

    name: str
    meaning: str
    needs: Needs
    level: Level
    direction: Direction | None
    scale: Scale = "continuous"
    of_two_classes: bool = False
    parameters: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def accepts(self, field: str) -> bool:
        """Whether a metric with this measure may have this field."""
        return field in (*self.parameters, *self.options)


_THRESHOLD = ("threshold", "operating_point")

_OF_ROWS = (
    Measure(
        name="accuracy",
        meaning="1 if the predicted class is the label, else 0; the mean is the accuracy",
        needs="classes",
        level="row",
        direction="higher",
        scale="binary",
        options=_THRESHOLD,
    ),
    Measure(
        name="top_k_accuracy",
        meaning="1 if the label is among the `k` most probable classes, else 0; of equally probable classes the later "
        "ones come first, as in scikit-learn's `top_k_accuracy_score`",
        needs="probabilities",
        level="row",
        direction="higher",
        scale="binary",
        parameters=("k",),
    ),
    Measure(
        name="log_loss",
        meaning="-ln of the label's probability, clipped to [eps, 1 - eps] of float64; the mean is scikit-learn's "
        "`log_loss`",
        needs="probabilities",
        level="row",
        direction="lower",
    ),
    Measure(
        name="brier",
        meaning="the squared differences between the probabilities and the one-hot label, summed over the classes; "
        'with two classes half of that; the mean is scikit-learn\'s `brier_score_loss(scale_by_half="auto")`',
        needs="probabilities",
        level="row",
        direction="lower",
    ),
    Measure(
        name="value_per_row",
        meaning="the value that `values` gives the pair of label and prediction",
        needs="classes",
        level="row",
        direction="higher",
        parameters=("values",),
        options=(*_THRESHOLD, "direction"),
    ),
    Measure(
        name="mae",
        meaning="the absolute error of the predicted value; the mean is the mean absolute error",
        needs="values",
        level="row",
        direction="lower",
    ),
    Measure(
        name="squared_error",
        meaning="the squared error of the predicted value",
        needs="values",
        level="row",
        direction="lower",
    ),
    Measure(
        name="absolute_percentage_error",
        meaning="the absolute error divided by the label's absolute value (at least eps of float64); the mean is "
        "scikit-learn's `mean_absolute_percentage_error`",
        needs="values",
        level="row",
        direction="lower",
    ),
    Measure(
        name="quantile_loss",
        meaning="the pinball loss of the predicted `quantile`; the mean is scikit-learn's `mean_pinball_loss`",
        needs="values",
        level="row",
        direction="lower",
        parameters=("quantile",),
    ),
    Measure(
        name="custom",
        meaning="the number that the function `scorer` returns for the row",
        needs="any",
        level="row",
        direction=None,
        parameters=("scorer", "direction"),
        options=("scorer_digest", "scale"),
    ),
)

_OF_QUERIES = (
    Measure(
        name="ndcg",
        meaning="discounted cumulative gain of the labels among the first `k` rows, divided by that of the best order, "
        "as in scikit-learn's `ndcg_score`; 0 if no label is above 0",
        needs="values",
        level="query",
        direction="higher",
        parameters=("k",),
    ),
    Measure(
        name="mrr",
        meaning="1 / the rank of the first row with a label above 0; 0 if there is none; the mean is the mean "
        "reciprocal rank",
        needs="values",
        level="query",
        direction="higher",
    ),
    Measure(
        name="hit_rate",
        meaning="1 if a row with a label above 0 is among the first `k`, else 0",
        needs="values",
        level="query",
        direction="higher",
        parameters=("k",),
    ),
)

_OF_DATASETS = (
    *(
        Measure(
            name=name,
            meaning=f"the {name} of the second of two classes",
            needs="classes",
            level="dataset",
            direction="higher",
            of_two_classes=True,
            options=_THRESHOLD,
        )
        for name in ("precision", "recall", "f1")
    ),
    Measure(
        name="balanced_accuracy",
        meaning="the mean recall over the classes that occur as a label",
        needs="classes",
        level="dataset",
        direction="higher",
        options=_THRESHOLD,
    ),
    Measure(
        name="macro_f1",
        meaning="the mean F1 over the classes that occur as a label or a prediction",
        needs="classes",
        level="dataset",
        direction="higher",
    ),
    Measure(
        name="matthews",
        meaning="the Matthews correlation coefficient, for any number of classes (Gorodkin 2004)",
        needs="classes",
        level="dataset",
        direction="higher",
        options=_THRESHOLD,
    ),
    Measure(
        name="auroc",
        meaning="the area under the ROC curve of the second of two classes; with more classes the mean over the "
        "classes, each against the rest",
        needs="probabilities",
        level="dataset",
        direction="higher",
    ),
    Measure(
        name="average_precision",
        meaning="precision averaged over the steps of recall, of the second of two classes; with more classes the mean "
        "over the classes, each against the rest",
        needs="probabilities",
        level="dataset",
        direction="higher",
    ),
    Measure(
        name="calibration_error",
        meaning="the expected calibration error (l1) of the predicted class's probability over 15 bins of equal width, "
        "each including its upper edge (Guo et al. 2017)",
        needs="probabilities",
        level="dataset",
        direction="lower",
    ),
    Measure(
        name="rmse",
        meaning="the root of the mean squared error of the values",
        needs="values",
        level="dataset",
        direction="lower",
    ),
    Measure(
        name="r2",
        meaning="the share of the labels' variance that the values explain",
        needs="values",
        level="dataset",
        direction="higher",
    ),
)

MEASURES: Mapping[str, Measure] = MappingProxyType(
    {measure.name: measure for measure in (*_OF_ROWS, *_OF_QUERIES, *_OF_DATASETS)}
)
"""Every measure by its name."""

if TYPE_CHECKING:
    MeasureName = str
else:
    MeasureName = Literal[tuple(MEASURES)]
    """The name of a measure."""

_TITLES: Mapping[Level, str] = {
    "row": "The mean of one score per row",
    "query": "The mean of one score per query",
    "dataset": "One number for all rows together",
}


def description() -> str:
    """What every measure computes, as the description of a metric's field `measure`."""
    return "What is computed. " + " ".join(
        f"{title}: {'; '.join(f'`{name}`, {each.meaning}' for name, each in MEASURES.items() if each.level == level)}."
        for level, title in _TITLES.items()
    )


def names_with(field: str) -> list[str]:
    """The measures that accept a field of a metric."""
    return [name for name, measure in MEASURES.items() if measure.accepts(field)]


def json_schema() -> dict[str, Any]:
    """JSON Schema's conditions on a metric: which fields each measure requires, and which it does not accept."""
    fields = sorted({field for each in MEASURES.values() for field in (*each.parameters, *each.options)})
    return {"allOf": [_conditions(measure, fields) for measure in MEASURES.values()]}


def _conditions(measure: Measure, fields: list[str]) -> dict[str, Any]:
    fixed = {"direction": measure.direction, "scale": measure.scale}
    properties: dict[str, Any] = {}
    for field in fields:
        if field in measure.parameters:
            properties[field] = {"not": {"type": "null"}}
        elif not measure.accepts(field):
            properties[field] = {"const": fixed.get(field)}
    then = {"properties": properties, **({"required": list(measure.parameters)} if measure.parameters else {})}
    return {"if": {"properties": {"measure": {"const": measure.name}}}, "then": then}
