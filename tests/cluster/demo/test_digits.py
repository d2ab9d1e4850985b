import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits

from assay.cluster.demo import digits
from assay.manifests import InvalidInput


def test_training_and_test_share_no_row_and_leave_none_out():
    whole, training, test = load_digits(), digits.training(), digits.test()
    assert (training.first, test.first) == (0, len(training.labels))
    assert len(test.labels) == 1100
    np.testing.assert_array_equal(np.concatenate([training.images, test.images]), whole.images)
    np.testing.assert_array_equal(np.concatenate([training.labels, test.labels]), whole.target)


def test_no_image_is_in_both_parts():
    seen = {image.tobytes() for image in digits.training().images}
    assert not [image for image in digits.test().images if image.tobytes() in seen]


def test_the_source_holds_the_test_images_as_they_are(tmp_path):
    digits.write_source(tmp_path / "digits.parquet")
    table = pq.read_table(tmp_path / "digits.parquet")
    test, whole = digits.test(), load_digits()
    assert table.column_names == ["image_id", "image", "digit", "stroke"]
    assert table["digit"].to_pylist() == test.labels.tolist()
    np.testing.assert_array_equal(np.array(table["image"].to_pylist()), test.images)
    for row in (0, 500, 1099):
        place = int(table["image_id"][row].as_py().removeprefix("digit-"))
        np.testing.assert_array_equal(table["image"][row].as_py(), whole.images[place])


def test_every_digit_has_one_stroke(tmp_path):
    assert sorted(digit for members in digits.STROKES.values() for digit in members) == list(range(10))
    digits.write_source(tmp_path / "digits.parquet")
    rows = pq.read_table(tmp_path / "digits.parquet", columns=["digit", "stroke"]).to_pylist()
    assert all(row["digit"] in digits.STROKES[row["stroke"]] for row in rows)


def test_the_source_has_the_same_bytes_each_time_and_leaves_nothing_beside_it(tmp_path):
    digits.write_source(tmp_path / "one.parquet")
    digits.write_source(tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one.parquet", "two.parquet"]


def test_without_scikit_learn_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InvalidInput, match=r"pip install 'assay\[demo\]'"):
        digits.write_source(tmp_path / "digits.parquet")
    assert not list(tmp_path.iterdir())
