"""Parsing of YAML or JSON text into manifests; errors carry file, line, field, value, bound and remedy."""

import json
import posixpath
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from assay.manifests import yaml_document
from assay.manifests.base import Manifest, marked
from assay.manifests.contract import Contract
from assay.manifests.dataset import Dataset
from assay.manifests.errors import ManifestError, did_you_mean
from assay.manifests.experiment import Experiment
from assay.manifests.plan import Plan
from assay.manifests.policy import Policy
from assay.manifests.suite import Suite
from assay.manifests.union import manifests_in, tags_of
from assay.manifests.validation_error import Plain, manifest_error, place_of
from assay.manifests.variant import Variant

KINDS: dict[str, Any] = {
    "Contract": Contract,
    "Dataset": Dataset,
    "Experiment": Experiment,
    "Plan": Plan,
    "Policy": Policy,
    "Suite": Suite,
    "Variant": Variant,
}
"""The manifests that can be a file of their own, by the value of `kind:`: each a class, or a union of classes."""


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
    plain, lines = yaml_document.read(text, file)
    actual = cast("dict[str, Plain]", plain).get("kind") if isinstance(plain, dict) else None
    if not isinstance(actual, str) or actual not in KINDS or (kind is not None and actual != kind):
        known = isinstance(actual, str) and actual in KINDS
        allowed = [kind] if kind else sorted(KINDS)
        raise ManifestError(
            "wrong kind of manifest" if known else "unknown kind of manifest",
            place=place_of(file, lines, ("kind",)),
            field="kind",
            value=actual,
            bound=", ".join(allowed),
            remedy=did_you_mean(actual, allowed)
            if isinstance(actual, str)
            else f"start the file with 'kind: {allowed[0]}'",
        )
    models = manifests_in(KINDS[actual])
    composed = _composed(plain, models, file, read)
    try:
        return _validator(actual).validate_json(json.dumps(composed))
    except ValidationError as error:
        raise manifest_error(error, models, composed, file, lines) from None


@cache
def _validator(kind: str) -> TypeAdapter[Manifest]:
    return TypeAdapter(KINDS[kind])


def _composed(plain: Plain, models: Sequence[type[Manifest]], file: str, read: Callable[[str], str] | None) -> Plain:
    """The values with referenced manifests inlined and relative locations resolved against the file's folder.

    Args:
        plain: The values.
        models: The class of the manifest, or the classes of a union.
        file: The file with the values.
        read: Returns the text of another file by its path.
    """
    if not isinstance(plain, dict):
        return plain
    composed = dict(cast("dict[str, Plain]", plain))
    model = _meant(models, composed)
    for name, field in model.model_fields.items():
        value = composed.get(name)
        parts = manifests_in(field.annotation)
        if isinstance(value, str) and marked(model, name, "location"):
            composed[name] = located(value, file)
        elif isinstance(value, list) and marked(model, name, "location"):
            composed[name] = [
                located(each, file) if isinstance(each, str) else each for each in cast("list[Plain]", value)
            ]
        elif isinstance(value, str) and read is not None and (kind := _kind(parts)) is not None:
            target = located(value, file)
            composed[name] = parse(read(target), file=target, kind=kind, read=read).model_dump(mode="json")
        elif isinstance(value, list) and parts:
            composed[name] = [_composed(item, parts, file, read) for item in cast("list[Plain]", value)]
        elif parts and name in composed:
            composed[name] = _composed(value, parts, file, read)
    return composed


def _meant(models: Sequence[type[Manifest]], plain: dict[str, Plain]) -> type[Manifest]:
    """Of the classes of a union, the one that the values name; the first if they name none."""
    field, by_tag = tags_of(models)
    tag = plain.get(field)
    return by_tag.get(tag, models[0]) if isinstance(tag, str) else models[0]


def _kind(models: Sequence[type[Manifest]]) -> str | None:
    """The `kind:` of a file that holds one of these manifests; None if they cannot be files of their own."""
    return next((kind for kind, model in KINDS.items() if models and manifests_in(model) == models), None)


def located(location: str, file: str) -> str:
    """A location in a file, resolved against the file's folder. URIs and absolute paths are returned unchanged."""
    if "://" in location or posixpath.isabs(location):
        return location
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), location))
