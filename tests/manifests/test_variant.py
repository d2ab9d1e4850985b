"""What a variant's fields say must fit together."""

import pytest
from pydantic import ValidationError

from assay.manifests import Variant

GIVEN = {"kind": "Variant", "version": 1, "predictor": "torch", "entrypoint": "models:linear", "output": "logits"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"predictor": "callable", "weights": "linear.safetensors"}, "a callable predictor loads its own weights"),
        ({"predictor": "callable", "input_type": "float32"}, "a callable predictor is given arrays as frozen"),
        ({"weights": "linear.pickle"}, "weights end in"),
        ({"weights_digest": "sha256:" + "0" * 64}, "but no weights"),
        ({"inputs": ("a", "b", "a")}, "inputs name 'a' more than once"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields, words):
    with pytest.raises(ValidationError, match=words):
        Variant(**{**GIVEN, **fields})
