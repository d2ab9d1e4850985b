import io
import pickle
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.predictor import Batch, PredictionError
from tests.evaluator.predictors import entrypoints
from tests.evaluator.predictors.builders import HERE, answers, batch, frozen, loaded


def _linear(seed=0):
    torch.manual_seed(seed)
    module = entrypoints.linear()
    module.norm.running_mean.normal_()
    return module.eval()


def _safetensors(state) -> bytes:
    return safetensors.torch.save(dict(state))


def _torch_file(content) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _predictor(seed=0):
    return loaded("linear", inputs=("left", "right"), weights=_safetensors(_linear(seed).state_dict()))


@pytest.mark.parametrize(("file", "saved"), [("linear.safetensors", _safetensors), ("linear.pt", _torch_file)])
def test_the_answer_is_that_of_the_filled_module_in_eval_mode(file, saved):
    module, rows = _linear(), batch()
    predictor = loaded("linear", inputs=("left", "right"), weights=saved(module.state_dict()), file=file)
    left, right = (torch.tensor(np.array(rows.features[name])) for name in ("left", "right"))
    with torch.no_grad():
        expected = module(left, right).numpy()
    np.testing.assert_array_equal(answers(predictor, rows), expected[:5])


def test_inputs_are_given_in_their_order():
    weights = _safetensors(_linear().state_dict())
    forth = answers(loaded("linear", inputs=("left", "right"), weights=weights), batch())
    back = answers(loaded("linear", inputs=("right", "left"), weights=weights), batch())
    assert not np.allclose(forth, back)


def test_padding_never_reaches_a_real_row():
    rows = batch(num_rows=5)
    other = {name: np.array(column) for name, column in rows.features.items()}
    for column in other.values():
        column[5:] = 1e6
    predictor = _predictor()
    found = answers(predictor, rows)
    np.testing.assert_array_equal(found, answers(predictor, Batch(features=other, num_rows=5)))
    assert found.shape == (5, 4)


def test_a_module_that_works_in_place_leaves_the_shard_alone():
    rows = batch()
    before = rows.features["left"].copy()
    assert not answers(loaded("in_place"), rows).any()
    np.testing.assert_array_equal(rows.features["left"], before)


def test_memory_that_a_module_never_wrote_to_reads_as_nan_under_deterministic_algorithms():
    """Staging the inputs switches that filling off, so it must be on again when the module's own code runs."""
    torch.use_deterministic_algorithms(True)
    try:
        assert np.isnan(answers(loaded("never_written"), batch(), batch(seed=1))).all()
    finally:
        torch.use_deterministic_algorithms(False)


def test_read_only_rows_draw_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers(loaded("echo"), batch())


def test_the_module_runs_in_inference_mode_without_gradients():
    assert answers(loaded("mode", output="values"), batch()).tolist() == [1.0] * 5


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float32", "float64"]
)
def test_every_type_of_a_contract_arrives_as_it_is(dtype, monkeypatch):
    seen = []

    def keep(left):
        seen.append(left)
        return left.double()

    monkeypatch.setattr(entrypoints, "echo", lambda: entrypoints._Function(keep))
    column = np.arange(24).reshape(8, 3).astype(dtype)
    answers(loaded("echo"), Batch(features={"left": column}, num_rows=8))
    np.testing.assert_array_equal(seen[0].numpy(), column)
    assert seen[0].numpy().dtype == column.dtype


def test_a_strided_view_arrives_in_its_own_order():
    column = frozen(np.arange(48, dtype=np.float32).reshape(8, 6))[:, ::-2]
    np.testing.assert_array_equal(answers(loaded("echo"), Batch(features={"left": column}, num_rows=8)), column)


def test_a_module_may_give_the_same_tensor_for_every_batch():
    batches = [batch(seed=seed) for seed in (1, 2)]
    found = answers(loaded("one_tensor"), *batches)
    np.testing.assert_array_equal(found, np.concatenate([rows.features["left"][:5] for rows in batches]))


def test_a_module_may_keep_what_it_was_given():
    batches = [batch(seed=seed) for seed in (1, 2, 3)]
    found = answers(loaded("first_of_all"), *batches)
    np.testing.assert_array_equal(found, np.concatenate([batches[0].features["left"][:5]] * 3))


def test_one_batch_more_changes_no_earlier_answer():
    batches = [batch(seed=seed) for seed in range(4)]
    predictor = _predictor()
    found = answers(predictor, *batches)
    np.testing.assert_array_equal(found, np.concatenate([answers(predictor, each) for each in batches]))


def test_copying_and_the_modules_own_work_are_told_apart():
    found = loaded("sleeping").predict([batch(), batch(seed=1)])
    assert found.copy_s > 0
    assert found.forward_s >= 2 * 0.02
    assert found.copy_s + found.forward_s <= sum(found.batch_times_s)


def test_batches_are_taken_one_by_one():
    taken = []

    def batches():
        for seed in range(50):
            taken.append(seed)
            yield batch(seed=seed)

    with pytest.raises(PredictionError):
        loaded("raising").predict(batches())
    assert taken == [0]


def test_an_answer_that_changes_its_shape_between_batches_is_refused():
    with pytest.raises(
        PredictionError, match=r"\(rows, 3\) for some batches and \(rows, 4\).*one shape for every batch"
    ):
        answers(loaded("growing"), batch(), batch())


def test_bfloat16_answers_come_as_float32():
    found = answers(loaded("half_precision"), batch())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, batch().features["left"][:5], rtol=2**-8)


def test_released_means_gone():
    predictor = _predictor()
    predictor.release()
    with pytest.raises(AssertionError, match="released"):
        answers(predictor, batch())


@pytest.mark.parametrize(
    ("function", "output", "named"),
    [
        ("tuple_of_tensors", "logits", ["tuple", "one tensor"]),
        ("one_row", "logits", ["8 rows", "(1, 3)", "one entry per row of the batch"]),
        ("four_axes", "logits", ["(8, 3, 1, 1)", "(rows, classes)"]),
        ("echo", "values", ["(8, 3)", "allowed: (rows,)"]),
        ("mode", "labels", ["float32", "integers or class names", "argmax"]),
        ("raising", "logits", ["raising failed", "left float32 (8, 3)", "RuntimeError"]),
    ],
)
def test_an_answer_of_another_form_is_refused(function, output, named):
    with pytest.raises(PredictionError) as caught:
        answers(loaded(function, output=output), batch())
    for word in [f"{HERE}:{function}", *named]:
        assert word in str(caught.value)


def test_strings_are_no_input_of_a_torch_variant():
    text = np.array(["x"] * 8, dtype=object)
    with pytest.raises(PredictionError, match=r"'text' holds strings.*callable"):
        answers(loaded("echo", inputs=("text",)), batch(text=text))


def test_an_unknown_input_is_refused_with_the_nearest_name():
    with pytest.raises(PredictionError, match="did you mean 'left'"):
        answers(loaded("echo", inputs=("lefft",)), batch())


def test_a_full_device_is_told_apart_from_a_faulty_variant(monkeypatch):
    def full(left):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(entrypoints, "raising", lambda: entrypoints._Function(full))
    with pytest.raises(torch.OutOfMemoryError):
        answers(loaded("raising"), batch())


@pytest.mark.parametrize(
    ("function", "parameters", "named"),
    [
        ("no_module", {}, ["returned str", "torch.nn.Module", "predictor: callable"]),
        ("failing_to_build", {}, ["RuntimeError: no such backbone"]),
        ("linear", {"hiden": 3}, ["did you mean 'hidden'?"]),
    ],
)
def test_an_entrypoint_that_builds_no_module_is_refused(function, parameters, named):
    with pytest.raises(VariantError) as caught:
        loaded(function, parameters=parameters)
    for word in named:
        assert word in str(caught.value)


def _renamed(state):
    return {name.replace("layer", "layr"): value for name, value in state.items()}


def _reshaped(state):
    return {**state, "layer.weight": torch.zeros(4, 5)}


def _whole(state):
    return {**state, "layer.weight": torch.zeros(4, 3, dtype=torch.int8)}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (_renamed, ["2 missing: layer.bias, layer.weight", "2 unexpected: layr.bias", "did you mean 'layer.bias'?"]),
        (_reshaped, ["layer.weight is float32 (4, 5), expected float32 (4, 3)", "check the entrypoint's parameters"]),
        (_whole, ["layer.weight is int8 (4, 3), expected float32 (4, 3)"]),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name_and_shape(changed, named):
    with pytest.raises(VariantError) as caught:
        loaded("linear", weights=_safetensors(changed(_linear().state_dict())))
    for word in ["linear.safetensors", *named]:
        assert word in str(caught.value)


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    ("content", "file", "named"),
    [
        (b"nothing of the kind", "linear.safetensors", ["not a safetensors file"]),
        (b"", "linear.safetensors", ["not a safetensors file"]),
        (b"nothing of the kind", "linear.pt", ["does not hold plain tensors"]),
        (b"", "linear.pt", ["does not hold plain tensors", "EOFError"]),
        (
            _torch_file({"state_dict": {}, "epoch": 3}),
            "linear.pt",
            ["more than named tensors", "save only its state_dict entry"],
        ),
        (_torch_file([torch.zeros(1)]), "linear.pt", ["more than named tensors", "list"]),
    ],
)
def test_a_weights_file_of_another_form_is_refused(content, file, named):
    with pytest.raises(VariantError) as caught:
        loaded("linear", weights=content, file=file)
    for word in [file, *named]:
        assert word in str(caught.value)


def test_a_pickle_in_a_weights_file_is_never_run(tmp_path):
    target = tmp_path / "written"
    with pytest.raises(VariantError, match=r"the object (io|_io)\.open.*never executed"):
        loaded("linear", weights=_torch_file({"w": Payload(target)}), file="linear.pt")
    with pytest.raises(VariantError, match="never executed"):
        loaded("linear", weights=pickle.dumps({"w": Payload(target)}, protocol=2), file="linear.bin")
    assert not target.exists()
