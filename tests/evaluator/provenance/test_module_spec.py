"""A module is found where a fresh process would import it from, and nothing is imported to find it."""

import sys
import types
from pathlib import Path

import pytest

from assay.evaluator.provenance.import_closure import import_closure
from assay.evaluator.provenance.module_spec import module_file, module_spec


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    for name in ("names/deep/within.py", "runs/__init__.py", "runs/part.py", "colorsys.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["names.deep.within", "runs.part", "colorsys"])
def test_a_module_is_found_without_its_parents_being_imported(project, name):
    spec = module_spec(name)
    assert spec is not None
    assert module_file(spec) == project / f"{name.replace('.', '/')}.py"
    assert {"names", "runs"}.isdisjoint(sys.modules)


@pytest.mark.parametrize("name", ["", "runs..part", "nothing", "runs.nothing", "runs.part.below", "names.nothing"])
def test_what_is_not_there_has_no_spec(project, name):
    assert module_spec(name) is None


def test_a_running_script_and_a_module_that_another_put_in_place_are_found(tmp_path, monkeypatch):
    script = types.ModuleType("__main__")
    script.__file__ = str(tmp_path / "script.py")
    Path(script.__file__).write_text("import colorsys")
    monkeypatch.setitem(sys.modules, "__main__", script)
    spec = module_spec("__main__")
    assert spec is not None
    assert module_file(spec) == tmp_path / "script.py"
    assert set(import_closure("__main__").modules) == {"__main__"}
    assert module_spec("os.path") is not None
