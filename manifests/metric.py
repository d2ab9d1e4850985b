"""Metric: how scores are made, and which direction is better."""

from typing import Literal, cast, get_args

from pydantic import Field

from manifests.base import Manifest

RowMeasure = Literal["correct", "log_loss", "brier", "absolute_error", "squared_error"]
CorpusMeasure = Literal[
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "macro_f1",
    "matthews",
    "auroc",
    "calibration_error",
    "rmse",
    "mae",
]
Direction = Literal["higher", "lower"]

_LOWER_IS_BETTER = frozenset(
    {"log_loss", "brier", "absolute_error", "squared_error", "calibration_error", "rmse", "mae"}
)
_OF_PROBABILITIES = frozenset({"auroc", "calibration_error"})
_OF_TWO_CLASSES = frozenset({"precision", "recall", "f1"})
_NEEDS_PROBABILITIES = frozenset({"log_loss", "brier", "auroc", "calibration_error"})
_NEEDS_VALUES = frozenset({"absolute_error", "squared_error", "rmse", "mae"})


class Metric(Manifest):
    """One measure of a variant, under a name of its own."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")
    """How the metric is called in tables and plans: small letters, digits and `_`."""
    measure: RowMeasure | CorpusMeasure
    """What is computed: one score a row, or one number of the whole dataset."""

    @property
    def direction(self) -> Direction:
        """Which direction is better."""
        return "lower" if self.measure in _LOWER_IS_BETTER else "higher"

    @property
    def row_measure(self) -> RowMeasure | None:
        """The measure, if it gives one score a row: then the metric is their mean, and arms are compared row by row."""
        return cast("RowMeasure", self.measure) if self.measure in get_args(RowMeasure) else None

    @property
    def corpus_measure(self) -> CorpusMeasure | None:
        """The measure, if it gives one number of the whole dataset only."""
        return cast("CorpusMeasure", self.measure) if self.measure in get_args(CorpusMeasure) else None

    @property
    def is_binary(self) -> bool:
        """Whether the metric is a mean of rows that are 0 or 1."""
        return self.measure in ("correct", "accuracy")

    @property
    def of_probabilities(self) -> bool:
        """Whether the metric is made of all rows' probabilities together."""
        return self.measure in _OF_PROBABILITIES

    @property
    def of_two_classes(self) -> bool:
        """Whether the metric tells one class, the last, from one other."""
        return self.measure in _OF_TWO_CLASSES

    def accepts(self, output: str) -> bool:
        """Whether a variant with this output can be measured so."""
        if self.measure in _NEEDS_PROBABILITIES:
            return output in ("logits", "probabilities")
        if self.measure in _NEEDS_VALUES:
            return output == "values"
        return output != "values"
