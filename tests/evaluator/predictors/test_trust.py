"""Entrypoints come from the user's own tree or from distributions that the experiment names, and nothing else runs."""

import re
import sys
from pathlib import Path

import pytest

import assay
from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.entrypoint import resolve_entrypoint
from assay.evaluator.predictors.trust import check_entrypoint

RAISES = "raise SystemExit('imported')\n"


def write(folder: Path, *names: str, source: str = RAISES) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)


def install(folder: Path, distribution: str, *names: str, record: bool = True, top_level: str = "") -> None:
    """Installs modules as pip does, under a distribution's name."""
    write(folder, *names)
    info = f"{distribution.replace('-', '_')}-1.0.dist-info"
    write(folder, f"{info}/METADATA", source=f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    if record:
        write(folder, f"{info}/RECORD", source="".join(f"{name},sha256=x,1\n" for name in names))
    if top_level:
        write(folder, f"{info}/top_level.txt", source=top_level)


def refusal(entrypoint: str, *packages: str) -> str:
    with pytest.raises(VariantError) as caught:
        check_entrypoint(entrypoint, packages=packages)
    return str(caught.value)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """The folder of an experiment, from which modules are imported first."""
    monkeypatch.syspath_prepend(tmp_path / "project")
    write(tmp_path / "project", "models.py")
    return tmp_path / "project"


@pytest.fixture
def site(project, monkeypatch) -> Path:
    """A folder for installed packages: inside the project, as a virtual environment often is."""
    folder = project / ".venv" / "site-packages"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.mark.parametrize(
    "entrypoint",
    [
        "subprocess:check_output",
        "os:system",  # frozen
        "os.path:join",  # `os` puts it in place
        "posixpath:join",
        "builtins:eval",
        "sys:exit",
        "_ctypes:dlopen",  # a compiled module
        "xml.dom.minidom:parse",
        "concurrent.futures:ThreadPoolExecutor",
        "__hello__:main",
        "antigravity:geohash",  # opens a browser when it is imported
    ],
)
def test_the_standard_library_is_never_run_even_if_it_is_named(entrypoint):
    module = entrypoint.partition(":")[0]
    message = refusal(entrypoint, module, "python")
    assert "is part of Python's standard library" in message
    assert f"got {entrypoint}; put the function into a module beside" in message
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "entrypoint",
    [
        "assay:Client",
        "assay.cluster.cli.main:main",
        "assay.evaluator.predictors.entrypoint:resolve_entrypoint",  # with `load: true` it would return any function
        "assay.cluster.demo.demo_folder:write_demo",
    ],
)
def test_assays_own_modules_are_refused_except_the_demos_models(entrypoint):
    assert "is part of Assay itself" in refusal(entrypoint, "assay")
    with pytest.raises(VariantError, match="is part of Assay itself"):
        resolve_entrypoint(entrypoint)
    check_entrypoint("assay.cluster.demo.models:perceptron", packages=[])


@pytest.mark.parametrize(
    "names",
    [
        ["models.py"],
        ["names/deep/models.py"],
        ["colorsys.py"],  # the standard library has a module of that name, which no process has imported
        ["src/sklearn/base.py", "src/sklearn/__init__.py"],
    ],
)
def test_the_users_own_tree_needs_no_name(project, names, monkeypatch):
    write(project, *names)
    monkeypatch.syspath_prepend(project / "src")
    name = names[0].removeprefix("src/").removesuffix(".py").replace("/", ".")
    check_entrypoint(f"{name}:predict", packages=[])


def test_a_folder_that_a_pth_file_or_a_variable_puts_on_the_path_is_the_users_own(tmp_path, monkeypatch):
    write(tmp_path, "elsewhere.py")
    monkeypatch.syspath_prepend(tmp_path)
    check_entrypoint("elsewhere:predict", packages=[])


def test_an_installed_distribution_must_be_named_however_its_name_is_written(site):
    install(site, "Sci.Learn-kit", "scilearn/__init__.py", "scilearn/base.py")
    message = refusal("scilearn.base:predict", "other")
    assert "module 'scilearn.base' comes from Sci.Learn-kit 1.0, which the experiment does not name" in message
    assert "add 'packages: [other, Sci.Learn-kit]' to the experiment's file, or put the function into a" in message
    for name in ("Sci.Learn-kit", "sci_learn_kit", "SCI--LEARN-KIT"):
        check_entrypoint("scilearn.base:predict", packages=["other", name])
    assert "comes from Sci.Learn-kit" in refusal("scilearn.base:predict", "scilearn")  # a module's name


def test_a_name_covers_every_module_of_its_distribution_and_no_other(site):
    install(site, "cloud-one", "cloud/one.py", "extra_module.py")
    install(site, "cloud-two", "cloud/two.py")  # the same namespace
    write(site, "stray.py")
    for module in ("cloud.one", "extra_module"):
        check_entrypoint(f"{module}:predict", packages=["cloud-one"])
    assert "comes from cloud-two 1.0" in refusal("cloud.two:predict", "cloud-one", "cloud")
    assert "belongs to no distribution" in refusal("stray:predict", "stray", "cloud-one")


@pytest.mark.parametrize("top_level", ["", "without_list\nothers\n"])
def test_a_distribution_without_a_list_of_files_has_its_top_level_modules(site, top_level):
    install(site, "without-list", "without_list/sub.py", record=False, top_level=top_level)
    write(site, "neighbour.py")
    write(site, "broken-1.0.dist-info/top_level.txt", source="neighbour")  # left by a broken uninstall: it has no name
    check_entrypoint("without_list.sub:predict", packages=["without-list"])
    assert "comes from without-list 1.0" in refusal("without_list.sub:predict")
    assert "belongs to no distribution" in refusal("neighbour:predict", "without-list", "broken")


def test_what_is_installed_into_any_other_folder_must_be_named(tmp_path, monkeypatch):
    install(tmp_path / "target", "vendored", "vendored/__init__.py", "vendored/sub.py")
    write(tmp_path / "target", "own.py")
    monkeypatch.syspath_prepend(tmp_path / "target")
    for module in ("vendored", "vendored.sub"):
        assert "comes from vendored 1.0" in refusal(f"{module}:predict")
        check_entrypoint(f"{module}:predict", packages=["vendored"])
    check_entrypoint("own:predict", packages=[])


def test_a_link_or_a_forged_list_of_files_is_no_way_around(project, site):
    install(site, "linked", "linked.py")
    (project / "library").symlink_to(Path(pytest.__file__).parents[1] / "_pytest")
    (project / "python").symlink_to(Path(sys.modules["xml"].__path__[0]).parent)
    (project / "core").symlink_to(Path(assay.__file__).resolve().parents[2] / "evaluator")
    (project / "sites").symlink_to(site)
    install(project, "forged", "forged.py")
    listed = ["../python/subprocess.py", "python/subprocess.py", f"{project}/python/subprocess.py", "core/evaluate.py"]
    write(project, "forged-1.0.dist-info/RECORD", source="".join(f"{name},,\n" for name in listed))
    assert "comes from linked 1.0" in refusal("sites.linked:predict", "forged")
    assert "standard library" in refusal("python.subprocess:check_output", "forged")
    assert "Assay itself" in refusal("core.evaluate:evaluate", "forged")
    assert re.search("comes from pytest|is installed", refusal("library.outcomes:skip", "forged"))


def test_a_module_that_python_has_imported_already_does_not_run_in_place_of_the_users(project):
    write(project, "subprocess.py", source="def check_output(features): return 'mine'")
    check_entrypoint("subprocess:check_output", packages=[])
    with pytest.raises(VariantError, match=r"'subprocess' was imported from .*, but is found in .*project") as e:
        resolve_entrypoint("subprocess:check_output")
    assert str(e.value).endswith("give your module another name")


def test_the_users_module_may_offer_what_it_imports_but_no_path_leads_through_it(project, monkeypatch):
    write(project, "offering.py", source="import subprocess\nfrom statistics import fmean\n")
    assert resolve_entrypoint("offering:fmean")([1, 2]) == 1.5
    for name in ("subprocess", "subprocess.check_output", "__class__", "__setattr__", "__dir__"):
        with pytest.raises(VariantError, match="has no function"):
            resolve_entrypoint(f"offering:{name}")
    monkeypatch.delitem(sys.modules, "offering")


def test_a_module_may_put_an_object_in_its_own_place(project, monkeypatch):
    source = "import sys\nclass Lazy:\n    def predict(self): return 'lazy'\nsys.modules[__name__] = Lazy()\n"
    write(project, "replaced.py", source=source)
    assert resolve_entrypoint("replaced:predict")() == "lazy"
    monkeypatch.delitem(sys.modules, "replaced")
