"""Single feature: how well a single feature predicts the label, by cross-validation."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from assay.evaluator.data.ingest.chunk import one_array
from assay.evaluator.data.leakage.normal_text import normal
from assay.manifests.column import FrozenColumn
from assay.manifests.leakage import SingleFeature

NUM_FOLDS = 5
NUM_BINS = 100
"""Quantile bins of numbers."""
MAX_LABELS = 200
"""Of a numeric label with more distinct values, the decile is predicted."""
MAX_WORDS = 200
"""Texts are searched for class names if there are at most this many classes."""

Codes = npt.NDArray[np.int64]


def single_features(table: pa.Table, columns: tuple[FrozenColumn, ...], label: FrozenColumn) -> list[SingleFeature]:
    """Every plain feature with how well it alone predicts the label, best first.

    The label of each row is predicted from the rows of the other folds, so that an id, whose value differs in every row,
    predicts nothing. A value that occurs in no other fold predicts the most frequent label.

    Args:
        table: Rows of the dataset, with these columns.
        columns: All features; tensors are skipped.
        label: The label.
    """
    labels, target = _targets(one_array(table[label.name]))
    commonest = float(np.bincount(labels).max() / len(labels))
    results = []
    for column in columns:
        if column.shape:
            continue
        array = one_array(table[column.name])
        accuracies: list[tuple[float, str]] = [
            (_accuracy(codes, labels), how) for codes, how in _codings(array, is_text=column.type == "string")
        ]
        if column.type == "string" and 0 < len(label.classes) <= MAX_WORDS:
            accuracies.append((_by_words(array, one_array(table[label.name]), label.classes), "words"))
        accuracy, how = max(accuracies, key=lambda each: each[0])
        found = {"feature": column.name, "target": target, "how": how, "accuracy": accuracy, "commonest": commonest}
        results.append(SingleFeature.model_validate(found))
    return sorted(results, key=lambda each: (-each.skill, each.feature))


def _targets(array: Any) -> tuple[Codes, str]:
    """What is predicted for each row: the label or its decile."""
    codes, values = _value_codes(array)
    if len(values) <= MAX_LABELS or pa.types.is_string(array.type):
        return codes, "label"
    return _bin_codes(array.to_numpy(zero_copy_only=False).astype(np.float64), 10), "decile"


def _codings(array: Any, *, is_text: bool) -> Iterator[tuple[Codes, str]]:
    yield _value_codes(normal(array) if is_text else array)[0], "value"
    if not is_text:
        values = array.to_numpy(zero_copy_only=False).astype(np.float64)
        yield _bin_codes(values, NUM_BINS), "bins"


def _value_codes(array: Any) -> tuple[Codes, Any]:
    """For each row the code of its value, and the distinct values; null is one of them."""
    encoded = array.dictionary_encode("encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary


def _bin_codes(values: npt.NDArray[np.float64], num_bins: int) -> Codes:
    """For each row the quantile bin of its value; missing values have a bin of their own."""
    is_finite = np.isfinite(values)
    edges = np.unique(np.quantile(values[is_finite], np.linspace(0, 1, num_bins + 1)[1:-1])) if is_finite.any() else []
    return np.where(is_finite, np.searchsorted(edges, values, side="right"), num_bins)


def _accuracy(codes: Codes, labels: Codes) -> float:
    """The fraction of rows whose label is the most frequent one for their code in the other folds."""
    num_labels, num_rows = int(labels.max()) + 1, len(labels)
    cells, cell_R = np.unique(
        codes * num_labels + labels, return_inverse=True
    )  # only the combinations that occur: there may be many codes
    code_C, label_C = cells // num_labels, cells % num_labels
    fold_R = np.random.default_rng(11).permutation(num_rows) % NUM_FOLDS
    num_correct = 0
    for fold in range(NUM_FOLDS):
        is_here = fold_R == fold
        count_C = np.bincount(cell_R[~is_here], minlength=len(cells))
        predicted = np.full(int(codes.max()) + 1, np.bincount(labels[~is_here], minlength=num_labels).argmax())
        order = np.lexsort(
            (-label_C, count_C)
        )  # the last write wins: the label with most rows, of equal ones the first
        order = order[count_C[order] > 0]
        predicted[code_C[order]] = label_C[order]
        num_correct += int((predicted[codes[is_here]] == labels[is_here]).sum())
    return num_correct / num_rows


def _by_words(texts: Any, labels: Any, classes: tuple[str, ...]) -> float:
    """The fraction of rows whose label is the only class named in their text; other texts predict the most frequent one."""
    lower = pc.fill_null(normal(texts), "")
    named = np.full(len(labels), -1, np.int64)
    num_named = np.zeros(len(labels), np.int64)
    for code, name in enumerate(normal(pa.array(classes)).to_pylist()):
        pattern = rf"(^|[^\p{{L}}\p{{N}}]){re.escape(name)}($|[^\p{{L}}\p{{N}}])"
        has = pc.match_substring_regex(lower, pattern).to_numpy(zero_copy_only=False)
        named[has] = code
        num_named += has
    codes = pc.index_in(labels, value_set=pa.array(classes)).to_numpy(zero_copy_only=False).astype(np.int64)
    most_frequent = int(np.bincount(codes[codes >= 0], minlength=1).argmax())
    return float((np.where(num_named == 1, named, most_frequent) == codes).mean())
