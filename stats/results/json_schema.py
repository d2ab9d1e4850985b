"""The JSON Schema of an analysis, on which scripts can rely."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from assay.stats.results.analysis_record import NAMED_VALUES, Analysis

ANALYSIS_SCHEMA = Path(__file__).with_name("analysis.schema.json")
"""The published schema file; a test keeps it equal to the records."""


def analysis_schema() -> dict[str, Any]:
    """The schema of `Analysis.to_json()`, generated from the records."""
    made = TypeAdapter(Analysis).json_schema(mode="serialization")
    definitions = {name: _as_in_json(definition) for name, definition in made.pop("$defs").items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "analysis.schema.json",
        **_as_in_json(made),
        "$defs": definitions,
    }


def analysis_schema_text() -> str:
    """The schema as the text of the file."""
    return json.dumps(analysis_schema(), indent=2) + "\n"


def _as_in_json(definition: dict[str, Any]) -> dict[str, Any]:
    """A record's schema with every key required, and with pairs of name and value as an object."""
    if "properties" not in definition:
        return definition
    summary, attributes = _documented(definition.get("description", ""))
    properties: dict[str, Any] = {}
    for name, form in definition["properties"].items():
        kept = {key: value for key, value in form.items() if key not in ("default", "title")}
        if name in NAMED_VALUES:
            _, value = form["items"]["prefixItems"]
            kept = {"type": "object", "additionalProperties": _nullable(value)}
        if name in attributes:
            kept = {"description": attributes[name], **kept}
        properties[name] = kept
    made = {**definition, "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"description": summary, **{key: value for key, value in made.items() if key != "description"}}


def _documented(docstring: str) -> tuple[str, dict[str, str]]:
    """The summary of a record's docstring, and its description of each field."""
    summary, _, listed = docstring.partition("\n\nAttributes:\n")
    attributes: dict[str, str] = {}
    name = ""
    for line in listed.splitlines():
        text = line.strip()
        if line.startswith("    ") and not line.startswith("     ") and ": " in text:
            name, _, text = text.partition(": ")
            attributes[name] = text
        elif name:
            attributes[name] += f" {text}"
    return summary, attributes


def _nullable(form: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [form, {"type": "null"}]} if form.get("type") == "number" else form
