"""Unions of manifests: which classes an annotation names, and what distinguishes them."""

from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from assay.manifests.base import Manifest


def manifests_in(annotation: Any) -> list[type[Manifest]]:
    """The manifest classes in an annotation such as `Suite`, `Suite | None`, `tuple[Arm, ...]` or a union of classes."""
    if isinstance(annotation, type) and issubclass(annotation, Manifest):
        return [annotation]
    return [each for part in get_args(annotation) for each in manifests_in(part)]


def tags_of(models: Sequence[type[Manifest]]) -> tuple[str, dict[str, type[Manifest]]]:
    """The field that distinguishes the classes of a union, and the class of each of its values; none without a union."""
    for name in models[0].model_fields if models else ():
        annotations = [each.model_fields[name].annotation for each in models if name in each.model_fields]
        tags = [get_args(each)[0] for each in annotations if get_origin(each) is Literal]
        if len(set(tags)) == len(models) > 1:
            return name, dict(zip(tags, models, strict=True))
    return "", {}
