import pytest

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.weights import read_weights_file
from assay.evaluator.storage import open_store


def test_the_bytes_are_those_of_the_file(tmp_path):
    file = tmp_path / "net.safetensors"
    file.write_bytes(b"some bytes")
    assert read_weights_file(str(file), store_at=open_store).to_pybytes() == b"some bytes"


def test_a_missing_file_is_named(tmp_path):
    file = tmp_path / "net.safetensors"
    with pytest.raises(VariantError, match="the file does not exist") as caught:
        read_weights_file(str(file), store_at=open_store)
    assert str(file) in str(caught.value)
    assert caught.value.exit_code == 2
