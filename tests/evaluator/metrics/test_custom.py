import numpy as np
import pytest

from assay.evaluator.errors import VariantError
from assay.evaluator.metrics import custom, row
from assay.evaluator.metrics.predictions import RowNumbers, predictions_of
from assay.evaluator.predictors.predictor import PredictionError
from tests.evaluator.metrics import builders
from tests.evaluator.metrics.builders import label

CODE = """
import ctypes
import numpy as np

calls = []

def margin(predictions, probabilities, labels):
    calls.append(len(labels))
    assert not probabilities.flags.writeable and not labels.flags.writeable
    return probabilities[np.arange(len(labels)), labels] - 0.5

def raises(predictions, probabilities, labels):
    raise KeyError("no such table")

def too_few(predictions, probabilities, labels):
    return np.zeros(len(labels) - 1)

def one_number(predictions, probabilities, labels):
    return 0.5

def words(predictions, probabilities, labels):
    return ["good"] * len(labels)

def infinite(predictions, probabilities, labels):
    return np.where(labels == 1, np.nan, 0.0)

def above_limit(predictions, probabilities, labels, columns):
    assert set(columns) == {"limit"} and not columns["limit"].flags.writeable
    return probabilities[:, 1] > columns["limit"]

def overwriting(predictions, probabilities, labels, columns):
    for array in (predictions, probabilities, labels, *columns.values()):
        ctypes.memset(array.ctypes.data, 1, array.nbytes)
    return labels / 2

def halves(predictions, probabilities, labels):
    return labels / 2
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "own_scorers.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)


def scored(function, *, columns=None, **parameters):
    said = predictions_of(
        np.array([0.2, 0.9, 0.6, 0.1, 0.5]), output="probabilities", label=label(), rows=RowNumbers(40)
    )
    metric = builders.metric("custom", scorer=f"own_scorers:{function}", direction="higher", **parameters)
    return row.score(metric, row.ScoredRows(said, np.array([0, 0, 0, 1, 0]), label(), 2, columns or {}))


def test_a_scorer_is_given_batch_after_batch(place):
    import own_scorers  # pyright: ignore[reportMissingImports]

    own_scorers.calls.clear()
    assert scored("margin") == pytest.approx([0.3, -0.4, -0.1, -0.4, 0.0])
    assert own_scorers.calls == [2, 2, 1]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("raises", "scorer own_scorers:raises, rows 40 to 41: KeyError: 'no such table'"),
        ("too_few", "scorer own_scorers:too_few, rows 40 to 41: the scores have shape (1,); allowed: (2,)"),
        ("one_number", "the scores have shape ()"),
        ("words", "the scores are <U4; allowed: real numbers"),
        ("infinite", "scorer own_scorers:infinite, row 43: the score is nan"),
    ],
)
def test_an_error_names_the_scorer_and_the_rows(place, function, words):
    with pytest.raises(PredictionError) as caught:
        scored(function)
    assert words in str(caught.value)


def test_an_unknown_scorer_has_a_near_name(place):
    with pytest.raises(VariantError, match="did you mean 'margin'"):
        scored("margins")


def test_a_scorer_with_a_fourth_parameter_columns_sees_those_of_its_rows(place):
    limits = np.array([0.1, 0.95, 0.5, 0.5, 0.5])
    assert scored("above_limit", columns={"limit": limits}, scale="binary").tolist() == [1, 0, 1, 0, 0]


def test_only_a_fourth_parameter_of_that_name_takes_columns():
    assert custom.takes_columns(lambda predictions, probabilities, labels, columns: None)
    assert not custom.takes_columns(lambda predictions, probabilities, labels: None)
    assert not custom.takes_columns(lambda predictions, probabilities, labels, weight=1, columns=None: None)
    assert not custom.takes_columns(max)  # without a signature


def test_a_binary_scorer_returns_0_or_1(place):
    with pytest.raises(PredictionError) as caught:
        scored("halves", scale="binary")
    assert "scorer own_scorers:halves, row 43: the score is 0.5, which is neither 0 nor 1" in str(caught.value)
    assert "remove 'scale: binary'" in str(caught.value)
    assert scored("halves", scale="count").tolist() == [0, 0, 0, 0.5, 0]


def test_what_a_scorer_writes_is_seen_by_nobody(place):
    kept = np.array([0.2, 0.9, 0.6, 0.1, 0.5]), np.array([0, 0, 0, 1, 0]), np.arange(5.0)
    given = [array.copy() for array in kept]
    said = predictions_of(given[0], output="probabilities", label=label(), rows=RowNumbers(0))
    predicted, probabilities = said.prediction.copy(), said.probabilities.copy()
    metric = builders.metric("custom", scorer="own_scorers:overwriting", direction="higher")
    row.score(metric, row.ScoredRows(said, given[1], label(), 2, {"limit": given[2]}))
    for array, expected in [
        *zip(given, kept, strict=True),
        (said.prediction, predicted),
        (said.probabilities, probabilities),
    ]:
        np.testing.assert_array_equal(array, expected)
