"""Weights files of a sweep become arms, and what arms share is read only once."""

import hashlib
import sys
from pathlib import Path

import pytest
import yaml

from assay.cluster.prepare import resolve, sweep
from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.weights_files import weights_files
from assay.evaluator.storage import open_store
from assay.manifests import Experiment, InvalidInput
from tests import builders
from tests.seaweed import BUCKET

FILES = [
    "step-2.safetensors",
    "step-10.safetensors",
    "step-1.safetensors",
    "step-1.json",
    "other.bin",
    "run-a/5/model.pt",
    "run-a/5/optimizer.pt",
    "run-a/12/model.pt",
    "run-b/5/model.pt",
]


def put(uri: str) -> str:
    store = open_store(uri)
    for key in FILES:
        store.put_if_absent(key, key.encode())
    return uri


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", ["other", "step-1", "step-2", "step-10"]),
        ("/", ["other", "step-1", "step-2", "step-10"]),
        ("/*", ["other", "step-1", "step-2", "step-10"]),
        ("/step-*", ["step-1", "step-2", "step-10"]),
        ("/step-?.safetensors", ["step-1", "step-2"]),
        ("/step-[2-9].*", ["step-2"]),
        ("/other.bin", ["other"]),  # no pattern at all
        ("/run-a/*/model.pt", ["5", "12"]),
        ("/run-*/*/model.pt", ["run-a-5", "run-a-12", "run-b-5"]),
        ("/run-b/5", ["model"]),
    ],
)
def test_weights_files_come_in_natural_order_named_by_what_the_pattern_leaves_open(tmp_path, pattern, names):
    folder = put(str(tmp_path / "checkpoints"))
    found = sweep.weights_files(folder + pattern)
    assert list(found) == names
    for location in found.values():
        assert Path(location).read_text() == location.removeprefix(f"{folder}/")


def test_weights_files_of_a_bucket_are_found_by_the_same_patterns(s3):
    folder = put(f"s3://{BUCKET}/sweeps")
    assert list(sweep.weights_files(folder)) == ["other", "step-1", "step-2", "step-10"]
    assert sweep.weights_files(f"{folder}/run-*/5/model.pt") == {
        "run-a": f"{folder}/run-a/5/model.pt",
        "run-b": f"{folder}/run-b/5/model.pt",
    }


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        pytest.param("/*.pt", ["no weights file matches", "other.bin, run-a/5/model.bin", ".safetensors"], id="none"),
        pytest.param("/gone", ["no weights file matches", "no files"], id="no_folder"),
        pytest.param("/gone.pt", ["no weights file matches", "no files"], id="no_file"),
        pytest.param(
            "/run-a/5", ["two weights files give arms of the same name", "model.bin and model.pt"], id="one_name"
        ),
    ],
)
def test_files_that_make_no_arms_are_refused(tmp_path, pattern, words):
    folder = put(str(tmp_path / "checkpoints"))
    Path(folder, "run-a/5/model.bin").write_bytes(b"the same in another form")
    with pytest.raises(InvalidInput) as refused:
        sweep.weights_files(folder + pattern)
    for word in (folder + pattern, "sweep.weights", *words):
        assert word in str(refused.value)


def test_a_link_to_nothing_is_refused_when_it_is_read(tmp_path):
    (tmp_path / "step-1.pt").symlink_to(tmp_path / "gone.pt")
    (location,) = sweep.weights_files(str(tmp_path)).values()
    with pytest.raises(InvalidInput, match=r"step-1\.pt: weights: there is no such file"):
        weights_files([location], store_at=open_store)


def write_swept(folder: Path, sweep: dict, *, control: str = "control", arms: dict | None = None) -> Path:
    """An experiment with a sweep, and in its folder a module that the sweep may name."""
    suite = {**builders.SUITE, "plan": {**builders.SUITE["plan"], "control": control}}
    path = builders.write_experiment(folder, suite=suite)
    content = yaml.safe_load(path.read_text())
    content["arms"] = [{"name": name, "variant": each} for name, each in (arms or {}).items()]
    path.write_text(yaml.safe_dump({**content, "sweep": sweep}, sort_keys=False))
    return path


def resolved(path: Path) -> Experiment:
    return resolve.resolved(resolve.read_experiment(str(path)), resolve.import_paths(str(path)))[0]


def test_a_resolved_sweep_is_the_experiment_that_has_the_same_arms_by_hand(tmp_path):
    grid = {"parameters.flip_every": [2, 5]}
    found = resolved(write_swept(tmp_path, {"base": builders.variant(), "grid": grid}, control="flip_every-5"))
    by_hand = {f"flip_every-{n}": builders.variant(flip_every=n) for n in (2, 5)}
    suite = {**builders.SUITE, "plan": {**builders.SUITE["plan"], "control": "flip_every-5"}}
    expected = resolved(builders.write_experiment(tmp_path, arms=by_hand, suite=suite))
    assert found == expected
    assert found.digest() == expected.digest()
    assert all(arm.variant.code_digest for arm in found.arms)


def test_a_misspelt_parameter_is_refused_before_anything_runs(tmp_path):
    sweep = {"base": builders.variant(), "grid": {"parameters.flip_evry": [2, 5]}}
    path = write_swept(tmp_path, sweep, arms=builders.ARMS)
    with pytest.raises(VariantError, match=r"arm 'flip_evry-2': parameters: .* did you mean 'flip_every'\?"):
        resolved(path)


def test_each_weights_file_has_its_digest_and_is_read_once_though_many_arms_share_it(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for step in (1, 2):
        (folder / f"step-{step}.safetensors").write_bytes(f"weights {step}".encode())
    base = {**builders.variant(), "predictor": "torch", "entrypoint": "torch_variants:build"}
    sweep = {"base": base, "weights": "checkpoints", "grid": {"parameters.sharpness": [1, 2]}}
    path = write_swept(tmp_path, sweep, control="step-1_sharpness-1")
    (tmp_path / "torch_variants.py").write_text("def build(*, sharpness):\n    pass\n")
    read = []
    module = sys.modules["assay.evaluator.predictors.weights_files"]
    file_digest = module.file_digest
    monkeypatch.setattr(
        module, "file_digest", lambda file, **options: read.append(file.name) or file_digest(file, **options)
    )
    found = resolved(path)
    assert read == ["step-1.safetensors", "step-2.safetensors"]
    first, second = (f"sha256:{hashlib.sha256(f'weights {step}'.encode()).hexdigest()}" for step in (1, 2))
    assert {arm.name: arm.variant.weights_digest for arm in found.arms} == {
        "step-1_sharpness-1": first,
        "step-1_sharpness-2": first,
        "step-2_sharpness-1": second,
        "step-2_sharpness-2": second,
    }
