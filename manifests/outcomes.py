"""Outcomes: what the arms of a run predicted, as `assay report --confusion --json` prints it."""

from typing import Literal

from assay.manifests.base import Computed


class Confusion(Computed):
    """Rows with one label and one prediction."""

    label: str | None
    """The label. Null, with a null prediction: all pairs that are not listed."""
    prediction: str | None
    """The prediction. Null: rows with this label that have no answer."""
    num_rows: int
    """The number of rows."""


class HistogramBin(Computed):
    """Rows whose probability of the predicted class, or predicted value, is in one bin."""

    of: Literal["probability", "value"]
    """What is counted."""
    low: float | None
    """The bin's lower end, which belongs to it. Null: unbounded."""
    high: float | None
    """The bin's upper end. Null: unbounded."""
    num_rows: int
    """The number of rows."""
    total: float
    """The sum of their probabilities or values."""
    num_correct: int | None
    """Rows among them that were predicted correctly. Null for values."""


class ArmOutcomes(Computed):
    """What one arm predicted."""

    arm: str
    """The arm's name."""
    confusions: tuple[Confusion, ...]
    """Rows by label and prediction, the largest numbers first. Empty for values."""
    histograms: tuple[HistogramBin, ...]
    """Rows by probability or value."""


class RunOutcomes(Computed):
    """What the complete arms of a run predicted."""

    run_id: str
    """The run's id."""
    ledger: str
    """The ledger's URI."""
    arms: tuple[ArmOutcomes, ...]
    """The arms."""
