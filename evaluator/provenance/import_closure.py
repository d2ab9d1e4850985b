"""Import closure: every module of the user's own tree that an entrypoint imports, and the packages beyond it.

The imports are read from the source, without running any of it. Imports whose names are computed at run time cannot be
read this way; a variant's `code` names them.
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from assay.evaluator.provenance.code_files import code_file_digest, is_in_library, is_installed
from assay.evaluator.provenance.distributions import normalised
from assay.evaluator.provenance.module_spec import module_file, module_spec
from assay.manifests.code import Code

_CHECKING = "TYPE_CHECKING"
_IMPORT_FUNCTIONS = frozenset({"import_module", "__import__"})


def import_closure(module_name: str, *others: str) -> Code:
    """Follows the imports of modules through the user's own tree. Imports nothing.

    The user's own tree is whatever is neither part of Python nor installed into a site-packages folder: modules next to
    the experiment, a `src/` folder on the path, editable installs, namespace packages. Packages in site-packages are
    recorded by version and not followed. Assay itself counts as installed, wherever its files are.

    Args:
        module_name: The dotted name of the entrypoint's module.
        others: Further modules to start from.
    """
    modules: dict[str, str] = {}
    distributions: set[str] = set()
    seen: set[str] = set()
    pending = [module_name, *others]
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        providers = () if name == module_name else _distributions_of(name.partition(".")[0])
        if providers:
            distributions.update(providers)
            continue
        spec = module_spec(name)
        if spec is None:
            continue
        parent = name.rpartition(".")[0]
        if parent:
            pending.append(parent)
        file = module_file(spec)
        if file is None or is_in_library(file):
            continue
        if file.suffix == ".py":
            is_package = spec.submodule_search_locations is not None
            pending.extend(_imports(file.read_bytes(), package=name if is_package else parent))
        modules[name] = code_file_digest(file)
    versions = {normalised(name): metadata.version(name) for name in sorted(distributions)}
    return Code(modules=dict(sorted(modules.items())), distributions=versions, files={})


def _distributions_of(top_level: str) -> Sequence[str]:
    """The installed distributions that a top-level module comes from; none if it is the user's own, editable or not."""
    if top_level == "assay":
        return ("assay",)
    spec = module_spec(top_level)
    if spec is None or (spec.origin in ("built-in", "frozen")):
        return ()
    locations = [spec.origin] if spec.origin is not None else list(spec.submodule_search_locations or ())
    if not all(is_installed(Path(location)) for location in locations):
        return ()
    return _providers(tuple((folder, _changed_ns(folder)) for folder in sys.path)).get(top_level, ())


def _changed_ns(folder: str) -> int:
    try:
        return Path(folder or ".").stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=4)  # reading what every distribution provides takes a fifth of a second
def _providers(_path: tuple[tuple[str, int], ...]) -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _imports(source: bytes, package: str) -> Iterator[str]:
    """The absolute names of all modules that a source imports anywhere, except where only type checkers look.

    Args:
        source: The source; one that cannot be parsed imports nothing, and fails with its own error when it is loaded.
        package: The package that relative imports start from; empty for a top-level module.
    """
    for node in _running_nodes(_parsed(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node.module or "", package=package, level=node.level)
            if base:
                yield base
                # A name may be a submodule; where it is an attribute, there is no module of that name.
                yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")
                if any(alias.name == "*" for alias in node.names):
                    yield from (f"{base}.{name}" for name in _exported(base))
        elif isinstance(node, ast.Call) and _name_of(node.func) in _IMPORT_FUNCTIONS:
            name, start = _literal(node, 0, "name"), _literal(node, 1, "package") or package
            level = len(name) - len(name.lstrip("."))
            yield _absolute(name.lstrip("."), package=start, level=level)


def _parsed(source: bytes) -> ast.Module:
    """The parsed source; an empty module if it is not Python, or is nested deeper than Python can parse."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _running_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    pending: list[ast.AST] = [tree]
    is_own = any(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == _CHECKING
        for node in ast.walk(tree)
    )
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If) and not is_own and _name_of(node.test) == _CHECKING:
            pending.extend(node.orelse)
        else:
            pending.extend(ast.iter_child_nodes(node))


def _absolute(name: str, *, package: str, level: int) -> str:
    """The absolute name of a module that is imported relative to a package; empty if it lies above the top."""
    if not level:
        return name
    parts = package.split(".") if package else []
    if level > len(parts):
        return ""
    return ".".join(filter(None, [*parts[: len(parts) - level + 1], name]))


def _name_of(node: ast.expr) -> str:
    """The name, or the last part of the dotted name, that an expression is; empty for any other expression."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _literal(call: ast.Call, position: int, keyword: str) -> str:
    """An argument of a call that is a literal string; empty if it is none or is not given."""
    given = call.args[position : position + 1] or [each.value for each in call.keywords if each.arg == keyword]
    value = given[0].value if given and isinstance(given[0], ast.Constant) else ""
    return value if isinstance(value, str) else ""


def _exported(package: str) -> list[str]:
    """The names in a package's `__all__`, where it is a literal: `from package import *` imports those submodules."""
    spec = module_spec(package)
    file = module_file(spec) if spec is not None else None
    if file is None or file.suffix != ".py" or is_in_library(file):
        return []
    for node in _parsed(file.read_bytes()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if value is not None and any(getattr(target, "id", "") == "__all__" for target in targets):
            try:
                return [name for name in ast.literal_eval(value) if isinstance(name, str)]
            except (TypeError, ValueError):
                return []
    return []
