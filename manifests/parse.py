"""Parsing of YAML or JSON text into manifests; errors carry file, line, field, value, bound and remedy."""

import datetime as dt
import json
import posixpath
from collections.abc import Callable, Hashable, Iterator
from typing import Any, cast, get_args

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from assay.manifests.base import Manifest, marked
from assay.manifests.contract import Contract
from assay.manifests.dataset import Dataset
from assay.manifests.errors import ManifestError, did_you_mean
from assay.manifests.experiment import Experiment
from assay.manifests.plan import Plan
from assay.manifests.policy import Policy
from assay.manifests.suite import Suite
from assay.manifests.variant import Variant

KINDS: dict[str, type[Manifest]] = {
    kind.__name__: kind for kind in (Contract, Dataset, Experiment, Plan, Policy, Suite, Variant)
}
"""The manifests that can be a file of their own, by the value of `kind:`."""

Path = tuple[str | int, ...]
Plain = Any
"""A JSON value."""


def parse(text: str, *, file: str, kind: str | None = None, read: Callable[[str], str] | None = None) -> Manifest:
    """Parses the text of one manifest.

    Args:
        text: YAML or JSON (which is YAML).
        file: Path of the file with the text: for messages, and for resolving relative locations.
        kind: The kind that the text must have; None: any.
        read: Returns the text of another file by its path; needed where a manifest refers to others by path.

    Returns:
        The manifest with everything it refers to inlined, and its relative locations resolved against the folder of the
        file that contains them.

    Raises:
        ManifestError: The text is not YAML, or violates the manifest's schema.
    """
    plain, lines = _plain_values(text, file)
    actual = cast("dict[str, Plain]", plain).get("kind") if isinstance(plain, dict) else None
    if not isinstance(actual, str) or actual not in KINDS or (kind is not None and actual != kind):
        allowed = [kind] if kind else sorted(KINDS)
        raise ManifestError(
            "wrong kind of manifest" if actual in KINDS else "unknown kind of manifest",
            place=_place(file, lines, ("kind",)),
            field="kind",
            value=actual,
            bound=", ".join(allowed),
            remedy=did_you_mean(actual, allowed)
            if isinstance(actual, str)
            else f"start the file with 'kind: {allowed[0]}'",
        )
    model = KINDS[actual]
    composed = _composed(plain, model, file, read)
    try:
        return model.model_validate_json(json.dumps(composed))
    except ValidationError as error:
        raise _manifest_error(error, model, composed, file, lines) from None


def _plain_values(text: str, file: str) -> tuple[Plain, dict[Path, int]]:
    """The YAML document as JSON values, and the line number of each value."""
    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:
        raise ManifestError(f"not YAML: {str(error).splitlines()[0]}", place=file) from None
    try:
        root = loader.get_single_node()
        if root is None:
            raise ManifestError("the file is empty", place=file, remedy="a manifest starts with 'kind:' and 'version:'")
        lines = dict(_lines(root, (), file))
        plain: Plain = loader.construct_document(root)  # pyright: ignore[reportUnknownMemberType]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ManifestError(f"not YAML: {error.problem}", place=f"{file}:{line}") from None
    except yaml.YAMLError as error:
        raise ManifestError(f"not YAML: {error}", place=file) from None
    except RecursionError:
        raise ManifestError("the document is nested too deeply, or a part of it contains itself", place=file) from None
    finally:
        loader.dispose()
    for path, value in _leaves(plain, ()):
        if isinstance(value, dt.date):
            raise ManifestError(
                "this is a date in YAML, but a string is needed",
                place=_place(file, lines, path),
                field=_dotted(path),
                value=value,
                remedy="put the value in quotes",
            )
    return plain, lines


def _lines(node: yaml.Node, path: Path, file: str) -> Iterator[tuple[Path, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(cast("list[yaml.Node]", node.value)):
            yield from _lines(item, (*path, index), file)
    elif isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            name = str(key.value)
            if name in seen:
                raise ManifestError(
                    "the field is given twice",
                    place=f"{file}:{key.start_mark.line + 1}",
                    field=_dotted((*path, name)),
                    remedy="keep one of them",
                )
            seen.add(name)
            yield from _lines(value, (*path, name), file)
            yield (*path, name), key.start_mark.line + 1


def _leaves(plain: Plain, path: Path) -> Iterator[tuple[Path, Plain]]:
    if isinstance(plain, dict):
        for key, value in cast("dict[str, Plain]", plain).items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(plain, list):
        for index, value in enumerate(cast("list[Plain]", plain)):
            yield from _leaves(value, (*path, index))
    else:
        yield path, plain


def _composed(plain: Plain, model: type[Manifest], file: str, read: Callable[[str], str] | None) -> Plain:
    """The values with referenced manifests inlined and relative locations resolved against the file's folder."""
    if not isinstance(plain, dict):
        return plain
    composed = dict(cast("dict[str, Plain]", plain))
    for name, field in model.model_fields.items():
        value = composed.get(name)
        part = _manifest_in(field.annotation)
        if isinstance(value, str) and marked(model, name, "location"):
            composed[name] = located(value, file)
        elif isinstance(value, list) and marked(model, name, "location"):
            composed[name] = [
                located(each, file) if isinstance(each, str) else each for each in cast("list[Plain]", value)
            ]
        elif isinstance(value, str) and part is not None and part.__name__ in KINDS and read is not None:
            target = located(value, file)
            composed[name] = parse(read(target), file=target, kind=part.__name__, read=read).model_dump(mode="json")
        elif isinstance(value, list) and part is not None:
            composed[name] = [_composed(item, part, file, read) for item in cast("list[Plain]", value)]
        elif part is not None:
            composed[name] = _composed(value, part, file, read) if name in composed else None
            if name not in plain:
                del composed[name]
    return composed


def located(location: str, file: str) -> str:
    """A location in a file, resolved against the file's folder. URIs and absolute paths are returned unchanged."""
    if "://" in location or posixpath.isabs(location):
        return location
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), location))


def _manifest_in(annotation: Any) -> type[Manifest] | None:
    """The manifest class in an annotation such as `Suite`, `Suite | None` or `tuple[Arm, ...]`."""
    return next(iter(_manifests_in(annotation)), None)


def _manifests_in(annotation: Any) -> list[type[Manifest]]:
    """All manifest classes in an annotation, those of a union within it included."""
    if isinstance(annotation, type) and issubclass(annotation, Manifest):
        return [annotation]
    return [each for part in get_args(annotation) for each in _manifests_in(part)]


def _manifest_error(
    error: ValidationError, model: type[Manifest], composed: Plain, file: str, lines: dict[Path, int]
) -> ManifestError:
    """The first of pydantic's errors as one of ours, with the number of the others."""
    # Unknown fields come first: where another field is missing, its name was probably mistyped.
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    first = details[0]
    problems: dict[Path, str] = {}
    for detail in details:
        problems.setdefault(_path_of(detail, composed), _problem(detail))
    path, *others = problems
    remedy = _remedy(first, model)
    if others:
        more = f"{len(others)} more {'problem' if len(others) == 1 else 'problems'} in this file"
        remedy = (
            f"{remedy}; " * bool(remedy)
            + f"{more}, the next at {_place(file, lines, others[0])}: {_dotted(others[0])}: {problems[others[0]]}"
        )
    return ManifestError(
        _problem(first),
        place=_place(file, lines, path),
        field=_dotted(path),
        value=_value(first),
        bound=_bound(first),
        remedy=remedy,
    )


def _problem(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return "unknown field"
        case "missing":
            return "required field is missing"
        case "value_error":
            return str(detail.get("ctx", {}).get("error", detail["msg"]))
        case "literal_error" | "union_tag_invalid":
            return "not one of the allowed values"
        case _:
            return detail["msg"][0].lower() + detail["msg"][1:]


def _value(detail: ErrorDetails) -> Any:
    if detail["type"] in ("missing", "value_error"):
        return None
    return detail.get("ctx", {}).get("tag", detail["input"])


def _bound(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if "expected_tags" in context:
        return str(context["expected_tags"])
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    limits = [f"{sign} {context[key]}" for key, sign in signs.items() if key in context]
    return str(context["expected"]) if "expected" in context else ", ".join(limits)


def _path_of(detail: ErrorDetails, plain: Plain) -> Path:
    """Where an error is in the document: pydantic's location without the names of the alternatives of a union."""
    location: Path = detail["loc"]
    if detail["type"] == "union_tag_invalid":
        location = (*location, str(detail.get("ctx", {})["discriminator"]).strip("'"))
    path: list[str | int] = []
    for number, step in enumerate(location):
        is_last = number == len(location) - 1
        if isinstance(plain, dict) and (step in plain or is_last):
            plain = cast("dict[str | int, Plain]", plain).get(step)
            path.append(step)
        elif isinstance(plain, list) and isinstance(step, int) and step < len(cast("list[Plain]", plain)):
            plain = cast("list[Plain]", plain)[step]
            path.append(step)
    return tuple(path)


def _remedy(detail: ErrorDetails, model: type[Manifest]) -> str:
    path: Path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        owner = _model_at(model, path[:-1])
        return did_you_mean(str(path[-1]), list(owner.model_fields)) if owner else ""
    if detail["type"] == "missing":
        return f"add '{path[-1]}:'"
    if detail["type"] == "union_tag_invalid":
        tags = detail.get("ctx", {})["expected_tags"].replace("'", "").split(", ")
        near = did_you_mean(str(_value(detail)), tags)
        return near if near.startswith("did you mean") else ""
    if detail["type"] == "model_type":
        if detail["input"] is None:
            off = getattr(_model_at(model, path), "OFF", None)
            return f"remove '{path[-1]}:' for the default" + (
                f", or switch it off with '{path[-1]}: {off}'" if off else ""
            )
        return "give the fields here, or the path of a file that contains them"
    return ""


def _model_at(model: type[Manifest], path: Path) -> type[Manifest] | None:
    """The class of the manifest at a location; where a union has several, the location names which."""
    at = [model]
    for step in path:
        if isinstance(step, int):
            continue
        if len(at) > 1:
            at = [each for each in at if _has_tag(each, step)]
        else:
            field = at[0].model_fields.get(step) if at else None
            at = _manifests_in(field.annotation) if field else []
    return at[0] if len(at) == 1 else None


def _has_tag(model: type[Manifest], tag: str) -> bool:
    return any(tag in get_args(field.annotation) for field in model.model_fields.values())


def _place(file: str, lines: dict[Path, int], path: Path) -> str:
    """`file:line` of the value, or of the innermost enclosing value that is in this file."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return f"{file}:{lines[path[:length]]}"
    return file


def _dotted(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
