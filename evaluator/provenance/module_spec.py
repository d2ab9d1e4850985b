"""Module spec: where a module would be imported from, found without importing anything, not even its parents."""

import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path


def module_spec(name: str) -> ModuleSpec | None:
    """The spec of a module by its dotted name; None if there is no such module.

    The finders are asked, as in a fresh process. `importlib.util.find_spec` imports the parents of a module, and answers
    from what this process has imported before. Only a module that no finder knows is looked up there: a script that is
    running, or one such as `os.path` that another module has put in place.
    """
    first, *others = parts = name.split(".")
    if not all(parts):
        return None
    spec, found = _top_level(first), first
    for part in others:
        if spec is None or spec.submodule_search_locations is None:
            spec = None
            break
        found = f"{found}.{part}"
        spec = _in_package(list(spec.submodule_search_locations), found)
    return spec or _of_running(name)


def module_file(spec: ModuleSpec) -> Path | None:
    """The file that a module is loaded from; None for a built-in module or a namespace package."""
    if not spec.has_location or spec.origin is None:
        return None
    file = Path(spec.origin)
    return file if file.is_file() else None


def _top_level(name: str) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        spec = find_spec(name, None) if find_spec is not None else None
        if spec is not None:
            return spec
    return None


def _in_package(folders: Sequence[str], name: str) -> ModuleSpec | None:
    """The spec of a submodule in its package's folders. `PathFinder` needs the parents of a namespace package imported."""
    portions = []
    for folder in folders:
        finder = pkgutil.get_importer(folder)
        spec = finder.find_spec(name) if finder is not None else None
        if spec is None:
            continue
        if spec.loader is not None:
            return spec
        portions.extend(spec.submodule_search_locations or ())
    if not portions:
        return None
    namespace = ModuleSpec(name, None, is_package=True)
    namespace.submodule_search_locations = portions
    return namespace


def _of_running(name: str) -> ModuleSpec | None:
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return None
    return module.__spec__ or importlib.util.spec_from_file_location(name, file)
