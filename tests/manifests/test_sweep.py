import hashlib
import json

import pytest
import yaml

from assay.manifests import Arm, Experiment, ManifestError, parse
from assay.manifests.sweep import Sweep
from tests import builders

BASE = builders.variant(cut=0.5, decoding={"top_k": 5})
PROMPT = "You are a careful assistant. Answer with one word, the class of the message, and nothing else."


def sweep(**fields: object) -> Sweep:
    return Sweep.model_validate_json(json.dumps({"base": BASE, **fields}))


def arms(**fields: object) -> tuple[Arm, ...]:
    return sweep(**fields).arms()


def manifest(*, control: str = "control", arms: dict | None = None, **fields: object) -> str:
    suite = {**builders.SUITE, "plan": {**builders.SUITE["plan"], "control": control}}
    experiment = {"kind": "Experiment", "version": 1, "name": "e", "dataset": "d@v1", "ledger": "ledger"}
    experiment |= {"suite": suite, **fields}
    experiment["arms"] = [{"name": name, "variant": each} for name, each in (arms or {}).items()]
    return yaml.safe_dump(experiment, sort_keys=False)


def experiment(**fields) -> Experiment:
    parsed = parse(manifest(**fields), file="e.yaml", kind="Experiment")
    assert isinstance(parsed, Experiment)
    return parsed


def parameters(arm: Arm) -> dict:
    return dict(arm.variant.parameters)


def test_a_grid_makes_every_combination_and_its_first_path_changes_slowest():
    found = arms(grid={"parameters.cut": [0.25, 0.75], "parameters.precision": ["fp32", "bf16"]})
    assert [(arm.name, parameters(arm)["cut"], parameters(arm)["precision"]) for arm in found] == [
        ("cut-0.25_precision-fp32", 0.25, "fp32"),
        ("cut-0.25_precision-bf16", 0.25, "bf16"),
        ("cut-0.75_precision-fp32", 0.75, "fp32"),
        ("cut-0.75_precision-bf16", 0.75, "bf16"),
    ]


def test_a_list_makes_its_points_and_leaves_the_rest_of_the_base_as_it_is():
    found = arms(list=[{}, {"parameters.decoding.top_k": 9}, {"parameters.decoding.top_p": 0.9, "parameters.cut": 0.1}])
    assert {arm.name: parameters(arm) for arm in found} == {
        "base": {"cut": 0.5, "decoding": {"top_k": 5}},
        "decoding.top_k-9": {"cut": 0.5, "decoding": {"top_k": 9}},
        "decoding.top_p-0.9_cut-0.1": {"cut": 0.1, "decoding": {"top_k": 5, "top_p": 0.9}},
    }


def test_weights_files_cross_with_the_grid_and_stand_first_in_the_name():
    base = {**BASE, "predictor": "torch", "weights": "old.pt", "weights_digest": "sha256:" + "0" * 64}
    swept = sweep(base=base, weights="checkpoints", grid={"parameters.cut": [0.1, 0.2]}, accelerator_type="H100")
    found = swept.arms({"step-9": "c/step-9.pt", "step-10": "c/step-10.pt"})
    assert [(arm.name, arm.variant.weights, arm.variant.weights_digest) for arm in found] == [
        ("step-9_cut-0.1", "c/step-9.pt", None),
        ("step-9_cut-0.2", "c/step-9.pt", None),
        ("step-10_cut-0.1", "c/step-10.pt", None),
        ("step-10_cut-0.2", "c/step-10.pt", None),
    ]
    assert {arm.accelerator_type for arm in found} == {"H100"}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (1, "x-1"),
        (0.0, "x-0"),
        (-0.5, "x--0.5"),
        (1e-9, "x-1e-9"),
        (True, "x-true"),
        (None, "x-null"),
        ("", "x-"),
        ("bf16", "x-bf16"),
        # What a file name cannot hold, or what is long, is told apart by the start of its sha256.
        ("a/b", "x-a-b-c14cddc033"),
        ("a b", "x-a-b-c8687a08aa"),
        (PROMPT, "x-You-are-a-careful-assistant.-9678e10b3d"),
        ([1, 2], "x-1-2-49a64717d5"),
    ],
)
def test_an_arm_is_named_by_what_it_differs_in(value, name):
    (found,) = arms(list=[{"parameters.x": value}])
    assert found.name == name


def test_a_name_starts_with_a_letter_or_a_digit_whatever_the_parameter_is_called():
    assert [arm.name for arm in arms(list=[{"parameters._x": 1}])] == ["x-1"]


def test_names_of_thousands_of_arms_are_names_and_differ():
    values = [f"{PROMPT} {index}" for index in range(50)]
    found = arms(grid={f"parameters.{name}": values for name in ("a_prompt", "_another_prompt")})
    assert len({arm.name for arm in found}) == len(found) == 2500
    assert max(len(arm.name) for arm in found) == 101


def test_the_name_of_an_arm_does_not_depend_on_the_other_arms():
    few = arms(grid={"parameters.x": [PROMPT, 1]})
    many = arms(grid={"parameters.x": [2, "a/b", 1, PROMPT]})
    assert {arm.name for arm in few} < {arm.name for arm in many}


SPACE = {
    "parameters.t": {"between": [-1, 0.5]},
    "parameters.k": {"between": [1, 3], "numbers": "whole"},
    "parameters.p": ["a", "b"],
}


def points(space: dict, count: int, seed: int = 0) -> list[dict]:
    return [parameters(arm) for arm in arms(sample={"of": space, "count": count, "seed": seed})]


def test_a_sample_lies_within_its_bounds_and_reaches_every_part():
    found = points(SPACE, 500)
    assert all(-1 <= point["t"] <= 0.5 for point in found)
    assert sum(point["t"] < -0.25 for point in found) == pytest.approx(250, abs=60)  # 5 standard deviations
    assert {point["k"] for point in found} == {1, 2, 3}
    assert {type(point["k"]) for point in found} == {int}
    assert {point["p"] for point in found} == {"a", "b"}


def test_a_sample_repeats_nothing_and_can_be_everything():
    space = {"parameters.k": {"between": [0, 19], "numbers": "whole"}, "parameters.p": ["a", "b"]}
    found = {(point["k"], point["p"]) for point in points(space, 40)}
    assert found == {(k, p) for k in range(20) for p in "ab"}


def test_a_seed_says_which_points_are_drawn_and_a_larger_count_keeps_them():
    assert points(SPACE, 20) == points(SPACE, 40)[:20]
    assert points(SPACE, 20, seed=1) != points(SPACE, 20)


def test_draws_are_sha256_modulo_the_combinations():
    found = [point["k"] for point in points({"parameters.k": {"between": [0, 9], "numbers": "whole"}}, 3)]
    drawn = (int(hashlib.sha256(f"0:{draw}".encode()).hexdigest(), 16) % 10 for draw in range(100))
    assert found == list(dict.fromkeys(drawn))[:3]


def test_an_experiment_has_its_own_arms_first_and_its_digest_is_that_of_the_same_arms_by_hand():
    swept = experiment(arms=builders.ARMS, sweep={"base": BASE, "grid": {"parameters.cut": [0.1, 0.2]}}).expanded()
    by_hand = {f"cut-{cut}": {**BASE, "parameters": {**BASE["parameters"], "cut": cut}} for cut in (0.1, 0.2)}
    assert [arm.name for arm in swept.arms] == [*builders.ARMS, "cut-0.1", "cut-0.2"]
    assert swept.sweep is None
    assert swept == experiment(arms={**builders.ARMS, **by_hand})
    assert swept.digest() == experiment(arms={**builders.ARMS, **by_hand}).digest()


def test_a_sweep_alone_has_its_control():
    found = experiment(control="cut-0.5", sweep={"base": BASE, "grid": {"parameters.cut": [0.5, 0.6]}}).expanded()
    assert [arm.name for arm in found.arms] == ["cut-0.5", "cut-0.6"]


def test_a_sweep_survives_being_written_as_json():
    for fields in ({"grid": {"parameters.x": [1, {"a": [2]}]}}, {"sample": {"of": SPACE, "count": 5}}, {"list": [{}]}):
        swept = sweep(**fields)
        assert Sweep.model_validate_json(swept.model_dump_json()) == swept


def test_base_and_weights_are_read_from_the_folder_of_the_file_they_stand_in():
    torch = {**BASE, "predictor": "torch", "weights": "w.pt"}
    text = manifest(sweep={"base": "variants/a.yaml", "weights": "checkpoints/*.pt"})
    parsed = parse(text, file="lab/e.yaml", read={"lab/variants/a.yaml": yaml.safe_dump(torch)}.__getitem__)
    assert isinstance(parsed, Experiment)
    assert parsed.sweep is not None
    assert parsed.sweep.base.weights == "lab/variants/w.pt"
    assert parsed.sweep.weights == "lab/checkpoints/*.pt"


def grid(**values: object) -> dict:
    return {"grid": {f"parameters.{name}": value for name, value in values.items()}}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({}, ["sweep", "a grid, a list, a sample or weights"], id="nothing"),
        pytest.param({"grid": {}}, ["sweep.grid", "at least 1"], id="empty_grid"),
        pytest.param({"list": []}, ["sweep.list", "at least 1"], id="empty_list"),
        pytest.param(grid(cut=[]), ["sweep.grid.parameters.cut", "at least 1"], id="no_values"),
        pytest.param(grid(cut=0.5), ["sweep.grid.parameters.cut", "array", "0.5"], id="no_array"),
        pytest.param(grid(cut=[0.1, 0.2, 0.1]), ["sweep.grid.parameters.cut", "0.1 is given twice"], id="twice"),
        pytest.param(grid(cut=[1, 1.0]), ["sweep.grid.parameters.cut", "1 is given twice"], id="equal_in_json"),
        pytest.param({"list": [{"parameters.x": 1}] * 2}, ["sweep.list", '{"parameters.x":1}', "twice"], id="points"),
        pytest.param({"grid": {"paramters.cut": [1]}}, ["sweep.grid", "'paramters.cut'", "parameters.NAME"], id="path"),
        pytest.param({"list": [{"output": "labels"}]}, ["sweep.list[0]", "'output'", "'arms:'"], id="field"),
        pytest.param({"grid": {"weights": ["a.pt"]}}, ["'weights' cannot be swept", "'weights:'"], id="weights"),
        pytest.param({"grid": {"parameters": [{}]}}, ["'parameters' cannot be swept"], id="all_parameters"),
        pytest.param({"grid": {"parameters.cut.x": [1]}}, ["'x'", "inside 0.5", "not a mapping"], id="inside_a_number"),
        pytest.param(grid(x=[1], **{"x.y": [2]}), ["'parameters.x.y' is a part of 'parameters.x'"], id="overlap"),
        pytest.param({**grid(x=[1]), "list": [{}]}, ["one of", "grid and list"], id="two_kinds"),
        pytest.param(grid(x=[*range(101)], y=[*range(100)]), ["10,100 arms", "10,000", "sample"], id="too_many"),
        pytest.param({"sample": {"of": {"parameters.x": [1, 2]}, "count": 3}}, ["count is 3", "2 comb"], id="sample"),
        pytest.param(
            {"sample": {"of": {"parameters.x": {"between": [0, 1]}}, "count": 20_000}},
            ["sweep.sample.count", "20000", "<= 10000"],
            id="sample_too_large",
        ),
        pytest.param(
            {"sample": {"of": {"parameters.x": {"between": [1, 0]}}, "count": 1}},
            ["sweep.sample.of.parameters.x", "[1, 0]", "the first number must be less than the second"],
            id="range_reversed",
        ),
        pytest.param(
            {"sample": {"of": {"parameters.x": {"between": [1, 2.5], "numbers": "whole"}}, "count": 1}},
            ["sweep.sample.of.parameters.x", "2.5", "whole"],
            id="range_not_whole",
        ),
        pytest.param({"grid_": {}}, ["sweep.grid_", "unknown field", "did you mean 'grid'?"], id="typo"),
    ],
)
def test_a_bad_sweep_is_refused_with_value_bound_place_and_remedy(fields, words):
    with pytest.raises(ManifestError) as refused:
        experiment(arms=builders.ARMS, sweep={"base": BASE, **fields})
    for word in ("e.yaml:", *words):
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"control": "cut-0.33"}, ["is 'cut-0.33'", "did you mean 'cut-0.3'?"], id="near"),
        pytest.param({"control": "zzz"}, ["is 'zzz'", "cut-0.5, cut-0.6", "and 4 more"], id="far"),
        pytest.param({"arms": {"cut-0.2": BASE}, "control": "cut-0.2"}, ["unique", "cut-0.2"], id="name_is_taken"),
        pytest.param({"control": "cut-0.2", "base": {**BASE, "output": "labels"}}, ["'cut-0.1'", "log_loss"], id="output"),
    ],
)  # fmt: skip
def test_arms_agree_with_each_other_and_with_the_suite_once_they_are_written_out(fields, words):
    swept = {"base": fields.pop("base", BASE), "grid": {"parameters.cut": [index / 10 for index in range(1, 10)]}}
    with pytest.raises(ManifestError) as refused:
        experiment(**fields, sweep=swept)
    for word in words:
        assert word in str(refused.value)


def test_arms_of_weights_files_are_checked_once_the_files_are_known():
    base = {**BASE, "predictor": "torch"}
    swept = experiment(control="step-2", sweep={"base": base, "weights": "checkpoints"})
    assert [arm.name for arm in swept.expanded({"step-1": "c/1.pt", "step-2": "c/2.pt"}).arms] == ["step-1", "step-2"]
    with pytest.raises(ManifestError, match=r"is 'step-2', .* did you mean 'step-1'\?"):
        swept.expanded({"step-1": "c/1.pt"})
    with pytest.raises(ManifestError, match=r"10,001 arms; allowed: 10,000"):
        swept.expanded({f"step-{index}": f"c/{index}.pt" for index in range(10_001)})


def test_an_experiment_without_arms_is_refused():
    with pytest.raises(ManifestError, match="add 'arms:', a 'sweep:' or both"):
        experiment()
