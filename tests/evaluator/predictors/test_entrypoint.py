import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import assay
from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.entrypoint import add_import_paths, check_module, check_parameters, resolve_entrypoint
from assay.manifests import InvalidInput
from tests.evaluator.predictors import entrypoints

HERE = "tests.evaluator.predictors.entrypoints"


def _module(folder: Path, name: str, source: str, monkeypatch) -> None:
    (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder to import from, without the checkout of Assay that tests run in."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not Path(path, "stats").is_dir()])
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if not name.startswith("assay"):
            del sys.modules[name]


def test_an_entrypoint_is_the_function_of_that_name():
    assert resolve_entrypoint(f"{HERE}:sums") is entrypoints.sums


@pytest.mark.parametrize(
    ("entrypoint", "named"),
    [
        (
            "nosuchpackage.models:net",
            ["module 'nosuchpackage' does not exist", "in the folder of the experiment's file"],
        ),
        (
            "tests.evaluatr.predictors:net",
            ["module 'tests.evaluatr' does not exist", "did you mean 'tests.evaluator'?"],
        ),
        ("tests.evaluator.predictors.entrypoint:sums", [f"did you mean '{HERE}'?"]),
        ("os.path.deeper:join", ["module 'os.path.deeper' does not exist"]),
        ("cluster.demo.models:perceptron", ["did you mean 'assay.cluster.demo.models:perceptron'?"]),
        (f"{HERE}:sum", ["no function 'sum'", "did you mean 'sums'?"]),
        (f"{HERE}:NOT_A_FUNCTION", ["no function 'NOT_A_FUNCTION'"]),
    ],
)
def test_an_unknown_entrypoint_is_refused_with_the_nearest_name(entrypoint, named):
    with pytest.raises(VariantError) as caught:
        resolve_entrypoint(entrypoint)
    for word in [*named, entrypoint]:
        assert word in str(caught.value)


RAISES = "raise RuntimeError('imported')"
OWN_STATS = {"stats/power.py": "def net(): return 'mine'"}


@pytest.mark.parametrize(
    ("files", "entrypoint"),
    [
        (OWN_STATS, "stats.power:net"),  # Assay has a module of this name, too; no __init__.py
        (OWN_STATS | {"stats/__init__.py": ""}, "stats.power:net"),
        ({"stats.py": "def net(): return 'mine'"}, "stats:net"),
        (OWN_STATS | {"cluster.py": RAISES}, "stats.power:net"),
    ],
)
def test_a_module_of_the_users_own_may_have_the_name_of_one_of_assays(files, entrypoint, project):
    _write(project, files)
    assert resolve_entrypoint(entrypoint)() == "mine"


@pytest.mark.parametrize("function", [resolve_entrypoint, check_module])
@pytest.mark.parametrize(
    ("files", "entrypoint"),
    [
        ({"cluster.py": RAISES}, "cluster.demo.models:perceptron"),
        ({"cluster/__init__.py": RAISES}, "cluster.demo.models:perceptron"),
        ({"cluster/own.py": RAISES}, "cluster.demo.models:perceptron"),
        ({}, "cluster:perceptron"),
    ],
)
def test_a_module_that_only_assay_has_is_refused_before_any_of_the_users_is_imported(
    files, entrypoint, function, project
):
    _write(project, files)
    with pytest.raises(VariantError, match=r"module 'cluster[\w.]*' does not exist") as caught:
        function(entrypoint)
    assert str(caught.value).endswith(f"did you mean 'assay.{entrypoint}'?")


@pytest.mark.parametrize("name", ["assay.py", "assay/__init__.py"])
def test_a_folder_with_an_assay_of_its_own_is_not_imported_from(name, tmp_path, monkeypatch):
    _write(tmp_path, {name: ""})
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(InvalidInput, match="instead of the installed package assay; rename it") as caught:
        add_import_paths([str(tmp_path)])
    assert str(tmp_path / name) in str(caught.value)
    assert str(tmp_path) not in sys.path


def test_folders_come_first_where_entrypoints_are_imported_from(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path / "known"), str(tmp_path / "installed")])
    _write(tmp_path, {"assay/rows.csv": ""})  # without __init__.py it does not shadow the package
    folders = [str(tmp_path), str(tmp_path / "absent"), str(tmp_path / "known")]
    add_import_paths([*folders, str(Path(assay.__file__).parent.parent)])
    assert sys.path[:4] == [folders[0], folders[1], str(Path(assay.__file__).parent.parent), folders[2]]


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("import nosuchlibrary\n", ["imports 'nosuchlibrary', which is not installed", "install 'nosuchlibrary' on"]),
        ("1 / 0\n", ["cannot be imported", "ZeroDivisionError"]),
        ("def net(:\n", ["cannot be imported", "SyntaxError"]),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(source, named, tmp_path, monkeypatch):
    name = f"broken_{hashlib.sha256(source.encode()).hexdigest()[:8]}"
    _module(tmp_path, name, source, monkeypatch)
    with pytest.raises(VariantError) as caught:
        resolve_entrypoint(f"{name}:net")
    for word in named:
        assert word in str(caught.value)


def test_a_module_is_checked_without_being_run(tmp_path, monkeypatch):
    _module(tmp_path, "module_not_run", "raise SystemExit('imported')\n", monkeypatch)
    assert check_module("module_not_run:net") == "module_not_run"
    assert "module_not_run" not in sys.modules


@pytest.mark.parametrize(
    ("entrypoint", "named"),
    [
        ("nosuchmodule:net", "module 'nosuchmodule' does not exist"),
        ("nosuchpackage.models:net", "module 'nosuchpackage' does not exist"),
        ("tests.golden:net", "no source file"),  # a folder
    ],
)
def test_a_module_without_a_file_is_refused(entrypoint, named):
    with pytest.raises(VariantError, match=named):
        check_module(entrypoint)


def test_a_misspelt_parameter_is_refused_with_the_nearest_name():
    with pytest.raises(VariantError) as caught:
        check_parameters(entrypoints.linear, {"hiden": 3}, entrypoint=f"{HERE}:linear")
    assert "did you mean 'hidden'?" in str(caught.value)
    assert "hidden: int = 4" in str(caught.value)


def test_a_missing_parameter_is_refused():
    with pytest.raises(VariantError, match="'value'"):
        check_parameters(entrypoints.returning, {}, entrypoint=f"{HERE}:returning", num_leading=1)


@pytest.mark.parametrize("entrypoint", ["names.deep.within:net", "runs.part:net"])
def test_an_entrypoint_is_checked_without_its_parents_being_run(entrypoint, project):
    _write(
        project,
        {"names/deep/within.py": ""} if "names" in entrypoint else {"runs/__init__.py": RAISES, "runs/part.py": ""},
    )
    assert check_module(entrypoint) == entrypoint.partition(":")[0]
    assert not {"names", "runs"} & set(sys.modules)
