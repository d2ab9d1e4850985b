"""The demo's rows: scikit-learn's handwritten digits, split into training and test images."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.manifests.errors import InvalidInput

NUM_TRAINING = 697
"""The first images of the file are for training; the remaining 1,100 are the test set.

The split is a single cut, not random: neighbouring images often come from one writer, who should be on one side only.
"""

STROKES = {"round": (0, 6, 8, 9), "straight": (1, 4, 7), "curved": (2, 3, 5)}
"""The segments: digits grouped by the kind of strokes they consist of."""


@dataclass(frozen=True)
class Digits:
    """Images and their labels.

    Attributes:
        first: Index of the first image in the whole file.
        images: uint8 of shape (rows, 8, 8), from 0 (paper) to 16 (ink).
        labels: int64 of shape (rows,): the digit.
    """

    first: int
    images: np.ndarray
    labels: np.ndarray


def training() -> Digits:
    """The images that the variants were trained on."""
    images, labels = _all()
    return Digits(0, images[:NUM_TRAINING], labels[:NUM_TRAINING])


def test() -> Digits:
    """The images that no variant was trained on."""
    images, labels = _all()
    return Digits(NUM_TRAINING, images[NUM_TRAINING:], labels[NUM_TRAINING:])


def write_source(path: Path) -> None:
    """Writes the test images as Parquet: `image_id`, `image` (8 lists of 8 numbers), `digit` and `stroke`.

    The file is written atomically.

    Raises:
        InvalidInput: scikit-learn is not installed.
    """
    digits = test()
    stroke_of = {digit: stroke for stroke, members in STROKES.items() for digit in members}
    table = pa.table(
        {
            "image_id": [f"digit-{digits.first + row:04d}" for row in range(len(digits.labels))],
            "image": pa.array(digits.images.tolist(), type=pa.list_(pa.list_(pa.uint8()))),
            "digit": pa.array(digits.labels),
            "stroke": [stroke_of[digit] for digit in digits.labels.tolist()],
        }
    )
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    pq.write_table(table, temporary)
    temporary.replace(path)


def _all() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InvalidInput(
            "the demo needs scikit-learn for its handwritten digits, and scikit-learn is not installed",
            remedy="pip install 'assay[demo]'",
        ) from None
    bunch: Any = load_digits()
    return bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
