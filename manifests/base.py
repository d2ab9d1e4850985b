"""The frozen base classes: of manifests, with one canonical form and one digest, and of computed records."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import rfc8785
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, PlainSerializer
from pydantic.config import JsonDict

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$")]
"""At most 101 letters, digits, `_`, `.` and `-`, starting with a letter or digit: safe as a file name."""

Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}@[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$")]
"""`name@version`; each part is a `Name`."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""`sha256:` followed by 64 hexadecimal digits."""

Instant = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?\+00:00$")]
"""A time in UTC (ISO 8601)."""

Fraction = Annotated[float, Field(ge=0, le=1)]
"""A fraction from 0 to 1."""

CIRCUMSTANCE: JsonDict = {"identity": False}
"""Marks a field that is not part of the digest."""

LOCATION: JsonDict = {"identity": False, "location": True}
"""Marks a path or URI. A relative path is resolved against the folder of the file that contains it. Locations are not
part of the digest: moving a file does not change its identity."""

_Value = TypeVar("_Value")
Named = Annotated[
    Mapping[str, _Value],
    AfterValidator(lambda values: MappingProxyType(dict(values))),
    PlainSerializer(lambda values: dict(values)),  # noqa: PLW0108  # a plain `dict` would hide the values' type in JSON Schemas
]
"""Values by name, read-only once parsed."""

Parameters = Named[JsonValue]
"""Arbitrary named JSON values."""


class Manifest(BaseModel):
    """A frozen record: unknown fields are errors, values are never coerced, equal content has an equal digest."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def content(self) -> dict[str, Any]:
        """The manifest as plain JSON values, without fields marked `LOCATION` or `CIRCUMSTANCE` at any depth."""
        nested: dict[str, Any] = {}
        left_out: set[str] = set()
        for name, is_identity in _fields(type(self)).items():
            value = getattr(self, name)
            if not is_identity:
                left_out.add(name)
            elif isinstance(value, Manifest):
                nested[name] = value.content()
            elif isinstance(value, tuple) and value and all(isinstance(item, Manifest) for item in value):  # pyright: ignore[reportUnknownVariableType]
                nested[name] = [item.content() for item in value]  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
        return {**self.model_dump(mode="json", exclude={*left_out, *nested}), **nested}

    def canonical_json(self) -> bytes:
        """The content as canonical JSON bytes (RFC 8785)."""
        return rfc8785.dumps(self.content())

    def digest(self) -> str:
        """The sha256 of `canonical_json()`, as `sha256:<hex>`."""
        return sha256_digest(self.canonical_json())


@cache
def _fields(model: type[Manifest]) -> Mapping[str, bool]:
    """A manifest's fields, and whether each is part of the digest."""
    return {name: marked(model, name, "identity", default=True) for name in model.model_fields}


class Computed(BaseModel):
    """A record that Assay computes. In JSON, a number that is undefined (NaN) or infinite is null."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="null",
        json_schema_serialization_defaults_required=True,
    )

    def plain(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return json.loads(self.model_dump_json())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the record as JSON, because read-only mappings cannot be pickled."""
        return type(self).model_validate_json, (self.model_dump_json(),)


def sha256_digest(content: bytes) -> str:
    """The sha256 of some bytes in the form that manifests use, `sha256:<hex>`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def marked(model: type[BaseModel], field: str, mark: str, *, default: bool = False) -> bool:
    """Whether a model's field carries a mark, such as `location` of `LOCATION`."""
    extra = model.model_fields[field].json_schema_extra
    return bool(extra.get(mark, default)) if isinstance(extra, dict) else default  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]
