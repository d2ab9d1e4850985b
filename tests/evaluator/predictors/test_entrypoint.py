import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from assay.evaluator.errors import VariantError
from assay.evaluator.predictors.entrypoint import check_parameters, code_digest, resolve_entrypoint
from tests.evaluator.predictors import entrypoints

HERE = "tests.evaluator.predictors.entrypoints"


def _module(folder: Path, name: str, source: str, monkeypatch) -> None:
    (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)


def test_an_entrypoint_is_the_function_of_that_name():
    assert resolve_entrypoint(f"{HERE}:sums") is entrypoints.sums


@pytest.mark.parametrize(
    ("entrypoint", "named"),
    [
        ("nosuchpackage.models:net", ["no module 'nosuchpackage'", "beside the experiment"]),
        ("tests.evaluatr.predictors:net", ["no module 'tests.evaluatr'", "did you mean 'tests.evaluator'?"]),
        ("tests.evaluator.predictors.entrypoint:sums", [f"did you mean '{HERE}'?"]),
        ("os.path.deeper:join", ["no module 'os.path.deeper'"]),
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


def test_a_module_of_the_users_own_may_bear_the_name_of_a_folder_of_assays(tmp_path):
    (tmp_path / "stats").mkdir()
    (tmp_path / "stats/power.py").write_text("def net(): return 'mine'\n")
    code = "from assay.evaluator.predictors.entrypoint import *; print(resolve_entrypoint('stats.power:net')())"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout == "mine\n"


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("import nosuchlibrary\n", ["needs 'nosuchlibrary'", "install"]),
        ("1 / 0\n", ["fails on import", "ZeroDivisionError"]),
        ("def net(:\n", ["fails on import", "SyntaxError"]),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(source, named, tmp_path, monkeypatch):
    name = f"broken_{hashlib.sha256(source.encode()).hexdigest()[:8]}"
    _module(tmp_path, name, source, monkeypatch)
    with pytest.raises(VariantError) as caught:
        resolve_entrypoint(f"{name}:net")
    for word in named:
        assert word in str(caught.value)


def test_the_code_digest_is_the_sha256_of_the_source_which_is_not_run(tmp_path, monkeypatch):
    source = "raise SystemExit('imported')\n"
    _module(tmp_path, "code_digest_not_run", source, monkeypatch)
    found = code_digest("code_digest_not_run:net")
    assert found == f"sha256:{hashlib.sha256(source.encode()).hexdigest()}"
    assert "code_digest_not_run" not in sys.modules


def test_the_code_digest_moves_with_the_source(tmp_path, monkeypatch):
    _module(tmp_path, "code_digest_moves", "x = 1\n", monkeypatch)
    before = code_digest("code_digest_moves:net")
    (tmp_path / "code_digest_moves.py").write_text("x = 2\n")
    assert code_digest("code_digest_moves:net") != before


@pytest.mark.parametrize(
    ("entrypoint", "named"),
    [
        ("nosuchmodule:net", "no module 'nosuchmodule'"),
        ("nosuchpackage.models:net", "no module 'nosuchpackage'"),
        ("sys:exit", "no source file"),
    ],
)
def test_a_module_without_a_file_has_no_code_digest(entrypoint, named):
    with pytest.raises(VariantError, match=named):
        code_digest(entrypoint)


def test_a_misspelt_parameter_is_refused_with_the_nearest_name():
    with pytest.raises(VariantError) as caught:
        check_parameters(entrypoints.linear, {"hiden": 3}, entrypoint=f"{HERE}:linear")
    assert "did you mean 'hidden'?" in str(caught.value)
    assert "hidden: int = 4" in str(caught.value)


def test_a_missing_parameter_is_refused():
    with pytest.raises(VariantError, match="'value'"):
        check_parameters(entrypoints.returning, {}, entrypoint=f"{HERE}:returning", num_leading=1)
