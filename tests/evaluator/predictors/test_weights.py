import pytest

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.weights import read_weights
from tests.evaluator.predictors.builders import variant


def test_the_bytes_are_those_of_the_file(tmp_path):
    file = tmp_path / "net.safetensors"
    file.write_bytes(b"some bytes")
    found = read_weights(variant("linear", weights=str(file)))
    assert found is not None
    assert found.to_pybytes() == b"some bytes"


def test_a_variant_without_weights_has_none():
    assert read_weights(variant("linear")) is None


def test_a_missing_file_is_named(tmp_path):
    file = tmp_path / "net.safetensors"
    with pytest.raises(VariantError, match="the file does not exist") as caught:
        read_weights(variant("linear", weights=str(file)))
    assert str(file) in str(caught.value)
    assert caught.value.exit_code == 2
