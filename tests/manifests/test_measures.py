"""The table of measures is what manifests, the JSON Schema and the README say about measures."""

import itertools
import json
import re

import jsonschema
import pytest
from pydantic import ValidationError

from assay.manifests import Metric
from assay.manifests.measures import MEASURES
from tests.readme import ROOT

GIVEN = {
    "k": 3,
    "quantile": 0.5,
    "threshold": 0.5,
    "operating_point": {"false_positive_rate": 0.1},
    "values": {"a": {"a": 1.0, "b": 0.0}, "b": {"a": 0.0, "b": 1.0}},
    "scorer": "own:score",
    "scorer_digest": "sha256:" + "0" * 64,
    "direction": "higher",
    "scale": "ordinal",
}
SCHEMA = jsonschema.Draft202012Validator(Metric.model_json_schema())


def is_valid(fields):
    try:
        Metric.model_validate(fields)
    except ValidationError:
        return False
    return True


def test_fields_of_the_table_are_fields_of_a_metric():
    named = {field for each in MEASURES.values() for field in (*each.parameters, *each.options)}
    assert named == set(Metric.model_fields) - {"name", "measure"} == set(GIVEN)


@pytest.mark.parametrize("name", MEASURES)
def test_the_json_schema_accepts_what_a_metric_accepts(name):
    measure = MEASURES[name]
    required = {field: GIVEN[field] for field in measure.parameters}
    assert is_valid({"name": "m", "measure": name, **required})
    for field, is_given in itertools.product(GIVEN, (False, True)):
        others = {other: value for other, value in required.items() if other != field}
        fields = {"name": "m", "measure": name, **others, **({field: GIVEN[field]} if is_given else {})}
        assert SCHEMA.is_valid(fields) == is_valid(fields), fields
    recorded = json.loads(Metric.model_validate({"name": "m", "measure": name, **required}).model_dump_json())
    SCHEMA.validate(recorded)


def test_the_readme_lists_every_measure_once_beside_what_it_is_computed_from():
    text = (ROOT / "manifests" / "README.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| ((?:each|all) [^|]*) \|$", text, re.MULTILINE)
    places = {"each row": "row", "each query": "query", "all rows": "dataset"}
    found = {name: place for names, place in rows for name in re.findall(r"`(\w+)`", names)}
    levels = {
        name: level for name, place in found.items() for start, level in places.items() if place.startswith(start)
    }
    assert levels == {name: measure.level for name, measure in MEASURES.items()}


def test_the_description_of_a_metrics_measure_names_every_measure():
    description = Metric.model_json_schema()["properties"]["measure"]["description"]
    assert [name for name, each in MEASURES.items() if f"`{name}`, {each.meaning}" not in description] == []
