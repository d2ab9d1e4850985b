"""The fields of a variant must be consistent with each other."""

import pytest
from pydantic import ValidationError

from assay.manifests import Variant

GIVEN = {"kind": "Variant", "version": 1, "predictor": "torch", "entrypoint": "models:linear", "output": "logits"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"predictor": "callable", "input_type": "float32"},
            "input_type needs predictor: torch; a callable receives arrays of the stored types",
        ),
        ({"weights": "linear.pickle"}, "weights is 'linear.pickle', but must end in"),
        ({"weights": ("a.pt", "b.pt")}, "weights is a list, but predictor: torch loads one file"),
        ({"load": True}, "load is for predictor: callable"),
        ({"weights_digest": "sha256:" + "0" * 64}, "weights_digest is given without weights"),
        ({"inputs": ("a", "b", "a")}, "inputs has 'a' more than once"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields, words):
    with pytest.raises(ValidationError, match=words):
        Variant(**{**GIVEN, **fields})
