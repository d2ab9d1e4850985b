"""Texts as numbers: what is accepted, and that the fast and the slow way agree."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.evaluator.data.ingest import text_values
from assay.evaluator.data.ingest.text_values import from_texts


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("int8", "-128", -128),
        ("int64", "9223372036854775807", 2**63 - 1),
        ("int64", "9223372036854775808", None),
        ("uint32", "-1", None),
        ("uint8", "-0", 0),
        ("int16", "+1", None),
        ("int16", " 1", None),
        ("int16", "1_0", None),
        ("int16", "٣", None),  # a digit to Python, but not ASCII
        ("int16", "1e2", None),
        ("float64", "1e2", 100.0),
        ("float64", ".5", 0.5),
        ("float64", "5.", 5.0),
        ("float64", "+5", 5.0),
        ("float64", "0x1p3", None),
        ("float64", "1,5", None),
        ("float64", "1 ", None),
        ("float64", "9007199254740993", 9007199254740992.0),  # decimal text is rounded to the nearest float
        ("float32", "0.1", float(np.float32(0.1))),
        ("bool", "TRUE", True),
        ("bool", "0", False),
        ("bool", "no", None),
        ("string", " as it is ", " as it is "),
    ],
)
def test_a_text_is_accepted_or_refused(type_name, text, value):
    # A null next to it stays null, either way.
    converted = from_texts(pa.array([None, text]), type_name=type_name)
    assert converted.array[0].as_py() is None
    if value is None:
        assert [(refusal.row, refusal.value) for refusal in converted.refusals] == [(1, text)]
    else:
        assert not converted.refusals
        assert converted.array[1].as_py() == value


@given(
    texts=st.lists(st.text(alphabet="0123456789+-.eE xnaif_tru", max_size=8), min_size=1, max_size=4),
    type_name=st.sampled_from(["int8", "int64", "uint16", "float32", "float64", "bool"]),
)
@example(texts=["infinity"], type_name="float32")
@settings(max_examples=400, deadline=None)
def test_what_the_fast_road_accepts_the_slow_one_accepts_alike(texts, type_name):
    array = pa.array(texts)
    exact = text_values._cell_by_cell(array, type_name)
    converted = from_texts(array, type_name=type_name)
    assert converted.refusals == exact.refusals
    assert str(converted.array.to_pylist()) == str(exact.array.to_pylist())  # as text: NaN differs from itself
