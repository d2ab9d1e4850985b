"""Inputs: columns that a variant cannot take are refused with type and remedy; the others reach it unchanged."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.inputs import check_inputs
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests.contract_column import Column
from assay.manifests.dataset import Dataset
from tests.evaluator.data import tables
from tests.evaluator.predictors.builders import answers, batch, frozen, loaded, variant

SCALARS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float32", "float64")
EXACT = {
    "as_frozen": set(SCALARS),
    "float32": {"bool", "int8", "int16", "uint8", "uint16", "float32"},
    "float64": set(SCALARS) - {"int64"},
    "float32_rounded": set(SCALARS),
}


LABEL = Column(name="y", role="label", type="bool")


def dataset(*features: Column) -> Dataset:
    """A dataset that declares these features; its rows are not read."""
    contract = tables.contract(LABEL, *features, Column(name="skipped", role="ignored"))
    return _any_dataset().model_copy(update={"columns": contract.frozen_columns, "contract": contract})


@cache
def _any_dataset() -> Dataset:
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        path.write_text("y,x\ntrue,1\n")
        contract = tables.contract(LABEL, Column(name="x", role="feature", type="float32"))
        return freeze([path], contract=contract, reference="t@v1", store=MemoryStore("inputs"))


@pytest.mark.parametrize("wanted", EXACT)
@pytest.mark.parametrize("type_name", SCALARS)
def test_types_are_taken_if_every_value_survives(wanted, type_name):
    rows = dataset(Column(name="f", role="feature", type=type_name))
    if type_name in EXACT[wanted]:
        check_inputs(variant("linear", input_type=wanted), rows)
        return
    with pytest.raises(VariantError, match=rf"'f' cannot be converted to {wanted} without loss; got f: {type_name}"):
        check_inputs(variant("linear", input_type=wanted), rows)


@pytest.mark.parametrize("wanted", ["float32", "float64"])
@pytest.mark.parametrize("type_name", sorted(set(SCALARS) - {"bool", "float32", "float64"}))
def test_what_is_taken_is_exact_by_numpy_too(wanted, type_name):
    info = np.iinfo(type_name)
    edges = np.array([info.min, info.max, info.min + 1, info.max - 1], dtype=type_name)
    is_exact = all(int(float(np.dtype(wanted).type(edge))) == int(edge) for edge in edges)
    assert is_exact == (type_name in EXACT[wanted])


@pytest.mark.parametrize(
    ("bounds", "is_taken"),
    [
        ({"minimum": 0, "maximum": 2**24}, True),
        ({"minimum": -(2**24), "maximum": 0}, True),
        ({"minimum": 0, "maximum": 2**24 + 1}, False),
        ({"minimum": -(2**24) - 1, "maximum": 0}, False),
        ({"maximum": 100}, False),
        ({"minimum": 0, "maximum": 100, "warn": ("maximum",)}, False),  # a bound that only warns guarantees nothing
    ],
)
def test_whole_numbers_are_taken_where_the_contract_bounds_them(bounds, is_taken):
    rows = dataset(Column(name="f", role="feature", type="int64", **bounds))
    if is_taken:
        check_inputs(variant("linear", input_type="float32"), rows)
    else:
        with pytest.raises(VariantError, match="give it a minimum and a maximum in the contract"):
            check_inputs(variant("linear", input_type="float32"), rows)


@pytest.mark.parametrize("inputs", [(), ("n", "text")])
def test_texts_go_into_no_tensor(inputs):
    rows = dataset(Column(name="n", role="feature", type="int8"), Column(name="text", role="feature"))
    with pytest.raises(VariantError, match=r"'text' holds strings.*text: string.*predictor: callable"):
        check_inputs(variant("linear", inputs=inputs), rows)
    check_inputs(variant("linear", inputs=("n",)), rows)
    check_inputs(variant("linear", predictor="callable", inputs=inputs), rows)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m", r"no such feature; got m; did you mean 'n'|known: n"),
        ("y", "the column has the role label, .*allowed: n; give the column the role feature"),
        ("skipped", "the column has the role ignored"),
    ],
)
def test_inputs_are_features(name, words):
    rows = dataset(Column(name="n", role="feature", type="int8"))
    with pytest.raises(VariantError, match=words):
        check_inputs(variant("linear", inputs=("n", name)), rows)


@pytest.mark.parametrize(("type_name", "missing"), [("float64", "NaN"), ("string", "None")])
def test_missing_values_are_given_to_those_who_take_them(type_name, missing):
    rows = dataset(
        Column(name="n", role="feature", type="int8"),
        Column(name="f", role="feature", type=type_name, nullable=True),
    )
    asking = {"predictor": "callable"}
    with pytest.raises(VariantError, match=rf"'f' may have missing values.*takes {missing}.*f: nullable {type_name}"):
        check_inputs(variant("linear", **asking), rows)
    check_inputs(variant("linear", **asking, takes_missing=True), rows)
    check_inputs(variant("linear", **asking, inputs=("n",)), rows)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("as_frozen", "uint8"), ("float32", "float32"), ("float64", "float64"), ("float32_rounded", "float32")],
)
def test_a_module_is_given_the_type_that_its_variant_says(wanted, expected):
    given = np.arange(8, dtype=np.uint8)
    predictor = loaded("remembering", inputs=("small",), input_type=wanted, output="values")
    found = answers(predictor, batch(small=frozen(given)))
    assert predictor._module.last_dtype == getattr(torch, expected)
    assert found.tolist() == [0, 1, 2, 3, 4]


def test_rounding_is_to_the_nearest():
    values = np.array([0.1, 1 + 2**-24, 1 + 3 * 2**-25, 2**24 + 1, *[0.0] * 4])
    predictor = loaded("remembering", inputs=("wide",), input_type="float32_rounded", output="values")
    found = answers(predictor, batch(num_rows=4, wide=frozen(values)))
    assert found.tolist() == [float(np.float32(0.1)), 1.0, 1 + 2**-23, 2.0**24]
