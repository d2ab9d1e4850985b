"""Entrypoint: finds, imports and digests the function that a variant names as `module:function`."""

import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from assay.evaluator.errors import VariantError
from assay.evaluator.provenance.module_spec import module_file, module_spec
from assay.evaluator.provenance.origin import origin_of
from assay.manifests.errors import InvalidInput, did_you_mean
from assay.manifests.plain_text import error_text

MODULES_WITH_ENTRYPOINTS = frozenset({"assay.cluster.demo.models"})
"""Assay's own modules whose functions are meant to be entrypoints."""

MOVE_IT = "put the function into a module beside the experiment's file"


def resolve_entrypoint(entrypoint: str) -> Callable[..., Any]:
    """Imports the module of `module:function` and returns the function.

    Whether the experiment may name it is checked before, by `trust`. Here it is only made sure that what was imported is
    what was checked: not another module of the same name that Python or a package had imported already.

    Raises:
        VariantError: The module or function does not exist, importing the module fails, or it is Python's or Assay's.
    """
    module_name, _, function_name = entrypoint.partition(":")
    _refuse_bare_name(entrypoint, module_name)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise VariantError(
                f"module '{module_name}' imports '{error.name}', which is not installed",
                field="entrypoint",
                value=entrypoint,
                remedy=f"install '{error.name}' on every machine that runs slots",
            ) from error
        raise _no_module(entrypoint, module_name) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the module's own code may raise anything
        raise VariantError(
            f"module '{module_name}' cannot be imported: {error_text(error)}",
            field="entrypoint",
            value=entrypoint,
        ) from error
    _check_imported(module, entrypoint)
    # A module's methods, such as `__setattr__`, are Python's.
    function = None if hasattr(ModuleType, function_name) else getattr(module, function_name, None)
    if not callable(function):
        functions = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise VariantError(
            f"module '{module_name}' has no function '{function_name}'",
            field="entrypoint",
            value=entrypoint,
            remedy=did_you_mean(function_name, functions),
        )
    return function


def check_module(entrypoint: str) -> str:
    """Checks, without importing anything, that an entrypoint's module exists, has a source file and is not Python's.

    Returns:
        The dotted name of the module.

    Raises:
        VariantError: The module does not exist, it has no file, or it is part of Python.
    """
    module_name = entrypoint.partition(":")[0]
    _refuse_bare_name(entrypoint, module_name)
    spec = module_spec(module_name)
    if spec is None:
        raise _no_module(entrypoint, module_name)
    if origin_of(spec) == "python":
        raise _not_for_entrypoints(entrypoint, spec)
    if module_file(spec) is None:
        raise VariantError(
            f"module '{module_name}' has no source file, so its code has no digest",
            field="entrypoint",
            value=entrypoint,
            remedy="move the function into a .py file",
        )
    return module_name


def check_not_assays(entrypoint: str, spec: ModuleSpec) -> None:
    """Checks that a module is not one of Assay's, except those whose functions are meant to be entrypoints.

    Raises:
        VariantError: It is one of Assay's.
    """
    if origin_of(spec) == "assay" and spec.name not in MODULES_WITH_ENTRYPOINTS:
        raise _not_for_entrypoints(entrypoint, spec)


def check_parameters(
    function: Callable[..., Any], parameters: Mapping[str, Any], *, entrypoint: str, num_leading: int = 0
) -> None:
    """Checks that a function can be called with these keyword arguments.

    Args:
        function: The imported entrypoint.
        parameters: The keyword arguments.
        entrypoint: The function's name in messages, as `module:function`.
        num_leading: The number of positional arguments that come first.

    Raises:
        VariantError: A parameter is unknown or missing.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have no signature
        return
    try:
        signature.bind(*[None] * num_leading, **parameters)
    except TypeError as error:
        accepted = list(signature.parameters)[num_leading:]
        unknown = [name for name in parameters if name not in accepted]
        raise VariantError(
            f"'{entrypoint}' cannot be called with these arguments: {error}",
            field="parameters",
            value=dict(parameters),
            bound=f"{entrypoint.partition(':')[2]}{signature}",
            remedy=did_you_mean(unknown[0], accepted) if unknown else "",
        ) from None


def add_import_paths(folders: Iterable[str]) -> None:
    """Puts folders at the front of `sys.path`, so that entrypoints in them take precedence over installed packages.

    Raises:
        InvalidInput: A folder contains its own module `assay`.
    """
    new = [folder for folder in folders if folder not in sys.path]
    for folder in new:
        check_import_path(folder)
    sys.path[:0] = new


def check_import_path(folder: str) -> None:
    """Checks that the installed Assay is imported even if this folder is first on `sys.path`, as it is on Ray.

    Raises:
        InvalidInput: The folder contains its own module or package `assay`.
    """
    spec = PathFinder.find_spec("assay", [folder])
    if spec is None or spec.origin is None:  # a folder without __init__.py does not shadow the package
        return
    if str(Path(spec.origin).resolve().parent) != _location("assay"):
        raise InvalidInput(
            "on Ray this would be imported instead of the installed package assay",
            place=str(spec.origin),
            remedy="rename it, or keep the experiment and its code in another folder",
        )


def _refuse_bare_name(entrypoint: str, module_name: str) -> None:
    """Raises if the name is that of an Assay module without the prefix `assay.`, unless the user has such a module.

    A checkout of Assay in the working folder does not count as the user's module. Its folders can be imported without
    the prefix, but each module would then be loaded twice.
    """
    if _location(f"assay.{module_name}") is None:
        return
    first = module_name.partition(".")[0]
    if _location(module_name) is None or _location(first) == _location(f"assay.{first}"):
        raise VariantError(
            f"module '{module_name}' does not exist",
            field="entrypoint",
            value=entrypoint,
            remedy=f"did you mean 'assay.{entrypoint}'?",
        )


def _location(module_name: str) -> str | None:
    """The file of a module or the folder of a package, with links resolved; None if there is none. Imports nothing."""
    spec = module_spec(module_name)
    if spec is None:
        return None
    place = next(iter(spec.submodule_search_locations or ()), spec.origin)
    return place and os.path.realpath(place)


def _check_imported(module: Any, entrypoint: str) -> None:
    """Raises if the imported module is Python's or Assay's, or another one than is found under its name."""
    spec = getattr(module, "__spec__", None)
    if not isinstance(spec, ModuleSpec):  # a script, or an object that a module has put in its own place
        return
    origin = origin_of(spec)
    if origin == "own":
        return
    name = entrypoint.partition(":")[0]
    expected = module_spec(name)
    if expected is None or os.path.realpath(str(expected.origin)) != os.path.realpath(str(spec.origin)):
        raise VariantError(
            f"module '{name}' was imported from {spec.origin}, but is found in "
            f"{'no folder' if expected is None else expected.origin}",
            field="entrypoint",
            value=entrypoint,
            remedy="give your module another name",
        )
    if origin == "python":
        raise _not_for_entrypoints(entrypoint, spec)
    check_not_assays(entrypoint, spec)


def _not_for_entrypoints(entrypoint: str, spec: ModuleSpec) -> VariantError:
    whose = "Assay itself" if origin_of(spec) == "assay" else "Python's standard library"
    return VariantError(
        f"module '{spec.name}' is part of {whose}, which no experiment can name",
        field="entrypoint",
        value=entrypoint,
        remedy=MOVE_IT,
    )


def _no_module(entrypoint: str, module_name: str) -> VariantError:
    """The error that names the first missing part of a dotted module name and the most similar existing name."""
    missing, siblings = module_name, [module.name for module in pkgutil.iter_modules()]
    parts = module_name.split(".")
    for length in range(1, len(parts) + 1):
        missing, parent = ".".join(parts[:length]), ".".join(parts[: length - 1])
        if parent:
            spec = module_spec(parent)
            paths = list(spec.submodule_search_locations or ()) if spec is not None else []
            siblings = [module.name for module in pkgutil.iter_modules(paths, prefix=f"{parent}.")]
        if module_spec(missing) is None:
            break
    near = did_you_mean(missing, siblings)
    return VariantError(
        f"module '{missing}' does not exist",
        field="entrypoint",
        value=entrypoint,
        # did_you_mean may list all known names, but a list of every installed module would not help.
        remedy=near
        if near.startswith("did you mean")
        else "put the module in the folder of the experiment's file, or install its package",
    )
