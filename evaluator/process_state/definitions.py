"""Definitions that all code of this process shares: what loaded modules and their classes define.

Functions, classes and constants of modules that scores pass through are compared by identity, so that a replaced one is
found; so are the bodies of functions in some packages. Of the user's own modules, everything is compared, since two arms may
share one. What is added later, as by a module that is imported when it is first used, is no change.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import is_
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

import numpy as np
import torch

Names = dict[str, Any] | MappingProxyType[str, Any]

_DEFINED = (
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    MethodDescriptorType,
    WrapperDescriptorType,
    ClassMethodDescriptorType,
    GetSetDescriptorType,
    MemberDescriptorType,
    ModuleType,
    type,
    property,
    staticmethod,
    classmethod,
    partial,
    np.ufunc,
    float,
    complex,
)
"""Types of values that code defines once; other values of modules, such as counters and caches, change as it runs."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_MOST_ENTRIES, _MOST_BYTES = 10_000, 100_000
"""Of larger tables and arrays, only the size is compared."""

_WATCHED = (
    *(
        "builtins",
        "cmath",
        "collections",
        "copy",
        "datetime",
        "functools",
        "itertools",
        "json",
        "math",
        "operator",
        "os",
    ),
    *("pickle", "random", "re", "statistics", "string", "struct", "threading", "time"),
    *("numpy", "torch", "pandas", "pyarrow", "scipy", "sklearn", "assay"),
)
"""Packages that scores pass through. Of those that were loaded before the first look, no others are watched: they serve
Assay's command line, or a debugger. What the user's code loads later is watched, whatever it is."""
_WATCHED_CLASSES = ("numpy", "torch.nn", "torch.autograd", "assay.evaluator")
"""Packages whose classes are watched; so are those of the user, and of the modules `torch` and `pandas` themselves."""
_WATCHED_BODIES = ("numpy", "torch.nn", "torch.functional", "torch._tensor", "assay.evaluator")
"""Packages whose functions are watched for another body; so are the user's."""
_CHANGING = (
    *("torch._dynamo", "torch._inductor", "torch._functorch", "torch.fx", "torch._export", "torch.export"),
    *("torch.testing", "torch.onnx", "torch.distributed", "torch._subclasses", "torch.utils._sympy"),
    *("__main__", "__mp_main__", "bdb", "pdb", "cmd", "code", "readline", "rlcompleter", "linecache"),
    *("_pytest", "pytest", "pluggy", "coverage", "hypothesis", "IPython", "debugpy", "_pydevd_bundle", "pydevd"),
    *("rich", "sympy", "mpmath", "ray"),
    *("numpy.f2py", "numpy.ma", "numpy.polynomial", "numpy.testing", "assay.cluster", "pandas.io"),
)
"""Modules that replace their own functions as they work, or that hardly any score passes through."""
_PUBLIC_PARTS = ("torch", "scipy", "sklearn")
"""Packages of whose private parts only `torch._tensor` and `torch._C` are watched: they have thousands."""
_FOLLOWING = {("torch", "Storage"), *(("sys", name) for name in ("last_type", "last_value", "last_traceback"))}
"""Definitions that only follow from settings or errors: the first one from torch's default dtype."""
_INSTALLED = tuple({sys.prefix, sys.base_prefix, sys.exec_prefix})
_HEAP_TYPE, _IMMUTABLE_TYPE = 1 << 9, 1 << 8  # of CPython's flags of types: which classes can be changed at all


@dataclass(frozen=True)
class Definitions:
    """The definitions of some moment.

    Attributes:
        modules: The loaded modules, by name.
        names: What each module and class of installed packages defines, by its dotted name.
        own: The same of the user's modules, as values that can be compared.
        bodies: By the dotted names of watched modules and classes: the name of each function, the function, its code, its
            default values and those of its keyword arguments, one after another.
    """

    modules: Mapping[str, ModuleType]
    names: Mapping[str, Names]
    own: Mapping[str, Names]
    bodies: Mapping[str, Sequence[object]]


@dataclass(frozen=True)
class Redefinition:
    """A definition that is no longer what it was.

    Attributes:
        name: Its dotted name.
        before: What it was.
        after: What it is.
        module: The user's module whose own state it is, which concerns only code that imports it; empty: everybody.
    """

    name: str
    before: str
    after: str
    module: str = ""


class _Role(NamedTuple):
    """How a module is watched."""

    is_own: bool
    has_classes: bool
    has_bodies: bool


@dataclass
class DefinitionReader:
    """Reads definitions, and remembers how each module is watched and which classes it has."""

    _loaded_before: frozenset[str] = field(
        default_factory=lambda: frozenset(name.partition(".")[0] for name in sys.modules)
    )
    _roles: dict[str, _Role | None] = field(default_factory=dict)
    _classes: dict[str, tuple[ModuleType, dict[str, type]]] = field(default_factory=dict)

    def captured(self) -> Definitions:
        """The definitions as they are now."""
        modules: dict[str, ModuleType] = {}
        names: dict[str, Names] = {}
        own: dict[str, Names] = {}
        bodies: dict[str, list[object]] = {}
        for name, module in list(sys.modules.items()):
            role = self._roles[name] if name in self._roles else self._role(name, module)
            if role is None:
                continue
            modules[name] = module
            held = vars(module)
            parts: dict[str, Names] = {name: held}
            if role.has_classes:
                parts |= {full: vars(each) for full, each in self._classes_of(name, module).items()}
            for full, defined in parts.items():
                if role.is_own:
                    own[full] = {key: _comparable(value) for key, value in defined.items() if not _is_dunder(key)}
                else:
                    names[full] = defined.copy()
                if role.has_bodies:
                    bodies[full] = [
                        part
                        for key, value in defined.items()
                        if type(value) is FunctionType
                        for part in (key, value, value.__code__, value.__defaults__, value.__kwdefaults__)
                    ]
        return Definitions(modules, names, own, bodies)

    def _role(self, name: str, module: ModuleType) -> _Role | None:
        """How a module is watched; None: not at all. It is the user's if it is neither installed nor Assay's."""
        role = None
        if isinstance(module, ModuleType) and not _is_within(name, _CHANGING):
            file = getattr(module, "__file__", None)
            is_own = isinstance(file, str) and not file.startswith(_INSTALLED) and not _is_within(name, ("assay",))
            if is_own or self._is_watched(name):
                has_classes = is_own or name in ("torch", "pandas") or _is_within(name, _WATCHED_CLASSES)
                role = _Role(is_own, has_classes, is_own or _is_within(name, _WATCHED_BODIES))
        self._roles[name] = role
        return role

    def _is_watched(self, name: str) -> bool:
        """Whether an installed module is watched."""
        top, _, part = name.partition(".")
        if top not in _WATCHED:
            return top not in self._loaded_before
        is_private = part.startswith("_") or "._" in part
        return top not in _PUBLIC_PARTS or not is_private or name in ("torch._tensor", "torch._C")

    def _classes_of(self, name: str, module: ModuleType) -> Mapping[str, type]:
        """The classes that a module defines itself and that can be changed, by dotted names."""
        known, found = self._classes.get(name, (None, {}))
        if known is not module:
            found = {}
            for each in list(vars(module).values()):
                if not issubclass(type(each), type) or each.__flags__ & _IMMUTABLE_TYPE:
                    continue
                if each.__flags__ & _HEAP_TYPE and vars(each).get("__module__") == name:
                    found[f"{name}.{each.__qualname__}"] = each
            self._classes[name] = (module, found)
        return found


def redefinitions(before: Definitions, after: Definitions) -> Iterator[Redefinition]:
    """Yields each definition that is no longer what it was."""
    for name, module in before.modules.items():
        now = after.modules.get(name)
        if now is not module:
            yield Redefinition(f"module {name}", "loaded", "removed" if now is None else "another module")
    for name, held in before.names.items():
        now = after.names.get(name, held)
        if len(now) == len(held) and all(map(is_, held.values(), now.values())):  # as nearly always
            continue
        for key, value in held.items():
            found = now.get(key, _MISSING)
            is_definition = callable(value) or isinstance(value, _DEFINED)
            if found is not value and is_definition and (name, key) not in _FOLLOWING:
                yield Redefinition(f"{name}.{key}", _described(value), _described(found))
    for name, held in before.own.items():
        now = after.own.get(name, held)
        for key, value in held.items():
            found = now.get(key, _MISSING)
            if found is not value and found != value:
                is_state = type(value) in _PLAIN or not isinstance(value, _DEFINED)
                module = _module_of(name, before.modules) if is_state else ""
                yield Redefinition(f"{name}.{key}", _described(value), _described(found), module)
    for name, parts in before.bodies.items():
        now = after.bodies.get(name, parts)
        if len(now) == len(parts) and all(map(is_, parts, now)):
            continue
        same = {(key, id(function)): body for key, function, *body in _functions(now)}
        for key, function, *body in _functions(parts):
            if not all(map(is_, body, same.get((key, id(function)), body))):
                yield Redefinition(f"{name}.{key}", "a function", "the function with other code or other defaults")


def _functions(parts: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The parts of one function after another."""
    return (parts[first : first + 5] for first in range(0, len(parts), 5))


_MISSING = object()


def _comparable(value: Any, *, depth: int = 0) -> Any:
    """A value that equals that of another moment if the two are, as far as can be told cheaply, the same."""
    kind = type(value)
    if isinstance(value, _DEFINED) or kind in _PLAIN:
        return value
    if depth < _DEPTH:
        if kind in (list, tuple, set, frozenset) and len(value) <= _MOST_ENTRIES:
            return kind, tuple(_comparable(each, depth=depth + 1) for each in list(value))
        if kind in (dict, MappingProxyType) and len(value) <= _MOST_ENTRIES:
            return kind, tuple((id(key), _comparable(each, depth=depth + 1)) for key, each in list(value.items()))
    if kind is np.ndarray and value.nbytes <= _MOST_BYTES and not value.dtype.hasobject:
        return "an array", str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, torch.Tensor) and not value.is_inference():
        return "a tensor", id(value), value._version  # noqa: SLF001  # counts writes in place
    held = getattr(value, "__dict__", None)
    if depth < _DEPTH and type(held) is dict and len(held) <= _MOST_ENTRIES:
        return kind, id(value), tuple((key, _comparable(each, depth=_DEPTH)) for key, each in list(held.items()))
    return kind, id(value), len(value) if kind in (list, tuple, set, dict) else 0


_DEPTH = 2


def _is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in packages)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in ("__call__", "__init__", "__getattr__")


def _module_of(name: str, modules: Mapping[str, ModuleType]) -> str:
    """The module that a dotted name of a module or class belongs to."""
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name


def _described(value: object) -> str:
    """A definition in a few words."""
    if value is _MISSING:
        return "nothing"
    if type(value) in _PLAIN:
        return repr(value)
    if callable(value) or isinstance(value, _DEFINED):
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        kind: type = type(value)
        return f"{module}.{name}" if isinstance(name, str) and isinstance(module, str) else kind.__name__
    kind = value[0] if isinstance(value, tuple) and value else type(value)
    return f"a {kind.__name__}" if isinstance(kind, type) else str(kind)
