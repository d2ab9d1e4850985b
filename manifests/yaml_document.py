"""YAML document: reads YAML as JSON values with their line numbers, and refuses what JSON cannot express.

It builds the values from the parser's events itself, so that nothing of the text is constructed, expanded or recursed into
before it was counted: no objects of Python, no dates, and no document that grows when its aliases are written out.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from assay.manifests.errors import ManifestError
from assay.manifests.validation_error import Path, Plain, dotted

LONGEST = 2_000_000
"""The most characters of a manifest's text."""

_DEEPEST = 64
_LARGEST = 2_000_000
"""The most characters of all values with aliases written out; each value counts as its text and 20 more. An experiment that
lists 7,000 arms one by one has as many."""
_PER_VALUE = 20
_LARGEST_INTEGER = 2**53 - 1
"""JSON's readers agree on integers up to this one, and so do the digests of manifests (RFC 8785)."""

_TAG = "tag:yaml.org,2002:"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast
_RESOLVER: Any = yaml.SafeLoader("")
_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u(d[89ab]\w\w)\\u(d[c-f]\w\w)", re.IGNORECASE)


EXPONENT = re.compile(r"-?[0-9]+(\.[0-9]+)?[eE][-+]?[0-9]+$")
"""Numbers as JSON and YAML 1.2 write them, such as 1e-12. PyYAML's resolver, of YAML 1.1, takes them for texts."""
_READ_DIFFERENTLY = re.compile(r"[-+]?(0[0-9_]+|[0-9_.]*:[0-9_.:]*)")
"""Octal numbers with a leading zero, and numbers to base 60, such as 1:30."""
_NO_NUMBER = {
    "bool": "not true or false",
    "int": "not an integer that every reader of JSON reads alike",
    "float": "not a finite number",
}
_SHOWN = 16
"""From this depth on, an error names only the outermost fields."""


class _Node(NamedTuple):
    """A value, the line on which it begins, and what it contains.

    Attributes:
        value: The value.
        line: The line.
        parts: The parts of a list by index, or of a mapping by name.
        lines: The line of each name of a mapping.
        size: The number of its characters with aliases written out.
    """

    value: Plain
    line: int
    parts: dict[str | int, "_Node"]
    lines: dict[str, int]
    size: int


_NO_PARTS: dict[str | int, _Node] = {}
_NO_LINES: dict[str, int] = {}


def read(text: str, file: str) -> tuple[Plain, dict[Path, int]]:
    """Reads the text of one document.

    Args:
        text: YAML or JSON.
        file: The path of the file with the text, for messages.

    Returns:
        The document as JSON values, and the line number of each value.

    Raises:
        ManifestError: The text is not one YAML document, is too large or nested too deeply, or has a value that JSON
            does not have.
    """
    if len(text) > LONGEST:
        raise ManifestError(
            "the text is too long", place=file, value=f"{len(text):,} characters", bound=f"at most {LONGEST:,}"
        )
    strange = _NOT_ALLOWED.search(text)
    if strange is not None:
        raise ManifestError(
            f"not YAML: the character #x{ord(strange[0]):04x} is not allowed",
            place=f"{file}:{text.count(chr(10), 0, strange.start()) + 1}",
            remedy="remove it, or save the file as UTF-8 text",
        )
    if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")):  # JSON writes a character as two escapes, YAML does not
        text = _PAIR.sub(lambda found: found[1] + bytes.fromhex(found[2] + found[3]).decode("utf-16-be"), text)
    try:
        root = _Document(text, file).root()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        place = f"{file}:{min(line, text.count(chr(10)) + 1)}"
        raise ManifestError(f"not YAML: {error.problem}", place=place) from None
    except yaml.YAMLError as error:
        raise ManifestError(f"not YAML: {str(error).splitlines()[0]}", place=file) from None
    return root.value, dict(_lines(root, ()))


def _lines(node: _Node, path: Path) -> Iterator[tuple[Path, int]]:
    yield path, node.line
    for name, part in node.parts.items():
        yield from _lines(part, (*path, name))
    for name, line in node.lines.items():
        yield (*path, name), line


class _Document:
    """The events of one text, and the values that they have built."""

    def __init__(self, text: str, file: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        self._file = file
        self._anchored: dict[str, _Node | None] = {}  # None: the value is not complete yet
        self._size = 0
        self._path: list[str | int] = []

    def root(self) -> _Node:
        """The only document's value."""
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise ManifestError(
                "the file is empty", place=self._file, remedy="a manifest starts with 'kind:' and 'version:'"
            )
        root = self._node(next(self._events))
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._error(after, "a second document begins here", remedy="put it into a file of its own")
        return root

    def _node(self, event: Any) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        if len(self._path) > _DEEPEST:
            raise self._too_deep(event)
        if event.anchor:
            self._anchored[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            size = _PER_VALUE + len(event.value)
            self._add(event, size)
            node = _Node(self._scalar(event), _line(event), _NO_PARTS, _NO_LINES, size)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event)
        else:
            node = self._mapping(event)
        if event.anchor:
            self._anchored[event.anchor] = node
        return node

    def _part(self, event: Any, name: str | int) -> _Node:
        self._path.append(name)
        node = self._node(event)
        self._path.pop()
        return node

    def _aliased(self, event: Any) -> _Node:
        if event.anchor not in self._anchored:
            raise self._error(event, f"not YAML: nothing before has the name '&{event.anchor}'")
        node = self._anchored[event.anchor]
        if node is None:
            raise self._error(event, "the value contains itself", value=f"*{event.anchor}")
        if len(self._path) + _depth(node) > _DEEPEST:
            raise self._too_deep(event)
        self._add(event, node.size)
        return node

    def _sequence(self, event: Any) -> _Node:
        self._require_tag(event, "seq")
        self._add(event, _PER_VALUE)
        parts: dict[str | int, _Node] = {}
        while not isinstance(following := next(self._events), yaml.SequenceEndEvent):
            parts[len(parts)] = self._part(following, len(parts))
        size = _PER_VALUE + sum(part.size for part in parts.values())
        return _Node([part.value for part in parts.values()], _line(event), parts, _NO_LINES, size)

    def _mapping(self, event: Any) -> _Node:
        self._require_tag(event, "map")
        self._add(event, _PER_VALUE)
        parts: dict[str | int, _Node] = {}
        lines: dict[str, int] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            name = self._name(key)
            if name in parts:
                self._path.append(name)
                raise self._error(key, "the field is given twice", remedy="keep one of them")
            lines[name] = _line(key)
            parts[name] = self._part(next(self._events), name)
        size = _PER_VALUE + sum(len(str(name)) + part.size for name, part in parts.items())
        return _Node({name: part.value for name, part in parts.items()}, _line(event), parts, lines, size)

    def _name(self, key: Any) -> str:
        """The name of a field, as it is written: `no` is a name, and so is 2026-01-01."""
        if not isinstance(key, yaml.ScalarEvent) or key.tag not in (None, "!", f"{_TAG}str"):
            raise self._error(key, "the name of a field is not a text", remedy="put it in quotes")
        name = str(key.value)
        if name == "<<" and key.implicit[0]:
            raise self._error(key, "merge keys are not supported", value="<<", remedy="write the fields out")
        self._add(key, len(name))
        return name

    def _scalar(self, event: Any) -> Plain:
        text, tag = str(event.value), event.tag
        if tag in (None, "!"):
            tag = _RESOLVER.resolve(yaml.ScalarNode, text, event.implicit)
            if event.implicit[0] and EXPONENT.match(text):
                tag = f"{_TAG}float"
        kind = tag.removeprefix(_TAG)
        if "\0" in text:
            raise self._error(event, "the character NUL is not allowed", value=text, remedy="remove it")
        if kind in ("str", "merge", "value"):
            return text
        if kind == "null":
            return None
        if kind == "timestamp":
            remedy = "put the value in quotes"
            raise self._error(event, "this is a date in YAML, but a string is needed", value=text, remedy=remedy)
        if kind not in _NO_NUMBER:
            self._require_tag(event, "str")
        return self._number(event, kind)

    def _number(self, event: Any, kind: str) -> bool | int | float:
        """A scalar that YAML reads as a number, or as true or false."""
        if kind != "bool" and _READ_DIFFERENTLY.fullmatch(event.value):
            raise self._error(
                event,
                "a number that YAML 1.1 and 1.2 read differently",
                value=event.value,
                remedy="write it without leading zeros and colons, or put it in quotes if it is a text",
            )
        try:
            value: Any = getattr(_RESOLVER, f"construct_yaml_{kind}")(yaml.ScalarNode(f"{_TAG}{kind}", event.value))
            is_allowed = abs(value) <= _LARGEST_INTEGER if kind == "int" else math.isfinite(value)
        except (ValueError, KeyError, IndexError, OverflowError):
            is_allowed = value = False
        if is_allowed:
            return value
        raise self._error(
            event,
            _NO_NUMBER[kind],
            value=event.value,
            bound=f"-{_LARGEST_INTEGER:,} to {_LARGEST_INTEGER:,}" if kind == "int" else "",
            remedy="put the value in quotes if it is a text",
        )

    def _require_tag(self, event: Any, kind: str) -> None:
        """Raises if a value has a tag other than the one of its kind, such as `!!python/object` or `!!set`."""
        if event.tag not in (None, "!", f"{_TAG}{kind}"):
            tag = event.tag.replace(_TAG, "!!")
            raise self._error(event, "values with this tag are not supported", value=tag, remedy="remove the tag")

    def _add(self, event: Any, size: int) -> None:
        self._size += size
        if self._size > _LARGEST:
            bound = f"{_LARGEST:,} characters, of which each value takes {_PER_VALUE} more than it has"
            raise self._error(event, "the document is too large here, with its aliases written out", bound=bound)

    def _too_deep(self, event: Any) -> ManifestError:
        return self._error(event, "the document is nested too deeply", bound=f"at most {_DEEPEST} levels")

    def _error(
        self, event: Any, problem: str, *, value: object = None, bound: str = "", remedy: str = ""
    ) -> ManifestError:
        field = dotted(tuple(self._path)) if len(self._path) < _SHOWN else f"{dotted(tuple(self._path[:3]))}…"
        return ManifestError(
            problem, place=f"{self._file}:{_line(event)}", field=field, value=value, bound=bound, remedy=remedy
        )


def _line(event: Any) -> int:
    return event.start_mark.line + 1


def _depth(node: _Node) -> int:
    """How many levels a value has below itself."""
    return max((1 + _depth(part) for part in node.parts.values()), default=0)
