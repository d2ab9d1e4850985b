"""Everything of the user's own tree that an entrypoint imports is part of its closure; nothing else of the tree is."""

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from assay.evaluator.provenance.import_closure import import_closure


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    files = [str(getattr(module, "__file__", None)) for module in sys.modules.values()]
    assert not [file for file in files if file.startswith(str(tmp_path))]  # the closure is read, not run


@pytest.mark.parametrize(
    ("files", "covered"),
    [
        pytest.param({"models.py": "import helper", "helper.py": ""}, {"helper"}, id="sibling"),
        pytest.param(
            {"models.py": "def net():\n  try:\n    from helper import x\n  except ImportError: pass", "helper.py": ""},
            {"helper"},
            id="inside-a-function",
        ),
        pytest.param(
            {"models.py": "import a.b.c", "a/__init__.py": "import deep", "a/b/c.py": "", "deep.py": ""},
            {"a", "a.b.c", "deep"},  # a.b is a namespace package
            id="parents",
        ),
        pytest.param(
            {"models.py": "from a import b", "a/b.py": "from . import c", "a/c.py": ""}, {"a.b", "a.c"}, id="names"
        ),
        pytest.param(
            {"models.py": "from a.b import c", "a/b/c.py": "from ..d import e", "a/d.py": "e = 1"},
            {"a.b.c", "a.d"},
            id="relative",
        ),
        pytest.param(
            {"models.py": "from a import *", "a/__init__.py": "__all__ = ['b']", "a/b.py": "", "a/c.py": ""},
            {"a", "a.b"},
            id="star",
        ),
        pytest.param(
            {"models.py": "from a import *", "a/__init__.py": "__all__: list[str] = ['b']", "a/b.py": "", "a/c.py": ""},
            {"a", "a.b"},
            id="star-of-an-annotated-list",
        ),
        pytest.param(
            {"models.py": "import importlib\nimportlib.import_module('helper')\n__import__('other')"}
            | {"helper.py": "", "other.py": ""},
            {"helper", "other"},
            id="by-a-literal-name",
        ),
        pytest.param(
            {"models.py": "import importlib\nimportlib.import_module(name='helper')\n"}
            | {
                "helper.py": "import importlib\nimportlib.import_module('.b', package='a')",
                "a/__init__.py": "",
                "a/b.py": "",
            },
            {"helper", "a", "a.b"},
            id="by-a-literal-name-and-package",
        ),
        pytest.param(
            {"models.py": f"if {'not ' * 1500}x: pass\nimport helper", "helper.py": ""},
            {"helper"},
            id="deep-expression",
        ),
        pytest.param(
            {"models.py": "import broken", "broken.py": "x = " + "-" * 50_000 + "1"},
            {"broken"},
            id="deeper-than-python",
        ),
        pytest.param({"models.py": "import a", "a.py": "import b", "b.py": "import a"}, {"a", "b"}, id="circle"),
        pytest.param({"models.py": "import broken", "broken.py": "def ("}, {"broken"}, id="not-python"),
        pytest.param({"models.py": "import json, colorsys", "colorsys.py": ""}, {"colorsys"}, id="hides-the-library's"),
        pytest.param({"models.py": "import nothing.of_that_name", "beside.py": ""}, set(), id="not-installed"),
        pytest.param(
            {"models.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  import a\nelse:\n  import b"}
            | {"a.py": "", "b.py": ""},
            {"b"},
            id="for-type-checkers",
        ),
        pytest.param(
            {"models.py": "TYPE_CHECKING = True\nif TYPE_CHECKING:\n  import a", "a.py": ""},
            {"a"},
            id="a-variable-of-that-name",
        ),
    ],
)
def test_modules_of_the_own_tree_are_covered(files, covered, project):
    write(project, files)
    assert set(import_closure("models").modules) == {"models", *covered}


def test_an_edit_of_any_covered_module_changes_the_digest_and_names_the_module(project):
    write(project, {"models.py": "import a", "a.py": "import b", "b.py": "x = 1", "beside.py": "x = 1"})
    before = import_closure("models")
    write(project, {"beside.py": "x = 2"})
    assert import_closure("models") == before
    write(project, {"b.py": "x = 2"})
    after = import_closure("models")
    assert after.digest() != before.digest()
    assert {name for name in after.modules if after.modules[name] != before.modules[name]} == {"b"}


def test_another_checkout_with_other_line_endings_and_caches_is_the_same(tmp_path, monkeypatch):
    digests = []
    for name, newline in (("here", "\n"), ("there", "\r\n")):
        folder = write(tmp_path / name, {"models.py": "", "a.py": ""})
        (folder / "models.py").write_bytes(f"import a{newline}x = 1{newline}".encode())
        write(folder, {"__pycache__/models.cpython-311.pyc": name})
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            digests.append(import_closure("models").digest())
    assert digests[0] == digests[1]


def test_an_editable_install_is_the_users_own(tmp_path, monkeypatch):
    """Both ways of pip: a folder on the path, and a finder that maps the package to its folder."""
    write(tmp_path, {"models.py": "import mine.part", "elsewhere/mine/part.py": "x = 1"})
    write(tmp_path / "elsewhere", {"mine/__init__.py": ""})
    monkeypatch.syspath_prepend(tmp_path)

    class Finder:
        @staticmethod
        def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
            file = tmp_path / "elsewhere" / "mine" / "__init__.py"
            if name != "mine":
                return None
            return importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])

    with monkeypatch.context() as patch:
        patch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
        through_finder = import_closure("models")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert set(through_finder.modules) == {"models", "mine", "mine.part"}
    assert import_closure("models") == through_finder


def test_installed_packages_are_covered_by_their_version_and_not_followed(tmp_path, monkeypatch):
    site = write(
        tmp_path / "lib" / "site-packages",
        {
            "rapidlearn/__init__.py": "import models",
            "rapid_learn-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: Rapid.Learn\nVersion: 1.0\n",
            "rapid_learn-1.0.dist-info/top_level.txt": "rapidlearn\n",
            "copied.py": "",
        },
    )
    write(tmp_path, {"models.py": "from rapidlearn.trees import Forest\nimport copied"})
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(tmp_path)
    first = import_closure("models")
    assert first.distributions == {"rapid-learn": "1.0"}
    assert set(first.modules) == {"models", "copied"}  # nothing says which version a copied file is
    (site / "rapid_learn-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: Rapid.Learn\nVersion: 1.1\n"
    )
    second = import_closure("models")
    assert second.distributions == {"rapid-learn": "1.1"}
    assert second.digest() != first.digest()


def test_assay_counts_as_installed_wherever_it_is():
    closure = import_closure("assay.cluster.demo.models")
    assert set(closure.modules) == {"assay.cluster.demo.models"}
    assert set(closure.distributions) == {"assay", "torch"}
