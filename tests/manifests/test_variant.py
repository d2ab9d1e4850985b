"""The fields of a variant must be consistent with each other, and what one kind has is that kind's alone."""

import pytest
import yaml

from assay.manifests import CallableVariant, ManifestError, TorchVariant, parse
from tests import builders

GIVEN = {"kind": "Variant", "version": 1, "predictor": "torch", "entrypoint": "models:linear", "output": "logits"}
EXPERIMENT = {"kind": "Experiment", "version": 1, "name": "e", "dataset": "datasets/d@v1", "ledger": "ledger"}


def _text(fields: dict) -> str:
    return yaml.safe_dump({**GIVEN, **fields}, sort_keys=False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"predictor": "callable", "input_type": "float32"},
            ["v.yaml:6: input_type: unknown field; got float32; only 'predictor: torch' can have it"],
        ),
        ({"load": True}, ["v.yaml:6: load: unknown field; got True; only 'predictor: callable' can have it"]),
        ({"wieghts": "a.pt"}, ["v.yaml:6: wieghts: unknown field; got a.pt; did you mean 'weights'?"]),
        ({"weights": "linear.pickle"}, ["v.yaml:6: weights: 'linear.pickle' must end in .safetensors"]),
        ({"weights": ["a.pt", "b.pt"]}, ["v.yaml:6: weights: a list, but predictor: torch loads one file"]),
        ({"weights_digest": "sha256:" + "0" * 64}, ["v.yaml:1: weights_digest is given without weights"]),
        ({"inputs": ["a", "b", "a"]}, ["v.yaml:1: inputs has 'a' more than once"]),
        ({"output": "logit"}, ["v.yaml:5: output: ", "got logit"]),
        ({"predictor": "troch"}, ["v.yaml:3: predictor: not one of the allowed values; got troch", "did you mean 'torch'?"]),
        ({"predictor": ["torch"]}, ["v.yaml:3: predictor: "]),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused_at_its_line(fields, words):
    with pytest.raises(ManifestError) as refused:
        parse(_text(fields), file="v.yaml")
    for word in words:
        assert word in str(refused.value)


def test_a_variant_without_a_kind_is_told_to_name_one():
    fields = {name: value for name, value in GIVEN.items() if name != "predictor"}
    with pytest.raises(ManifestError, match=r"^v\.yaml:\d+: predictor: required field is missing; add 'predictor:'"):
        parse(yaml.safe_dump(fields), file="v.yaml")


def test_a_number_in_place_of_a_variant_is_told_what_belongs_there():
    arms = [{"name": "a", "variant": 5}]
    with pytest.raises(ManifestError, match=r"arms\[0\]\.variant: input should be an object; got 5; .*path of a file"):
        parse(yaml.safe_dump({"arms": arms, "suite": builders.SUITE, **EXPERIMENT}), file="e.yaml")


def test_each_kind_has_its_own_fields():
    assert set(TorchVariant.model_fields) - set(CallableVariant.model_fields) == {"input_type"}
    assert set(CallableVariant.model_fields) - set(TorchVariant.model_fields) == {"load", "writes_inputs"}


def test_an_error_in_an_arm_is_placed_without_the_name_of_the_kind():
    arms = [{"name": "a", "variant": {**GIVEN, "inptus": ["x"]}}]
    with pytest.raises(ManifestError, match=r"arms\[0\]\.variant\.inptus: unknown field; .*did you mean 'inputs'"):
        parse(yaml.safe_dump({"kind": "Experiment", "version": 1, "arms": arms}), file="e.yaml")


def test_an_error_in_a_field_named_like_a_kind_of_guardrail_is_placed_at_the_field_that_is_wrong():
    rule = {"kind": "metric", "metric": "log_loss", "margin": -1}
    plan = {"kind": "Plan", "version": 1, "control": "a", "guardrails": [rule]}
    with pytest.raises(ManifestError, match=r"guardrails\[0\]\.margin: .*got -1"):
        parse(yaml.safe_dump(plan), file="p.yaml")
