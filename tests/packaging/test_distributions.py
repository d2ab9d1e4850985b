"""The wheel contains one package, `assay`, with all its files; the source distribution builds the same wheel."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("cluster", "evaluator", "manifests", "stats")


def build(folder: Path, target: str, *, to: Path) -> Path:
    """Builds a distribution from a folder with hatchling and returns its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", to]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    (built,) = to.iterdir()
    return built


def contents(wheel: Path) -> dict[str, bytes]:
    """The contents of a wheel's files, by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> dict[str, bytes]:
    return contents(build(ROOT, "wheel", to=tmp_path_factory.mktemp("wheel")))


def test_the_wheel_holds_every_file_of_the_four_folders_in_one_package(wheel):
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    here = [path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"]
    package = {name for name in wheel if ".dist-info/" not in name}
    assert package == {"assay/__init__.py", *(f"assay/{name}" for name in here)}
    # Other files than modules are needed, too: the demo, the examples, the deployment files, the schema of an analysis.
    assert {PurePosixPath(name).suffix for name in package} >= {".py", ".yaml", ".json", ".safetensors"}
    assert wheel["assay/__init__.py"] == (ROOT / ".package/assay/__init__.py").read_bytes()
    assert all(wheel[f"assay/{name}"] == (ROOT / name).read_bytes() for name in here)


def test_the_wheel_names_the_licence_and_the_command(wheel):
    info = {name.partition(".dist-info/")[2]: content for name, content in wheel.items() if ".dist-info/" in name}
    assert info.keys() == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert "assay = assay.cluster.cli.main:main" in info["entry_points.txt"].decode()


def test_the_source_distribution_builds_the_same_wheel_without_the_links_of_a_checkout(wheel, tmp_path):
    source = build(ROOT, "sdist", to=tmp_path / "source")
    with tarfile.open(source) as archive:
        assert all(member.isfile() for member in archive)
        archive.extractall(tmp_path / "elsewhere", filter="data")
    (folder,) = (tmp_path / "elsewhere").iterdir()
    top = {path.name for path in folder.iterdir()}
    given = {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "scripts"}
    assert top == {*FOLDERS, ".package", *given, "PKG-INFO", ".gitignore"}
    assert [path.name for path in (folder / ".package/assay").iterdir()] == ["__init__.py"]
    assert contents(build(folder, "wheel", to=tmp_path / "again")) == wheel
