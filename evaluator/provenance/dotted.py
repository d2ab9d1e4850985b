"""Dotted names: flattens nested mappings."""

from collections.abc import Iterator, Mapping
from typing import Any


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flattens nested mappings into one with dotted names. Lists are kept as they are."""
    return dict(_leaves(values, ""))


def _leaves(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
