from pathlib import Path

import pytest

from assay.manifests import CallableVariant, Contract, Experiment, Manifest, Plan, Policy, Suite, TorchVariant, parse

FOLDER = Path(__file__).parents[2] / "manifests" / "examples"
EXAMPLES: dict[str, type[Manifest]] = {
    "contract.yaml": Contract,
    "contract_weather.yaml": Contract,
    "experiment.yaml": Experiment,
    "plan.yaml": Plan,
    "policy.yaml": Policy,
    "suite.yaml": Suite,
    "sweep.yaml": Experiment,
    "variant_callable.yaml": CallableVariant,
    "variant_torch.yaml": TorchVariant,
}


def _parsed(name: str) -> Manifest:
    file = FOLDER / name
    return parse(file.read_text(), file=str(file), read=lambda path: Path(path).read_text())


def test_every_file_of_the_folder_is_an_example_that_is_parsed():
    assert {file.name for file in FOLDER.iterdir()} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_the_manifest_its_name_says(name):
    assert type(_parsed(name)) is EXAMPLES[name]


def test_the_plan_stands_there_in_full_with_its_defaults():
    plan = _parsed("plan.yaml")
    least = parse("{kind: Plan, version: 1, control: baseline}", file="least.yaml")
    assert plan.digest() == least.digest()
    unwritten = {"metric"}  # a table with one score per row has no metric to name
    assert plan.model_fields_set == set(Plan.model_fields) - unwritten


def test_the_experiment_is_composed_of_the_other_files():
    experiment = _parsed("experiment.yaml")
    assert isinstance(experiment, Experiment)
    assert experiment.suite == _parsed("suite.yaml")
    assert experiment.suite.policy == _parsed("policy.yaml")
    assert [arm.variant for arm in experiment.arms] == [_parsed("variant_callable.yaml"), _parsed("variant_torch.yaml")]
    assert experiment.arms[1].variant.weights == str(FOLDER / "weights" / "classifier.safetensors")


def test_the_examples_speak_of_the_same_columns():
    contract, experiment = _parsed("contract.yaml"), _parsed("experiment.yaml")
    assert isinstance(contract, Contract)
    assert isinstance(experiment, Experiment)
    role = {column.name: column.role for column in contract.columns}
    for arm in experiment.arms:
        assert {role[name] for name in arm.variant.inputs} == {"feature"}
    assert role[experiment.suite.plan.columns.segment or ""] == "segment"
    assert role[experiment.suite.plan.columns.cluster or ""] == "cluster"


def test_the_readmes_suite_is_one():
    readme = (FOLDER.parents[1] / "stats" / "README.md").read_text()
    section = readme[readme.index("## A suite with guardrails and a policy") :]
    suite = parse(section.split("```yaml")[1].split("```")[0], file="stats/README.md")
    assert isinstance(suite, Suite)
    assert {rule.kind for rule in suite.plan.guardrails} >= {"segments", "latency", "group_gap"}
