import json

import pytest
import yaml
from pydantic import TypeAdapter

from assay.manifests import KINDS, ManifestError, parse
from tests import builders

SUITE = yaml.safe_dump(builders.SUITE, sort_keys=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", ["f.yaml", "empty"], id="empty"),
        pytest.param("a: [", ["f.yaml:1", "not YAML"], id="not_yaml"),
        pytest.param("\x00", ["f.yaml", "not YAML", "#x0000"], id="not_text"),
        pytest.param("a: &a [*a]", ["f.yaml", "contains itself"], id="endless"),
        pytest.param("- 1", ["unknown kind of manifest", "start the file with 'kind:"], id="a_list"),
        pytest.param("kind: Suit", ["f.yaml:1", "Suit", "did you mean 'Suite'?"], id="kind_misspelt"),
        pytest.param("kind: Plan\nversion: 1", ["control", "required field is missing", "add 'control:'"], id="missing"),
        pytest.param("kind: Plan\nversion: 2\ncontrol: a", ["f.yaml:2", "version", "2", "1"], id="version"),
        pytest.param("kind: Plan\nversion: 1\ncontrol: a\nalpha: 0.7", ["f.yaml:4: alpha", "0.7", "< 0.5"], id="bound"),
        pytest.param("kind: Plan\nversion: 1\ncontrol: a\nalpha: .nan", ["alpha", "finite"], id="nan"),
        pytest.param("kind: Plan\nversion: 1\ncontrol: a\ncontrol: b", ["f.yaml:4: control", "twice"], id="key_twice"),
        pytest.param("kind: Plan\nversion: 1\ncontrol: 2024-01-01", ["f.yaml:3", "date", "quotes"], id="date"),
        pytest.param("kind: Plan\nversion: 1\ncontrol: a\nfamily: dunet", ["family", "dunet", "'dunnett'"], id="literal"),
        pytest.param("kind: Plan\nversion: 1\ncontrol: a\nalpah: 1\nx: 2", ["'alpha'?", "1 more problem"], id="two"),
        pytest.param("kind: Plan\nversion: 1\ncontrol: a\ncolumns: {rwo: x}", ["columns.rwo", "'row'?"], id="nested"),
        pytest.param("kind: Plan\nversion: 1\ncontrol: a\ncolumns: {row: null}", ["paired", "columns.row"], id="unpairable"),
        pytest.param(SUITE.replace("metric: accuracy", "metric: acuracy"), ["'acuracy'", "did you mean 'accuracy'?"], id="metric"),
        pytest.param(SUITE.replace("metric: accuracy", "metric: auroc"), ["auroc", "use 'scale: continuous' in the plan"], id="corpus_primary"),
        pytest.param(SUITE.replace("scale: binary", "scale: continuous"), ["plan.scale", "binary"], id="scale"),
        pytest.param(yaml.safe_dump({**builders.SUITE, "plan": "p.yaml"}), ["plan", "the path of a file"], id="unread_reference"),
    ],
)  # fmt: skip
def test_a_broken_manifest_is_refused_with_its_place_and_remedy(text, words):
    with pytest.raises(ManifestError) as refused:
        parse(text, file="f.yaml")
    for word in words:
        assert word in str(refused.value)


def test_locations_are_taken_from_the_folder_of_the_file_they_stand_in():
    files = {
        "lab/variants/a.yaml": yaml.safe_dump({**_torch_variant(), "weights": "../weights/a.safetensors"}),
        "lab/suite.yaml": SUITE,
    }
    text = yaml.safe_dump(_experiment("variants/a.yaml"))
    experiment = parse(text, file="lab/experiment.yaml", kind="Experiment", read=files.__getitem__)
    assert experiment.arms[0].variant.weights == "lab/weights/a.safetensors"
    assert experiment.ledger == "s3://bucket/ledger"


def test_a_broken_reference_is_reported_at_its_own_file_and_line():
    files = {"suite.yaml": SUITE.replace("batch_size: 32", "batch_size: eight")}
    with pytest.raises(ManifestError, match=r"^suite\.yaml:3: batch_size: .*got eight"):
        parse(yaml.safe_dump(_experiment(_torch_variant())), file="e.yaml", read=files.__getitem__)


def test_where_something_lies_does_not_change_what_it_is():
    here = parse(yaml.safe_dump({**_torch_variant(), "weights": "here.pt"}), file="v.yaml")
    there = parse(yaml.safe_dump({**_torch_variant(), "weights": "there.pt"}), file="v.yaml")
    other = parse(yaml.safe_dump({**_torch_variant(), "parameters": {"width": 2}}), file="v.yaml")
    assert here.digest() == there.digest() != other.digest()


def test_order_and_notation_do_not_change_a_digest_but_any_value_does():
    plan = {"kind": "Plan", "version": 1, "control": "a", "margins": {"b": 1, "c": 0.5}}
    first = parse(yaml.safe_dump(plan), file="p.yaml")
    second = parse(json.dumps(dict(reversed(plan.items()))), file="p.json")
    changed = parse(yaml.safe_dump({**plan, "alpha": 0.01}), file="p.yaml")
    assert first.digest() == second.digest() != changed.digest()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_of_every_kind_is_described(kind):
    def described(node: dict) -> None:
        for name, field in node.get("properties", {}).items():
            assert "description" in field or "$ref" in field or "allOf" in field, f"{kind}: {name}"

    schema = TypeAdapter(KINDS[kind]).json_schema()
    described(schema)
    for part in schema.get("$defs", {}).values():
        described(part)


def test_a_manifest_cannot_be_changed():
    variant = parse(yaml.safe_dump({**_torch_variant(), "parameters": {"a": 1}}), file="v.yaml")
    with pytest.raises(ValueError, match="frozen"):
        variant.output = "values"
    with pytest.raises(TypeError):
        variant.parameters["a"] = 2


def _torch_variant() -> dict:
    return {"kind": "Variant", "version": 1, "predictor": "torch", "entrypoint": "m:f", "output": "logits"}


def _experiment(variant) -> dict:
    return {
        "kind": "Experiment",
        "version": 1,
        "name": "e",
        "dataset": "datasets/d@v1",
        "suite": "suite.yaml",
        "arms": [{"name": "control", "variant": variant}],
        "ledger": "s3://bucket/ledger",
    }
