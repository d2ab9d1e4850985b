"""Validation errors of pydantic as errors of Assay: with file, line, field, value, bound and remedy."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from assay.manifests.base import Manifest
from assay.manifests.errors import ManifestError, did_you_mean
from assay.manifests.union import manifests_in, tags_of

Path = tuple[str | int, ...]
Plain = Any
"""A JSON value."""

_ABSENT = ("missing", "union_tag_not_found", "union_tag_invalid")
"""Errors about a field that the document may not have."""

_NO_MAPPING = ("model_type", "dict_type")
"""Errors about another value in place of a mapping."""


def manifest_error(
    error: ValidationError, models: Sequence[type[Manifest]], composed: Plain, file: str, lines: dict[Path, int]
) -> ManifestError:
    """The first of pydantic's errors as one of ours, with the number of the others.

    Args:
        error: What pydantic raised.
        models: The class that the values were validated against, or the classes of a union.
        composed: The values.
        file: The file with the values.
        lines: The line number of each value.
    """
    # Unknown fields come first: where another field is missing, its name was probably mistyped.
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    first = details[0]
    problems: dict[Path, str] = {}
    for detail in details:
        problems.setdefault(_path_of(detail, models, composed), _problem(detail))
    path, *others = problems
    remedy = _remedy(first, models)
    if others:
        more = f"{len(others)} more {'problem' if len(others) == 1 else 'problems'} in this file"
        remedy = (
            f"{remedy}; " * bool(remedy)
            + f"{more}, the next at {place_of(file, lines, others[0])}: {dotted(others[0])}: {problems[others[0]]}"
        )
    return ManifestError(
        _problem(first),
        place=place_of(file, lines, path),
        field=dotted(path),
        value=_value(first),
        bound=_bound(first),
        remedy=remedy,
    )


def _problem(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return "unknown field"
        case "missing" | "union_tag_not_found":
            return "required field is missing"
        case "value_error":
            return str(detail.get("ctx", {}).get("error", detail["msg"]))
        case "literal_error" | "union_tag_invalid":
            return "not one of the allowed values"
        case _:
            return detail["msg"][0].lower() + detail["msg"][1:]


def _value(detail: ErrorDetails) -> Any:
    if detail["type"] in ("missing", "union_tag_not_found", "value_error"):
        return None
    return detail.get("ctx", {}).get("tag", detail["input"])


def _bound(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if "expected_tags" in context:
        return str(context["expected_tags"])
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    limits = [f"{sign} {context[key]}" for key, sign in signs.items() if key in context]
    return str(context["expected"]) if "expected" in context else ", ".join(limits)


def _path_of(detail: ErrorDetails, models: Sequence[type[Manifest]], plain: Plain) -> Path:
    """Where an error is in the document: pydantic's location without the names of the alternatives of a union."""
    location = _location(detail, models).path
    path: list[str | int] = []
    for number, step in enumerate(location):
        is_absent = number == len(location) - 1 and detail["type"] in _ABSENT
        if isinstance(plain, dict) and (step in plain or is_absent):
            plain = cast("dict[str | int, Plain]", plain).get(step)
            path.append(step)
        elif isinstance(plain, list) and isinstance(step, int) and step < len(cast("list[Plain]", plain)):
            plain = cast("list[Plain]", plain)[step]
            path.append(step)
    return tuple(path)


def _remedy(detail: ErrorDetails, models: Sequence[type[Manifest]]) -> str:
    path, owner, union, wanted = _location(detail, models)
    if detail["type"] == "extra_forbidden":
        discriminator, by_tag = tags_of(union)
        owners = [f"'{discriminator}: {tag}'" for tag, model in by_tag.items() if path[-1] in model.model_fields]
        if owners:
            return f"only {' and '.join(owners)} can have it"
        return did_you_mean(str(path[-1]), list(owner.model_fields)) if owner else ""
    if detail["type"] in ("missing", "union_tag_not_found"):
        return f"add '{path[-1]}:'"
    if detail["type"] == "union_tag_invalid":
        tags = detail.get("ctx", {})["expected_tags"].replace("'", "").split(", ")
        near = did_you_mean(str(_value(detail)), tags)
        return near if near.startswith("did you mean") else ""
    if detail["type"] in _NO_MAPPING and wanted:
        if detail["input"] is None and path:
            off = getattr(wanted[0], "OFF", "")
            either = f", or switch it off with '{path[-1]}: {off}'" if off else ""
            return f"remove '{path[-1]}:' for the default{either}"
        return "give the fields here, or the path of a file that contains them"
    return ""


class _Location(NamedTuple):
    """Where an error is.

    Attributes:
        path: The steps through the document.
        owner: The class that the last step is a field of.
        union: The classes of the union that `owner` was chosen from.
        wanted: The classes of the manifests that belong there.
    """

    path: Path
    owner: type[Manifest] | None
    union: Sequence[type[Manifest]]
    wanted: Sequence[type[Manifest]]


def _location(detail: ErrorDetails, models: Sequence[type[Manifest]]) -> _Location:
    """Pydantic's location without the tags by which it names the classes of unions."""
    steps: Path = detail["loc"]
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        steps = (*steps, str(detail.get("ctx", {})["discriminator"]).strip("'"))
    path: list[str | int] = []
    owner: type[Manifest] | None = None
    siblings: Sequence[type[Manifest]] = ()
    at = union = list(models)
    for step in steps:
        by_tag = tags_of(at)[1]
        if step in by_tag:
            at = [by_tag[str(step)]]
            continue
        path.append(step)
        if isinstance(step, str):
            owner, siblings = (at[0], union) if len(at) == 1 else (None, [])
            field = owner.model_fields.get(step) if owner else None
            at = union = manifests_in(field.annotation) if field else []
    return _Location(tuple(path), owner, siblings, at)


def place_of(file: str, lines: dict[Path, int], path: Path) -> str:
    """`file:line` of the value, or of the innermost enclosing value that is in this file."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return f"{file}:{lines[path[:length]]}"
    return file


def dotted(path: Path) -> str:
    """A path as messages show it, such as `arms[0].variant.inputs`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
