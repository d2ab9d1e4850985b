import ctypes
import random
import sqlite3

import numpy as np
import pandas as pd
import pytest

from assay.evaluator.predictors.given_arrays import given, is_refused_write
from tests.evaluator.predictors.builders import frozen


def _item(array):
    array[0] = 1


def _through_pandas(array):
    series = pd.Series(array, copy=False)
    series[0] = 1.0


def _caught(array):
    try:
        array += 1
    except ValueError as error:
        raise RuntimeError("the model failed") from error


def _while_handling(array):
    try:
        array += 1
    except ValueError:
        return {}["x"]


WRITES = {
    "an item": _item,
    "in place": lambda array: array.__iadd__(1),
    "out": lambda array: np.add(array, 1, out=array),
    "sort": lambda array: array.sort(),
    "partition": lambda array: array.partition(3),
    "fill": lambda array: array.fill(1),
    "put": lambda array: np.put(array, [0], [1]),
    "putmask": lambda array: np.putmask(array, array > 1, 0),
    "place": lambda array: np.place(array, array > 1, 0),
    "byteswap": lambda array: array.byteswap(inplace=True),
    "copyto": lambda array: np.copyto(array, 0),
    "nan_to_num": lambda array: np.nan_to_num(array, copy=False),
    "fill_diagonal": lambda array: np.fill_diagonal(array.reshape(4, 2), 0),
    "shuffle": lambda array: np.random.default_rng().shuffle(array),
    "random": lambda array: np.random.default_rng().random(out=array),
    "flat": lambda array: _item(array.flat),
    "memoryview": lambda array: _item(memoryview(array)),
    "flag": lambda array: array.setflags(write=True),
    "ctypes": (ctypes.c_double * 8).from_buffer,
    "pandas": _through_pandas,
    "raised from it": _caught,
    "raised while handling it": _while_handling,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_to_a_view_of_a_shard_is_refused_and_recognised(write):
    column = frozen(np.arange(8.0))
    with pytest.raises((ValueError, TypeError, RuntimeError, KeyError)) as caught:
        write(given(column, writable=False))
    assert is_refused_write(caught.value)
    np.testing.assert_array_equal(column, np.arange(8.0))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("could not convert string to float: 'read-only'"),
        OSError(30, "Read-only file system", "/an/array"),
        sqlite3.OperationalError("attempt to write a readonly database"),
        KeyError("x"),
        RuntimeError("CUDA error: device busy"),
    ],
)
def test_other_errors_are_not_taken_for_a_refused_write(error):
    assert not is_refused_write(error)


@pytest.mark.parametrize("kind", ["float64", "bool", "object", "datetime64[us]"])
def test_a_part_of_a_converted_column_leads_to_no_other_rows(kind):
    column = np.array([random.Random(row).random() > 0.5 for row in range(8)]).astype(kind)
    array = given(column[2:4], writable=False)
    assert not array.flags.writeable
    assert array.base is None
    array.flags.writeable = True
    array[:] = array[::-1].copy()
    assert not np.shares_memory(array, column)


def test_a_writable_array_is_a_copy():
    for column in (frozen(np.arange(8.0)), np.array(["a", None], dtype=object)):
        array = given(column, writable=True)
        array[0] = 5
        assert column[0] in (0.0, "a")
