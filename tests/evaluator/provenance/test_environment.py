import json
import platform
import sys
from importlib import metadata
from pathlib import Path

import torch

from assay.evaluator.provenance import environment


def _distribution(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_the_identity_names_what_numbers_depend_on():
    found = environment.capture().identity
    assert found["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert found["torch"] == torch.__version__
    assert set(found) == {"python", "assay", "numpy", "pyarrow", "torch"}


def test_the_identity_moves_with_a_version_it_names(tmp_path, monkeypatch):
    before = environment.capture()
    _distribution(tmp_path, "pyarrow", "999.0")
    monkeypatch.syspath_prepend(tmp_path)  # found first, as Python would import it
    after = environment.capture()
    assert after.identity["pyarrow"] == "999.0"
    assert after.identity_digest != before.identity_digest


def test_another_package_is_a_circumstance(tmp_path, monkeypatch):
    before = environment.capture()
    _distribution(tmp_path, "somebody_elses", "1.0")
    monkeypatch.syspath_prepend(tmp_path)
    after = environment.capture()
    assert after.identity_digest == before.identity_digest
    assert after.circumstance["packages_digest"] != before.circumstance["packages_digest"]
    assert after.circumstance["num_packages"] == before.circumstance["num_packages"] + 1


def test_what_is_installed_meanwhile_is_seen(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    environment.capture()
    _distribution(tmp_path, "pyarrow", "999.0")
    assert environment.capture().identity["pyarrow"] == "999.0"


def test_two_captures_in_one_place_are_equal():
    assert environment.capture() == environment.capture()


def test_circumstances_are_those_of_this_machine():
    found = environment.capture().circumstance
    assert found["host"] == platform.node()
    assert found["num_threads"] == torch.get_num_threads()
    assert found["num_packages"] >= len({"torch", "numpy", "pytest"} & {d.name for d in metadata.distributions()})
    json.dumps(dict(found))


def test_gpus_are_read_from_the_kernels_files(tmp_path, monkeypatch):
    for bus in ("0000:17:00.0", "0000:65:00.0"):
        (tmp_path / "gpus" / bus).mkdir(parents=True)
        (tmp_path / "gpus" / bus / "information").write_text("Model: \t\t NVIDIA H200\nIRQ:   \t\t 27\n")
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Wed Feb 26 01:58:36 UTC 2025\nGCC version: 12\n"
    )
    monkeypatch.setattr(environment, "_NVIDIA", tmp_path)
    found = environment.capture().circumstance
    assert found["gpus"] == "NVIDIA H200, NVIDIA H200"
    assert found["gpu_driver"] == "570.124.06"


def test_no_secret_of_the_environment_is_captured(monkeypatch):
    monkeypatch.setenv("SOME_API_TOKEN", "a-secret-value")
    found = environment.capture()
    assert "a-secret-value" not in repr(found)
    assert "SOME_API_TOKEN" not in repr(found)
