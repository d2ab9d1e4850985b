"""Every rule of a contract violated once, as error and as warning: the rule, the place, and nothing left behind."""

import datetime as dt
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from assay.cluster.cli.main import main
from assay.evaluator.data.check import Check, ContractBroken, check_files
from assay.evaluator.data.frozen.freeze import freeze
from assay.evaluator.data.ingest import Chunk, Origin, arrow_type
from assay.evaluator.errors import DataError
from assay.evaluator.storage.local import LocalStore
from assay.evaluator.storage.memory import MemoryStore
from assay.manifests import parse
from assay.manifests.contract import Contract, Freshness
from assay.manifests.contract_column import Column

ROWS = [
    {"id": "a", "y": "cat", "n": 1, "x": 0.5, "v": [1.0, 2.0], "code": "ab1", "w": 1.0},
    {"id": "b", "y": "dog", "n": 2, "x": 1.5, "v": [3.0, 4.0], "code": "cd2", "w": 0.5},
    {"id": "c", "y": "cat", "n": 3, "x": 2.5, "v": [5.0, 6.0], "code": "ef3", "w": 2.0},
    {"id": "d", "y": "dog", "n": 4, "x": 3.5, "v": [7.0, 8.0], "code": None, "w": 0.0},
]
COLUMNS = {
    "id": {"role": "id"},
    "y": {"role": "label", "type": "string", "classes": ["cat", "dog"]},
    "n": {"role": "feature", "type": "int8"},
    "x": {"role": "feature", "type": "float32"},
    "v": {"role": "feature", "type": "float32", "shape": [2]},
    "code": {"role": "info", "type": "string", "nullable": True},
    "w": {"role": "weight", "type": "float64"},
}

BAD = [
    # column rules: column, its rule, the value of the third row, the rule in the report, parts of the message
    ("n", {"minimum": 0}, -1, "minimum", ["n: below the minimum; got -1", "at least 0"]),
    ("n", {"maximum": 3.5}, 4, "maximum", ["n: above the maximum; got 4", "at most 3.5"]),
    ("x", {"maximum": 2.6}, 2.75, "maximum", ["x: above the maximum; got 2.75"]),
    ("v", {"minimum": 0}, [9.0, -2.0], "minimum", ["v: below the minimum; got -2.0"]),
    ("v", {"maximum": 8}, [9.0, 2.0], "maximum", ["v: above the maximum; got 9.0"]),
    ("n", {"allowed_values": [1, 2, 4]}, 3, "allowed_values", ["n: not one of the allowed values; got 3", "1, 2, 4"]),
    ("code", {"allowed_values": ["ab1", "cd2"]}, "ab2", "allowed_values", ["got ab2", "did you mean 'ab1'?"]),
    ("code", {"pattern": "[a-z]+\\d"}, "xef3", "", []),
    ("code", {"pattern": "[a-z]+\\d"}, "ef3x", "pattern", ["code: does not match the pattern; got ef3x"]),
    ("code", {"pattern": "a|b"}, "ab", "pattern", ["row 1: code: does not match", "3 violations in total"]),  # not `ab`'s start
    ("code", {"min_length": 3}, "é😀", "min_length", ["code: too short: 2 characters; got é😀", "at least 3"]),
    ("code", {"max_length": 3}, "é😀éa", "max_length", ["code: too long: 4 characters", "at most 3 characters"]),
    ("code", {"max_length": 3}, "é😀é", "", []),  # 8 bytes, 3 characters
    ("code", {"unique": True}, "ab1", "unique", ["row 3: code: the value is not unique; got ab1", "repeats", "row 1"]),
    ("code", {"unique": True}, None, "", []),  # two nulls are not duplicates
    ("code", {"max_null_fraction": 0.25}, None, "null_fraction", ["row 3: code", "0.5 of the rows", "at most 0.25"]),
]  # fmt: skip


def contract(*, columns=(), **rules):
    merged = {name: {**column, **dict(columns).get(name, {})} for name, column in COLUMNS.items()}
    content = {
        "kind": "Contract", "version": 1, "columns": [{"name": name, **each} for name, each in merged.items()], **rules,
    }  # fmt: skip
    return content, parse(json.dumps(content), file="contract.yaml")


def written(path, *, row=2, **values):
    rows = [dict(each) for each in ROWS]
    rows[row].update(values)
    types = {
        "id": pa.string(), "y": pa.string(), "n": pa.int8(), "x": pa.float32(), "v": pa.list_(pa.float32()),
        "code": pa.string(), "w": pa.float64(),
    }  # fmt: skip
    arrays = {name: pa.array([each[name] for each in rows], kind) for name, kind in types.items()}
    with pa.ipc.new_file(path, pa.table(arrays).schema) as writer:
        writer.write_table(pa.table(arrays))
    return path


def refused(path, promised, words):
    store = LocalStore(path.parent / "store")
    with pytest.raises(DataError) as caught:
        freeze([path], contract=promised, reference="small@v1", store=store)
    for word in words:
        assert word in str(caught.value)
    assert not (path.parent / "store").exists()


def broken(report):
    return [(rule.rule, rule.column) for rule in report.rules if rule.is_broken]


@pytest.mark.parametrize("severity", ["error", "warn"])
@pytest.mark.parametrize(("column", "rule", "value", "name", "words"), BAD)
def test_a_rule_of_a_column_refuses_or_warns(tmp_path, column, rule, value, name, words, severity):
    warn = {"warn": [name]} if severity == "warn" and name else {}
    _, promised = contract(columns={column: {**rule, **warn}})
    path = written(tmp_path / "rows.arrow", **{column: value})
    if severity == "error" and name:
        refused(path, promised, words)
        assert broken(check_files([path], contract=promised)) == [(name, column)]
        return
    dataset = freeze([path], contract=promised, reference="small@v1", store=MemoryStore("warned"))
    assert broken(dataset.check) == ([(name, column)] if name else [])
    assert dataset.num_rows == 4


@pytest.mark.parametrize(
    ("column", "value", "rule", "words"),
    [
        ("n", None, "null", ["row 3: n: missing value (null)"]),
        ("v", None, "null", ["row 3: v: missing value (null)"]),
        ("x", float("nan"), "finite", ["row 3: x: NaN is not allowed"]),
        ("v", [1.0, float("inf")], "finite", ["row 3: v: infinity", "got inf"]),
        ("y", "cow", "classes", ["row 3: y: not one of the label's classes"]),
        ("w", -0.5, "weight", ["row 3: w: a negative weight; got -0.5"]),
        ("id", "a", "unique", ["row 3: id: the id is not unique; got a", "repeats rows.arrow row 1"]),
    ],
)
def test_what_no_contract_can_turn_into_a_warning(tmp_path, column, value, rule, words):
    _, promised = contract()
    path = written(tmp_path / "rows.arrow", **{column: value})
    refused(path, promised, words)
    assert broken(check_files([path], contract=promised)) == [(rule, column)]


SAME_FEATURES = {"n": 2, "x": 1.5, "v": [3.0, 4.0]}
TABLES = [
    ("rows", {"minimum": 5}, {}, ["'rows' is violated; got 4; allowed: at least 5"]),
    ("rows", {"minimum": 1, "maximum": 3}, {}, ["got 4; allowed: at least 1, at most 3"]),
    ("class_balance", {"min_fraction": 0.4}, {"y": "dog"}, ["y: ", "cat: 1 rows (0.25)", "at least 0.4 of the rows"]),
    ("class_balance", {"max_fraction": 0.6}, {"y": "dog"}, ["dog: 3 rows (0.75)", "at most 0.6"]),
    ("class_balance", {"min_rows": 2}, {"y": "dog"}, ["cat: 1 rows", "at least 2 rows"]),
    ("unique_together", [{"columns": ["y", "n"]}], {"n": 1}, ["row 3", "y = cat, n = 1", "repeats rows.arrow row 1"]),
    ("duplicates", {}, {**SAME_FEATURES, "y": "dog"}, ["row 3: the features and the label repeat those", "got id = c", "row 2"]),
    ("duplicates", {"max_fraction": 0.2}, {**SAME_FEATURES, "y": "dog"}, ["0.25 of the rows", "at most 0.2"]),
    ("label_conflicts", {}, SAME_FEATURES, ["row 3: the features repeat those", "got y = cat", "the same features have y = dog at"]),
    ("invariants", [{"name": "ordered", "sql": "x < n"}], {"n": 2}, ["row 3", "'ordered' is violated", "n = 2, x = 2.5"]),
    ("invariants", [{"name": "told", "sql": "cast(code as int) > 0 or code <> 'zz'"}], {"code": "zz"},
     ["'told' is violated", "evaluation failed", "zz"]),
    ("invariants", [{"name": "told", "sql": "6 // n > 0"}], {"n": 0}, ["row 3", "Division by zero"]),
]  # fmt: skip


@pytest.mark.parametrize("severity", ["error", "warn"])
@pytest.mark.parametrize(("rule", "content", "values", "words"), TABLES)
def test_a_rule_of_the_table_refuses_or_warns(tmp_path, rule, content, values, words, severity):
    with_severity = [{**each, "severity": severity} for each in content] if isinstance(content, list) else {
        **content, "severity": severity
    }  # fmt: skip
    _, promised = contract(**{rule: with_severity})
    path = written(tmp_path / "rows.arrow", **values)
    if severity == "error":
        refused(path, promised, words)
    else:
        dataset = freeze([path], contract=promised, reference="small@v1", store=MemoryStore("warned"))
        assert dataset.num_rows == 4
    named = content[0].get("name", rule) if isinstance(content, list) else rule
    report = check_files([path], contract=promised)
    (found,) = [each for each in report.rules if each.is_broken]
    assert (found.rule, found.severity) == (named, severity)


@pytest.mark.parametrize(
    ("rule", "content", "values"),
    [
        ("duplicates", {"max_fraction": 0.25, "severity": "error"}, {**SAME_FEATURES, "y": "dog"}),
        ("duplicates", {"severity": "error"}, {**SAME_FEATURES, "y": "cat"}),  # another label: not a duplicate
        ("label_conflicts", {"severity": "error"}, {**SAME_FEATURES, "y": "dog"}),
        ("unique_together", [{"columns": ["code", "w"]}], {"code": None, "w": 0.0}),  # null equals nothing
        ("invariants", [{"name": "null", "sql": "code <> 'ef3'"}], {"code": None}),  # null does not violate a condition
    ],
)
def test_what_looks_like_a_breach_and_is_none(tmp_path, rule, content, values):
    _, promised = contract(**{"label_conflicts": {"severity": "warn"}, rule: content})
    assert not check_files([written(tmp_path / "rows.arrow", **values)], contract=promised).broken


def test_a_negative_zero_is_a_zero_and_a_null_equals_a_null_among_features(tmp_path):
    content, _ = contract()
    content["columns"][5]["role"] = "feature"
    content["columns"][4]["role"] = "info"
    content["duplicates"] = {"severity": "error"}
    promised = parse(json.dumps(content), file="contract.yaml")
    path = written(tmp_path / "rows.arrow", x=-0.0, n=4, code=None, y="dog")
    again = written(tmp_path / "again.arrow", id="e", x=0.0, n=4, code=None, y="dog")
    report = check_files([path, again], contract=promised)
    duplicates = next(rule for rule in report.rules if rule.rule == "duplicates")
    assert duplicates.num_rows_broken == 4
    third = next(each for each in duplicates.offenders if each.place == "again.arrow row 3")
    assert third.note == "repeats rows.arrow row 3"


NOW = dt.datetime(2026, 1, 7, tzinfo=dt.UTC)


@pytest.mark.parametrize("severity", ["error", "warn"])
@pytest.mark.parametrize("kind", ["date", "timestamp"])
@pytest.mark.parametrize(("now", "is_stale"), [(NOW, False), (NOW + dt.timedelta(hours=1), True)])
def test_freshness_is_counted_from_the_time_that_is_given(now, is_stale, kind, severity):
    promised = Contract(
        kind="Contract",
        version=1,
        columns=(
            Column(name="y", role="label", type="int8"),
            Column(name="n", role="feature", type="int8"),
            Column(name="day", role="timestamp", type=kind),
        ),
        freshness=Freshness(max_age_days=3, severity=severity),
    )
    days = pa.array([dt.date(2026, 1, day) for day in (1, 4, 2)]).cast(arrow_type(promised.columns[2]))
    check = Check(promised, now=now)
    check.take(Chunk(pa.table({"y": [1, 2, 3], "n": [1, 2, 3], "day": days}), Origin("rows.csv", "line", 2)))
    if is_stale and severity == "error":
        with pytest.raises(
            ContractBroken, match=r"day: the rule 'freshness' is violated; got 2026-01-04.*at most 3 days"
        ):
            check.finish()
    else:
        assert broken(check.finish()) == ([("freshness", "day")] if is_stale else [])


def test_a_cell_that_cannot_be_read_breaks_no_other_rule(tmp_path):
    _, promised = contract(columns={"n": {"minimum": 1, "unique": True}}, invariants=[{"name": "i", "sql": "n > 0"}])
    path = tmp_path / "rows.jsonl"
    bad = {**ROWS[2], "n": "three"}
    path.write_text("".join(json.dumps(row) + "\n" for row in (*ROWS[:2], bad, {**bad, "id": "z"})))
    report = check_files([path], contract=promised)
    readable = report.rules[0]
    assert (readable.rule, readable.num_rows_broken) == ("readable", 2)
    assert {rule for rule, _ in broken(report)} == {"readable"}


def test_every_rule_is_reported_with_what_it_was_tried_on(tmp_path):
    _, promised = contract(
        columns={"code": {"pattern": ".*", "min_length": 1}},
        invariants=[{"name": "one", "sql": "n > 0"}],
        unique_together=[{"columns": ["id", "n"]}],
    )
    report = check_files([written(tmp_path / "rows.arrow")], contract=promised)
    tried = {(rule.rule, rule.column): rule.num_rows_checked for rule in report.rules}
    assert tried[("pattern", "code")] == 3
    assert tried[("null", "n")] == tried[("one", "")] == tried[("unique_together", "")] == tried[("unique", "id")] == 4
    assert {"rows", "duplicates", "label_conflicts"} <= {rule for rule, _ in tried}
    assert report.is_complete


@pytest.mark.parametrize("column", [{"n": {"minimum": 2**40}}, {"n": {"allowed_values": [2**40]}}])
def test_a_bound_past_the_type_refuses_every_row(tmp_path, column):
    _, promised = contract(columns=column)
    report = check_files([written(tmp_path / "rows.arrow")], contract=promised)
    assert report.broken[0].num_rows_broken == 4


def test_a_float32_is_not_above_its_own_maximum(tmp_path):
    _, promised = contract(columns={"x": {"maximum": 3.7}})
    assert float(np.float32(3.7)) > 3.7
    assert not check_files([written(tmp_path / "rows.arrow", row=3, x=3.7)], contract=promised).broken


@pytest.mark.parametrize("pattern", ["(", "a)(b", "(?=a)", "\\1", "[z-a]"])
def test_a_pattern_that_is_none_is_refused_before_a_row_is_read(tmp_path, pattern):
    _, promised = contract(columns={"code": {"pattern": pattern}})
    (tmp_path / "rows.jsonl").write_text("no json at all")
    with pytest.raises(DataError, match=r"code\.pattern: .* not a valid RE2 regular expression"):
        check_files([tmp_path / "rows.jsonl"], contract=promised)


CLI = [
    ({"columns": {"n": {"minimum": 2}}}, ["minimum", "row 1", "1 violated"]),
    ({"invariants": [{"name": "ordered", "sql": "n < 4"}]}, ["ordered", "row 4", "n = 4"]),
    ({"rows": {"minimum": 9}}, ["rows", "found 4"]),
]


@pytest.fixture
def assay(monkeypatch, capsys, tmp_path):
    def call(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["assay", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capsys.readouterr())

    return call


@pytest.mark.parametrize(("rules", "words"), CLI)
def test_the_verb_answers_2_and_freeze_leaves_nothing_behind(assay, tmp_path, rules, words):
    content, _ = contract(**rules)
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(content))
    written(tmp_path / "rows.arrow")
    code, out, err = assay("check", "rows.arrow", "--contract", "contract.yaml")
    assert (code, err) == (2, "")
    for word in words:
        assert word in out
    code, out, _ = assay("check", "rows.arrow", "--contract", "contract.yaml", "--json")
    assert code == 2
    assert any(rule["is_broken"] for rule in json.loads(out)["rules"])
    code, out, err = assay("freeze", "rows.arrow", "--contract", "contract.yaml", "--as", "small@v1")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert {each.name for each in tmp_path.iterdir()} <= {"contract.yaml", "rows.arrow", "datasets"}
    assert not [each for each in (tmp_path / "datasets").rglob("*") if each.is_file()]


def test_the_verb_answers_0_where_rules_only_warn_and_freeze_says_so(assay, tmp_path):
    content, _ = contract(columns={"n": {"minimum": 2, "warn": ["minimum"]}})
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(content))
    written(tmp_path / "rows.arrow")
    code, out, _ = assay("check", "rows.arrow", "--contract", "contract.yaml")
    assert code == 0
    assert "warning: minimum (n)" in out
    assert "1 warning: these rows can be frozen" in out
    code, _, err = assay("freeze", "rows.arrow", "--contract", "contract.yaml", "--as", "small@v1")
    assert code == 0
    assert "warning: minimum (n): allowed at least 2, violated by 1 row; first at rows.arrow row 1" in err


def test_a_source_that_is_not_there_is_refused_by_the_verb(assay, tmp_path):
    content, _ = contract()
    (tmp_path / "contract.yaml").write_text(yaml.safe_dump(content))
    code, out, err = assay("check", "row.arrow", "--contract", "contract.yaml")
    assert (code, out) == (2, "")
    assert "no such file" in err


def test_the_rules_of_the_example_can_be_tried():
    file = Path(__file__).parents[4] / "manifests" / "examples" / "contract.yaml"
    promised = parse(file.read_text(), file=str(file))
    assert isinstance(promised, Contract)
    with pytest.raises(ContractBroken, match="the rule 'rows' is violated; got 0"):
        Check(promised).finish()
