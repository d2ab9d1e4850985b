"""Metric: how scores are made, and which direction is better."""

from typing import Literal, get_args

from pydantic import Field

from manifests.base import Manifest

RowMeasure = Literal["correct", "log_loss", "brier", "absolute_error", "squared_error"]
CorpusMeasure = Literal["accuracy", "macro_f1", "auroc", "calibration_error", "rmse", "mae"]
Direction = Literal["higher", "lower"]

ROW_MEASURES: frozenset[str] = frozenset(get_args(RowMeasure))
"""Measures with one score a row: they can be primary, guard, and be compared row by row."""
_HIGHER_IS_BETTER = frozenset({"correct", "accuracy", "macro_f1", "auroc"})
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
        return "higher" if self.measure in _HIGHER_IS_BETTER else "lower"

    @property
    def has_row_scores(self) -> bool:
        """Whether the metric is a mean of one score a row."""
        return self.measure in ROW_MEASURES

    @property
    def is_binary(self) -> bool:
        """Whether every row's score is 0 or 1."""
        return self.measure == "correct"

    def accepts(self, output: str) -> bool:
        """Whether a variant with this output can be measured so."""
        if self.measure in _NEEDS_PROBABILITIES:
            return output in ("logits", "probabilities")
        if self.measure in _NEEDS_VALUES:
            return output == "values"
        return output != "values"
