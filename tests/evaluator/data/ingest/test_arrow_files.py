"""Parquet and Arrow columns of neighbouring types: converted where nothing is lost."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.evaluator.data.ingest.arrow_values import acceptable, from_arrow
from assay.evaluator.data.ingest.tensors import acceptable_tensor, from_lists
from assay.manifests.contract_column import Column


@pytest.mark.parametrize(
    ("array", "type_name", "values"),
    [
        (pa.array([1, None], pa.uint64()), "int8", [1, None]),
        (pa.array([2**63], pa.uint64()), "int64", "refused"),
        (pa.array([-1], pa.int8()), "uint8", "refused"),
        (pa.array([2**53 + 2]), "float64", [2.0**53 + 2]),  # above 2^53, but exactly representable
        (pa.array([2**53 + 1]), "float64", "refused"),
        (pa.array([1.5, None], pa.float16()), "float64", [1.5, None]),
        (pa.array([0.5, None]), "float32", [0.5, None]),
        (pa.array([1e300]), "float32", "refused"),
        (pa.array([1e-320]), "float32", "refused"),
        (pa.array(["a", None, "a"]).dictionary_encode(), "string", ["a", None, "a"]),
        (pa.array(["a", None], pa.large_string()), "string", ["a", None]),
        (pa.array(["a", "long enough to lie elsewhere"], pa.string_view()), "string", ["a", "long enough to lie elsewhere"]),
        (pa.nulls(2), "int8", [None, None]),
    ],
)  # fmt: skip
def test_a_value_is_converted_without_loss_or_refused(array, type_name, values):
    assert acceptable(array.type, type_name=type_name)
    converted = from_arrow(array, type_name=type_name)
    if values == "refused":
        assert [refusal.row for refusal in converted.refusals] == [0]
    else:
        assert not converted.refusals
        assert converted.array.to_pylist() == values


@given(st.lists(st.floats(), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_a_float_is_narrowed_only_if_it_comes_back(values):
    converted = from_arrow(pa.array(values, pa.float64()), type_name="float32")
    with np.errstate(over="ignore"):
        lost = [row for row, value in enumerate(values) if not np.isnan(value) and float(np.float32(value)) != value]
    assert [refusal.row for refusal in converted.refusals] == lost


IMAGE = Column(name="image", role="feature", type="float32", shape=(2, 2))
VALUES = np.arange(12, dtype=np.float32).reshape(3, 2, 2)


@pytest.mark.parametrize(
    "array",
    [
        pa.array(VALUES.tolist()),
        pa.array(VALUES.tolist(), pa.large_list(pa.list_(pa.float64(), 2))),
        pa.array(VALUES.astype(int).tolist()),
        pa.array(VALUES.reshape(3, 4).tolist(), pa.list_(pa.float32(), 4)),
        pa.array(VALUES.reshape(3, 4).tolist()),
        pa.FixedShapeTensorArray.from_numpy_ndarray(VALUES),
        pa.FixedShapeTensorArray.from_numpy_ndarray(VALUES.astype(np.float64)),
    ],
    ids=["lists", "fixed", "whole numbers", "flat fixed", "flat", "tensor", "wide tensor"],
)
@pytest.mark.parametrize("part", [slice(0, 3), slice(1, 3), slice(1, 1)])
def test_a_tensor_is_read_from_every_kind_of_list(array, part):
    array = array[part]
    assert acceptable_tensor(array.type, column=IMAGE)
    converted = from_lists(array, column=IMAGE)
    assert not converted.refusals
    # Not to_numpy_ndarray(): it forgets where a sliced array starts.
    found = np.array(converted.array.storage.to_pylist(), np.float32).reshape(-1, 2, 2)
    np.testing.assert_array_equal(found, VALUES[part])


def test_a_tensor_whose_axes_are_permuted_is_not_taken_for_another():
    permuted = pa.fixed_shape_tensor(pa.float32(), (2, 2), permutation=[1, 0])
    assert not acceptable_tensor(permuted, column=IMAGE)


def test_a_null_tensor_does_not_move_the_others():
    array = pa.array([VALUES[0].tolist(), None, VALUES[2].tolist()])
    converted = from_lists(array, column=IMAGE)
    assert converted.array.is_valid().to_pylist() == [True, False, True]
    assert converted.array.storage[2].as_py() == VALUES[2].reshape(-1).tolist()
