"""The structure of the code: a name stands for one thing, functions are short, every module says what belongs in it.

The linter checks that no function has more than eight parameters (PLR0913); import-linter checks which folder imports
which.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("cluster", "evaluator", "manifests", "stats")
MODULES = {path: ast.parse(path.read_text()) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}

MAX_CODE_LINES = 60
REASON = "Long because"
"""The words with which the docstring of a longer function gives its reason."""

SHARED_NAMES = {
    "analysis": "the planned analysis of a run: its computation, and its inputs from the ledger",
    "budget": "the budget of a run: the manifest, and the check of what was spent",
    "calibration": "the calibration of a gate: the record and its computation",
    "check": "the check of rows against their contract: the check, its command and its rendering",
    "code": "the code of an entrypoint: the record, and reading it",
    "contract": "the contract of a dataset: the manifest and its commands",
    "dataset": "a frozen dataset: the manifest, its commands and its rendering",
    "dataset_diff": "the changes between two versions of a dataset: the record, its computation and the command",
    "errors": "the errors of a package",
    "forecast": "the forecast of a run's time and cost: the forecast and its rendering",
    "freeze": "freezing rows: the operation and the command",
    "gate": "the gate: its command and its rendering",
    "leakage": "the leakage of a dataset: the record and its rendering",
    "opened_files": "files that only running code opens: recording them, and comparing them with earlier runs",
    "outcomes": "what arms predicted: its collection from the ledger, and its rendering",
    "power": "the power of a comparison: the calculation and its rendering",
    "profile": "the profile of a dataset's columns: the record and its computation",
    "progress": "the progress of a run: the record, and its reporting by the driver",
    "run": "one execution of an experiment: the record and the command",
    "schema": "what a schema declares: the command that prints those of manifests, and those of the ledger's tables",
    "sweep": "a sweep over parameters: the manifest, and its expansion into arms",
    "timing": "where the time of a run was spent: its collection from the ledger, and its rendering",
    "verify": "scoring rows of a run again: the operation and the command",
}
"""The names that several modules share, each with the one thing that these modules are about."""


def place(path: Path) -> str:
    """A path as shown in messages."""
    return str(path.relative_to(ROOT))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a module, including methods and inner functions."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, source: list[str], *, is_command: bool) -> int:
    """Number of lines of a function without blank lines, comments and docstring; for a command, without its options."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    signature = range(function.lineno, 0 if is_command else function.body[0].lineno)
    numbers = [*signature, *range(body[0].lineno, (function.end_lineno or 0) + 1)] if body else []
    lines = [source[number - 1].strip() for number in numbers]
    return sum(bool(line) and not line.startswith("#") for line in lines)


def test_no_two_classes_have_one_name():
    places = defaultdict(list)
    for path, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(place(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_modules_of_one_name_are_about_one_thing():
    places = defaultdict(list)
    for path in MODULES:
        if path.stem not in ("__init__", "__main__"):
            places[path.stem].append(place(path))
    shared = {name: where for name, where in places.items() if len(where) > 1}
    assert {name: where for name, where in shared.items() if name not in SHARED_NAMES} == {}
    assert SHARED_NAMES.keys() - shared.keys() == set(), (
        "these names are no longer shared; remove them from SHARED_NAMES"
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_long_function_says_why_it_is_long(folder):
    too_long = {}
    for path, tree in MODULES.items():
        if path.is_relative_to(ROOT / folder):
            source = path.read_text().splitlines()
            for function in functions(tree):
                is_command = path.is_relative_to(ROOT / "cluster" / "cli") and bool(function.decorator_list)
                num_lines = code_lines(function, source, is_command=is_command)
                if num_lines > MAX_CODE_LINES and REASON not in (ast.get_docstring(function) or ""):
                    too_long[f"{place(path)}: {function.name}"] = num_lines
    assert too_long == {}, f"split these functions, or give the reason in their docstrings: '{REASON} ...'"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_module_says_what_belongs_in_it(folder):
    silent = [
        place(path)
        for path, tree in MODULES.items()
        if path.is_relative_to(ROOT / folder) and not ast.get_docstring(tree)
    ]
    packages = {path.parent for path in MODULES if path.is_relative_to(ROOT / folder)}
    assert silent == []
    assert [place(package) for package in packages if not (package / "__init__.py").exists()] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_tests_lie_where_what_they_test_lies(folder):
    of_tests = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests" / folder).rglob("*.py")}
    assert [str(each) for each in sorted(of_tests) if not (ROOT / each).is_dir()] == []
