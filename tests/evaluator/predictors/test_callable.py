import numpy as np
import pytest

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.predictor import Batch, PredictionError
from tests.evaluator.predictors import entrypoints
from tests.evaluator.predictors.builders import HERE, answers, batch, loaded


def _called(function, *, inputs=("left",), output="values", **parameters):
    return loaded(function, predictor="callable", inputs=inputs, output=output, parameters=parameters)


def test_the_function_is_given_its_inputs_and_parameters():
    rows = batch()
    found = answers(_called("sums", inputs=("left", "right"), scale=2.0), rows)
    expected = 2.0 * (rows.features["left"].sum(axis=1) + rows.features["right"].sum(axis=1))
    np.testing.assert_array_equal(found, expected[:5])


def test_features_come_in_the_order_of_the_inputs_and_no_others():
    found = answers(_called("names_of_inputs", inputs=("right", "left"), output="labels"), batch())
    assert found.tolist() == ["right+left"] * 5
    assert found.dtype == object


def test_strings_reach_the_function():
    text = np.array(["a", "bc", ""] + [""] * 5, dtype=object)
    found = answers(_called("lengths_of_text", inputs=("text",)), Batch(features={"text": text}, num_rows=3))
    assert found.tolist() == [1.0, 2.0, 0.0]


def test_a_function_cannot_change_what_other_arms_read():
    writeable = {"left": np.ones((8, 3), dtype=np.float32)}
    with pytest.raises(PredictionError, match=r"writing failed on a batch of 8 rows: ValueError: .*read-only"):
        answers(_called("writing"), Batch(features=writeable, num_rows=8))
    assert writeable["left"].all()


@pytest.mark.parametrize(
    ("value", "output", "expected"),
    [
        ([[0.5]] * 8, "logits", np.full(8, 0.5)),  # one number per row, as a column
        ([[0.5, 0.5]] * 8, "probabilities", np.full((8, 2), 0.5)),
        ([1] * 8, "labels", np.ones(8, dtype=np.int64)),
        ([True] * 8, "labels", np.ones(8, dtype=np.int64)),
        (["a"] * 8, "labels", np.array(["a"] * 8, dtype=object)),
        ([1] * 8, "values", np.ones(8, dtype=np.float64)),
    ],
)
def test_array_likes_are_answers(value, output, expected):
    found = answers(_called("returning", output=output, value=value), batch(num_rows=8))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize(
    ("value", "output", "named"),
    [
        (None, "values", ["shape ()"]),
        ([1.0] * 7, "values", ["shape (7,)", "8 rows"]),
        ([[1.0], [1.0, 2.0]], "values", ["list", "cannot be converted to an array"]),
        (["a"] * 8, "values", ["object", "real numbers"]),
        ([0.5] * 8, "labels", ["float64", "class names"]),
        ([["a", "b"]] * 8, "labels", ["(8, 2)", "allowed: (rows,)"]),
        ([{}] * 8, "labels", ["object", "integers or class names"]),
    ],
)
def test_anything_else_is_refused(value, output, named):
    with pytest.raises(PredictionError) as caught:
        answers(_called("returning", output=output, value=value), batch())
    for word in [f"{HERE}:returning", f"output: {output}", *named]:
        assert word in str(caught.value)


def test_a_parameter_that_the_function_does_not_take_is_refused_on_loading():
    with pytest.raises(VariantError, match="did you mean 'scale'"):
        _called("sums", scael=2.0)


def test_a_function_may_give_the_same_array_for_every_batch():
    batches = [batch(seed=seed) for seed in (1, 2)]
    found = answers(_called("one_array"), *batches)
    np.testing.assert_array_equal(found, np.concatenate([rows.features["left"][:5, 0] for rows in batches]))


def test_every_batch_has_its_time():
    assert all(seconds > 0 for seconds in _called("sums").predict([batch(), batch()]).batch_times_s)


@pytest.mark.parametrize(("entrypoint", "load"), [("Factor", False), ("load_factor", True)])
def test_a_load_step_is_called_once_with_parameters_and_weights_and_its_result_with_every_batch(
    tmp_path, entrypoint, load
):
    (tmp_path / "factor").write_text("3.0")
    entrypoints.NUM_LOADS.clear()
    predictor = loaded(
        entrypoint,
        predictor="callable",
        output="values",
        parameters={"offset": 1.0},
        weights_location=str(tmp_path / "factor"),
        load=load,
    )
    for _ in range(3):
        rows = batch()
        np.testing.assert_allclose(answers(predictor, rows), (3.0 * rows.features["left"].sum(axis=1) + 1.0)[:5])
    assert [str(tmp_path / "factor")] == entrypoints.NUM_LOADS


def test_a_list_of_weights_is_a_list_of_paths(tmp_path):
    paths = []
    for name in ("1.0", "2.0"):
        (tmp_path / name).write_text(name)
        paths.append(str(tmp_path / name))
    predictor = loaded("load_factors", predictor="callable", output="values", weights_location=tuple(paths), load=True)
    rows = batch()
    np.testing.assert_allclose(answers(predictor, rows), 3.0 * rows.features["left"].sum(axis=1)[:5])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"entrypoint": "sums", "weights_location": "x"}, ["cannot take weights", "load: true"]),
        ({"entrypoint": "Factor"}, ["weights"]),  # a required argument is missing
        ({"entrypoint": "Factor", "weights_location": "x", "parameters": {"ofset": 1}}, ["did you mean 'offset'?"]),
        ({"entrypoint": "load_nothing", "load": True}, ["must return a function of a batch", "NoneType"]),
    ],
)
def test_a_load_step_that_does_not_fit_is_refused(fields, named):
    with pytest.raises(VariantError) as caught:
        loaded(fields.pop("entrypoint"), predictor="callable", output="values", **fields)
    for word in named:
        assert word in str(caught.value)


def test_a_column_that_is_not_passed_is_named_with_those_that_are():
    with pytest.raises(PredictionError, match=r"KeyError: 'text'; the variant receives the columns left: its 'inputs'"):
        answers(_called("lengths_of_text"), batch())


def test_a_misspelt_parameter_is_shown_with_the_weights_that_were_given(tmp_path):
    (tmp_path / "factor").write_text("3.0")
    with pytest.raises(VariantError, match=r"got \{'ofset': 1.0, 'weights': '.*factor'\}.*did you mean 'offset'"):
        loaded(
            "load_factor",
            predictor="callable",
            output="values",
            parameters={"ofset": 1.0},
            weights_location="folder/factor",
            load=True,
        )
