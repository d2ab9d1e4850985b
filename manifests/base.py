"""Manifest: the frozen base of everything that is written down, with one canonical form and one digest."""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import rfc8785
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, PlainSerializer
from pydantic.config import JsonDict

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$")]
"""Letters, digits, `_`, `.`, `-`; starts with a letter or digit; at most 101 characters: safe as a file name."""

Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}@[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$")]
"""`name@version`, both parts like a `Name`."""

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""`sha256:` and 64 hexadecimal digits."""

Instant = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?\+00:00$")]
"""A moment in UTC, ISO 8601."""

Fraction = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole, from 0 to 1."""

CIRCUMSTANCE: JsonDict = {"identity": False}
"""Marks a field that takes no part in the digest."""

LOCATION: JsonDict = {"identity": False, "location": True}
"""Marks a path or URI. Relative ones are read from the folder of the file they stand in. Where a thing lies is
not what it is: locations take no part in the digest."""

Parameters = Annotated[
    Mapping[str, JsonValue],
    AfterValidator(lambda given: MappingProxyType(dict(given))),
    PlainSerializer(dict),
]
"""Free named values, read-only once parsed."""


class Manifest(BaseModel):
    """A frozen record: unknown fields are refused, nothing is coerced, equal content has an equal digest."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def content(self) -> dict[str, Any]:
        """The manifest as plain JSON values, without locations and circumstances at any depth."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        for name in type(self).model_fields:
            value = getattr(self, name)
            if not marked(type(self), name, "identity", default=True):
                del plain[name]
            elif isinstance(value, Manifest):
                plain[name] = value.content()
            elif isinstance(value, tuple):
                plain[name] = [
                    item.content() if isinstance(item, Manifest) else dumped
                    for item, dumped in zip(value, plain[name], strict=True)  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
                ]
        return plain

    def canonical_json(self) -> bytes:
        """The content in the one byte form of RFC 8785."""
        return rfc8785.dumps(self.content())

    def digest(self) -> str:
        """The sha256 of `canonical_json()`, as `sha256:<hex>`."""
        return sha256_digest(self.canonical_json())


def sha256_digest(content: bytes) -> str:
    """The digest of some bytes in the form that manifests use."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def marked(model: type[BaseModel], field: str, mark: str, *, default: bool = False) -> bool:
    """Whether a field carries a mark, such as those of `LOCATION`."""
    extra = model.model_fields[field].json_schema_extra
    return bool(extra.get(mark, default)) if isinstance(extra, dict) else default  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType]
