"""Contracts that are not allowed: every invalid combination of fields raises an error with a message."""

import json

import pytest

from assay.manifests import Contract, ManifestError, parse


def contract(*columns, **rules):
    least = [{"name": "y", "role": "label", "type": "int8"}, {"name": "x", "role": "feature", "type": "float32"}]
    content = {"kind": "Contract", "version": 1, "columns": [*least, *columns], **rules}
    return parse(json.dumps(content), file="contract.yaml")


INFO = {"name": "c", "role": "info"}
COLUMNS = [
    ({"type": "string", "minimum": 1}, "minimum needs a column of numbers"),
    ({"type": "date", "maximum": 1}, "maximum needs a column of numbers"),
    ({"type": "bool", "maximum": 1}, "maximum needs a column of numbers"),
    ({"type": "int8", "pattern": "a"}, "pattern needs a column of type string"),
    ({"type": "int8", "min_length": 1}, "min_length needs a column of type string"),
    ({"type": "bool", "max_length": 1}, "max_length needs a column of type string"),
    (
        {"type": "float64", "allowed_values": [1]},
        "allowed_values needs a scalar column of type string, integer or bool",
    ),
    ({"type": "date", "allowed_values": [1]}, "allowed_values needs a scalar column of type string, integer or bool"),
    (
        {"type": "timestamp", "allowed_values": [1]},
        "allowed_values needs a scalar column of type string, integer or bool",
    ),
    (
        {"type": "int8", "shape": [2], "allowed_values": [1]},
        "allowed_values needs a scalar column of type string, integer or bool",
    ),
    ({"type": "int8", "shape": [2], "unique": True}, "unique needs a scalar column"),
    ({"type": "string", "format": "%Y"}, "format needs a column of type date or timestamp"),
    ({"type": "string", "max_null_fraction": 0.1}, "max_null_fraction needs nullable: true"),
    ({"type": "string", "null_values": ["NA"]}, "null_values needs nullable: true"),
    ({"type": "int8", "minimum": 2, "maximum": 1}, "minimum 2.0 is greater than maximum 1.0"),
    ({"type": "string", "min_length": 2, "max_length": 1}, "min_length 2 is greater than max_length 1"),
    ({"type": "string", "min_length": -1}, "greater than or equal to 0"),
    ({"type": "string", "nullable": True, "max_null_fraction": 1.5}, "less than or equal to 1"),
    ({"type": "int8", "allowed_values": ["a"]}, "allowed_values contains 'a', but the column is of type int8"),
    ({"type": "int8", "allowed_values": [True]}, "allowed_values contains True, but the column is of type int8"),
    ({"type": "string", "allowed_values": [1]}, "allowed_values contains 1, but the column is of type string"),
    ({"type": "bool", "allowed_values": [1]}, "allowed_values contains 1, but the column is of type bool"),
    ({"type": "int8", "warn": ["minimum"]}, "warn names minimum, but the column has no minimum"),
    ({"type": "string", "warn": ["unique"]}, "warn names unique, but the column has no unique"),
    (
        {"nullable": True, "warn": ["null_fraction"]},
        "warn names null_fraction, but the column has no max_null_fraction",
    ),
    ({"type": "int8", "minimum": 0, "warn": ["minimum", "minimum"]}, "warn must not repeat a rule"),
    ({"type": "int8", "warn": ["null"]}, "warn"),
    ({"role": "id", "unique": True, "warn": ["unique"]}, "an id must be unique; remove unique from warn"),
    (
        {"role": "ignored", "minimum": 1, "type": "int8"},
        "a column of role ignored is not read, so it cannot have rules",
    ),
    ({"role": "id", "nullable": True}, "id column cannot be nullable: every row needs a value"),
    ({"role": "weight", "type": "int8"}, "weight column: type is int8, must be float32 or float64"),
    ({"role": "timestamp", "type": "string"}, "timestamp column: type is string, must be date or timestamp"),
    ({"role": "feature", "type": "date"}, "a feature column cannot be of type date"),
    ({"role": "feature", "type": "int8", "nullable": True}, "a feature of type int8 cannot be nullable"),
    ({"type": "int8", "shape": [0]}, "every size in shape must be at least 1"),
    ({"type": "string", "shape": [2]}, "the elements of a tensor must be numbers or bools, not of type string"),
    ({"role": "segment", "type": "int64", "shape": [2]}, "only a column of role feature or info may be a tensor"),
    ({"role": "segment", "type": "float64"}, "segment column: type is float64, must be string or int64 or bool"),
    ({"classes": ["a"]}, "classes must be given for a label of type string"),
]


@pytest.mark.parametrize(("column", "words"), COLUMNS)
def test_a_wrong_column_is_refused(column, words):
    with pytest.raises(ManifestError) as caught:
        contract({**INFO, **column})
    assert words in str(caught.value)
    assert "columns[2]" in str(caught.value)


EMBEDDING = {"name": "v", "role": "feature", "type": "float32", "shape": [4]}
NOTE = {"name": "note", "role": "ignored"}
CONTRACTS = [
    ([{"name": "x", "role": "info"}], {}, "column names must be unique; given more than once: x"),
    ([{"name": "z", "role": "label", "type": "int8"}], {}, "2 columns have the role label; allowed: 1 to 1"),
    ([{"name": n, "role": "id"} for n in "ab"], {}, "2 columns have the role id; allowed: 0 to 1"),
    ([], {"rows": {"minimum": 5, "maximum": 4}}, "minimum 5 is greater than maximum 4"),
    ([], {"rows": {"minimum": 0}}, "greater than or equal to 1"),
    ([], {"freshness": {"max_age_days": 1}}, "freshness needs a column of role timestamp"),
    ([], {"freshness": {"max_age_days": 0}}, "greater than 0"),
    ([], {"unique_together": [{"columns": ["x"]}]}, "at least 2 items"),
    ([], {"unique_together": [{"columns": ["x", "zz"]}]}, "unique_together[0] names 'zz', which is not a column"),
    ([], {"unique_together": [{"columns": ["x", "x"]}]}, "unique_together[0] names 'x' twice"),
    (
        [NOTE],
        {"unique_together": [{"columns": ["x", "note"]}]},
        "names 'note', which is not a column of the contract, or has the role ignored",
    ),
    ([EMBEDDING], {"unique_together": [{"columns": ["x", "v"]}]}, "names 'v', which is a tensor"),
    ([], {"sample": {"rows": 5, "stratify": ["zz"]}}, "sample.stratify names 'zz'"),
    (
        [],
        {"class_balance": {"min_fraction": 0.6, "max_fraction": 0.5}},
        "min_fraction 0.6 is greater than max_fraction 0.5",
    ),
    ([], {"class_balance": {"max_fraction": 2}}, "less than or equal to 1"),
    ([], {"duplicates": {"max_fraction": -1}}, "greater than or equal to 0"),
    ([], {"duplicates": {"severity": "info"}}, "severity"),
    ([], {"invariants": [{"name": "i", "sql": ""}]}, "at least 1 character"),
    ([], {"invariants": [{"name": "i", "sql": "x > 0"}] * 2}, "the names of invariants must be unique"),
    ([], {"invariants": [{"name": "with space", "sql": "x > 0"}]}, "name"),
    ([], {"rowz": {}}, "rowz"),
]


@pytest.mark.parametrize(("columns", "rules", "words"), CONTRACTS)
def test_a_wrong_contract_is_refused(columns, rules, words):
    with pytest.raises(ManifestError) as caught:
        contract(*columns, **rules)
    assert words in str(caught.value)


def test_balance_is_of_classes():
    text = json.dumps(
        {
            "kind": "Contract",
            "version": 1,
            "columns": [
                {"name": "y", "role": "label", "type": "float64"},
                {"name": "x", "role": "feature", "type": "float64"},
            ],
            "class_balance": {},
        }
    )
    with pytest.raises(ManifestError, match="class_balance needs a label of type string, integer or bool"):
        parse(text, file="contract.yaml")


def test_a_contract_without_rules_has_the_least():
    least = contract()
    assert isinstance(least, Contract)
    assert (least.rows.minimum, least.rows.maximum, least.rows.severity) == (1, None, "error")
    assert (least.duplicates.severity, least.label_conflicts.severity) == ("warn", "warn")


def test_what_is_stored_of_a_column_has_no_rules():
    promised = contract({"name": "c", "role": "segment", "pattern": "a", "warn": ["pattern"], "description": "words"})
    assert isinstance(promised, Contract)
    assert set(promised.frozen_columns[2].model_dump()) == {"name", "role", "type", "shape", "classes", "nullable"}
    plain = contract({"name": "c", "role": "segment"})
    assert isinstance(plain, Contract)
    assert promised.frozen_columns == plain.frozen_columns


def test_a_contract_is_read_back_as_it_was_written():
    columns = [
        {"name": "x", "role": "feature", "type": "int8", "minimum": 0},
        {"name": "y", "role": "label", "type": "bool"},
        {"name": "z", "role": "ignored", "type": "int8", "description": "what nobody needs"},
    ]
    written = Contract.model_validate_json(json.dumps({"kind": "Contract", "version": 1, "columns": columns}))
    assert Contract.model_validate_json(written.model_dump_json()) == written


@pytest.mark.parametrize("rule", ["duplicates", "label_conflicts"])
def test_a_limit_that_is_null_is_told_how_to_switch_it_off(rule):
    with pytest.raises(ManifestError, match=rf"remove '{rule}:'.*switch it off with '{rule}: {{max_fraction: 1}}'"):
        contract(**{rule: None})
    assert contract(**{rule: {"max_fraction": 1.0}})
    with pytest.raises(ManifestError, match="remove 'rows:' for the default"):
        contract(rows=None)
