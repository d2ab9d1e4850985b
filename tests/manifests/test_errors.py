"""Errors: the tree in the docstring matches the code, and how a message shows a value."""

import ast
import datetime as dt
import re
from pathlib import Path

import pytest

from assay.manifests import errors
from assay.manifests.errors import shortened

ROOT = Path(__file__).parents[2]

DRAWN = re.compile(r"    (?P<branches>[|` -]*)(?P<name>[A-Z]\w+) {2,}.*?(\((?P<module>[a-z_.]+)\))?")
"""A line of the drawing: three characters of branches per level, the name, its purpose, and the module unless it is
`manifests.errors`."""


def drawn() -> set[tuple[str, str, str]]:
    """Every error in the drawing: its module, its name, and the name of its parent."""
    found, above = set(), [""]
    for line in errors.__doc__.splitlines():
        if match := DRAWN.fullmatch(line):
            depth = len(match["branches"]) // 3
            above[depth + 1 :] = [match["name"]]
            found.add((f"assay.{match['module'] or 'manifests.errors'}", match["name"], above[depth]))
    return found


def defined() -> set[tuple[str, str, str]]:
    """Every public error of every module, in the same form; read from the sources, because importing them is slow."""
    classes = {}
    for folder in ("cluster", "evaluator", "manifests", "stats"):
        for path in (ROOT / folder).rglob("*.py"):
            module = ".".join(("assay", *path.relative_to(ROOT).with_suffix("").parts))
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    classes[node.name] = (module, [ast.unparse(base).rpartition(".")[2] for base in node.bases])
    found, waiting = set(), [("AssayError", "")]
    while waiting:
        name, above = waiting.pop()
        if not name.startswith("_"):
            found.add((classes[name][0], name, above))
        waiting += [(each, name) for each, (_, bases) in classes.items() if name in bases]
    return found


def test_every_error_is_drawn_under_its_parent_and_beside_its_module():
    assert drawn() == defined()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (dt.date(2026, 11, 21), "2026-11-21"),
        (dt.datetime(2026, 11, 21, 13, 45, 51, 123456, tzinfo=dt.UTC), "2026-11-21T13:45:51.123456+00:00"),
        ("2026-11-21", "2026-11-21"),
        ("a\nb", r"'a\nb'"),
        (1.5, "1.5"),
    ],
)
def test_a_value_is_shown_as_it_would_be_typed(value, shown):
    assert shortened(value, limit=40) == shown
