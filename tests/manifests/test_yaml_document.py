"""YAML documents: what is not plain values is refused with its line, at once."""

import json
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.manifests import yaml_document
from assay.manifests.errors import ManifestError
from assay.manifests.parse import parse

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def read(text):
    return yaml_document.read(text, "f.yaml")[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(LAUGHS, "the document is too large here, with its aliases written out", id="alias_bomb"),
        pytest.param(f"a: &a {'x' * 100_000}\nb: [{'*a, ' * 100_000}]", "too large here", id="long_text_repeated"),
        pytest.param("[" * 100_000, "f.yaml:1: [0][0][0]…: the document is nested too deeply; allowed: at most 64 levels", id="deep"),
        pytest.param("{a: " * 100_000, "f.yaml:1: a.a.a…: the document is nested too deeply", id="deep_mapping"),
        pytest.param("".join(f"{' ' * n}a:\n" for n in range(1000)), "f.yaml:66: a.a.a…: the document is nested", id="deep_block"),
        pytest.param("a: &a [[[[[x]]]]]\n" + "b: &a [[[[[*a]]]]]\n" * 13, "contains itself", id="deep_aliases"),
        pytest.param("a: &a [1]\nb: *c", "f.yaml:2: b: not YAML: nothing before has the name '&c'", id="no_anchor"),
        pytest.param(f"a: {'9' * 5000}", "f.yaml:1: a: not an integer that every reader of JSON reads alike; got 9999", id="huge"),
        pytest.param("a: 9007199254740992", "allowed: -9,007,199,254,740,991 to", id="beyond_double"),
        pytest.param("a: " + ":".join(["59"] * 3000), "a: a number that YAML 1.1 and 1.2 read differently", id="sexagesimal"),
        pytest.param("a: .inf", "a: not a finite number; got .inf", id="infinity"),
        pytest.param("a: -1.0e+999", "a: not a finite number", id="overflow"),
        pytest.param("a: .NaN", "a: not a finite number", id="nan"),
        pytest.param("a: !!int x", "a: not an integer", id="int_of_text"),
        pytest.param("a: !!int ''", "a: not an integer", id="int_of_nothing"),
        pytest.param("a: !!bool maybe", "a: not true or false", id="bool_of_text"),
        pytest.param("x: 1\na: !!binary aGVsbG8=", "f.yaml:2: a: values with this tag are not supported; got !!binary; remove", id="binary"),
        pytest.param("a: !!set {x}", "got !!set", id="set"),
        pytest.param("a: !!omap [x: 1]", "got !!omap", id="omap"),
        pytest.param("a: !!python/object/apply:os.system [id]", "got !!python/object/apply:os.system", id="python"),
        pytest.param("a: !own x", "got !own", id="own_tag"),
        pytest.param("a: !!timestamp 2001-01-01", "a: this is a date in YAML", id="timestamp"),
        pytest.param("a: 2001-13-45", "a: this is a date in YAML, but a string is needed; got 2001-13-45; put the", id="no_date"),
        pytest.param("? [a]\n: 1", "f.yaml:1: the name of a field is not a text", id="list_as_name"),
        pytest.param("? {a: 1}\n: 1", "the name of a field is not a text", id="mapping_as_name"),
        pytest.param("a: &a x\n*a : 1", "the name of a field is not a text", id="alias_as_name"),
        pytest.param("!!binary aGk=: 1", "the name of a field is not a text", id="binary_as_name"),
        pytest.param("a: {b: 1, 'b': 2}", "f.yaml:1: a.b: the field is given twice", id="twice"),
        pytest.param("x: &x {a: 1}\ny:\n  <<: *x", "f.yaml:3: y: merge keys are not supported; got <<; write the fields", id="merge"),
        pytest.param("a: 1\n---\nb: 2", "f.yaml:2: a second document begins here", id="documents"),
        pytest.param("a: 1\nb: \0", "f.yaml:2: not YAML: the character #x0000 is not allowed", id="nul"),
        pytest.param('a: "x\\0"', r"f.yaml:1: a: the character NUL is not allowed; got x\x00; remove it", id="escaped_nul"),
        pytest.param("a: \ud800", "f.yaml:1: not YAML: the character #xd800 is not allowed", id="surrogate"),
        pytest.param('a: "\\ud800"', "f.yaml:1: not YAML:", id="escaped_surrogate"),
        pytest.param('{"a": "\\ud83d"}', "f.yaml:1: not YAML:", id="half_a_pair"),
        pytest.param("%YAML 3.0\n---\na: 1", "f.yaml:1: not YAML:", id="version"),
        pytest.param("a: |\n  x\n y: [", "f.yaml:3: not YAML:", id="broken_block"),
        pytest.param("x" * 2_000_001, "f.yaml: the text is too long; got 2,000,001 characters; allowed: at most 2,000,000", id="long"),
        pytest.param("- a\n" * 499_999, "the document is too large here", id="many"),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_refused_with_its_line_at_once(text, words):
    began = time.process_time()
    with pytest.raises(ManifestError) as refused:
        read(text)
    assert words in str(refused.value)
    assert time.process_time() - began < 2  # about a second; this machine may be slow


@pytest.mark.parametrize("value", ["[]", "{}", "null", "3", "[Plan]", "{a: b}", "true", "''"])
def test_a_kind_that_is_no_text_is_refused_in_words(value):
    with pytest.raises(ManifestError, match="unknown kind of manifest"):
        parse(f"kind: {value}", file="f.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{no: 1, 2026-01-01: 2, 1: 3, ~: 4}", {"no": 1, "2026-01-01": 2, "1": 3, "~": 4}),  # names as they are written
        ("a: &x {b: [1]}\nc: *x\nd: &x 2\ne: *x", {"a": {"b": [1]}, "c": {"b": [1]}, "d": 2, "e": 2}),
        ("[1, -1, 0x1F, 1_000, 1.5, yes, off, null, ~, , a]"[:-5] + " a]", [1, -1, 31, 1000, 1.5, True, False, None, None, "a"]),
        ("[!!str 1, !!str 2026-01-01, !!float 1, !!null '']", ["1", "2026-01-01", 1.0, None]),
        ('{"a": "\\ud83d\\ude00 \\\\ud83d"}', {"a": "😀 \\ud83d"}),
        ("\ufeffa: 1", {"a": 1}),
        ('{\n\t"a": 1\n}', {"a": 1}),
        ("a: >\n  two\n  lines\n", {"a": "two lines\n"}),
    ],
)  # fmt: skip
def test_plain_values_are_read(text, value):
    assert read(text) == value


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=40)
@given(PLAIN)
def test_every_json_value_comes_back_from_json_and_from_yaml(value):
    assert read(json.dumps([value])) == [value]
    assert read(yaml.safe_dump([value])) == [value]


@pytest.mark.parametrize("number", ["010", "-017", "1:30", "190:20:30.15", "0_7"])
def test_a_number_that_yaml_1_1_and_1_2_read_differently_is_refused(number):
    with pytest.raises(ManifestError, match=r"a number that YAML 1\.1 and 1\.2 read differently; got"):
        read(f"batch_size: {number}")
    assert read(f"batch_size: '{number}'") == {"batch_size": number}
    assert read("[0, -0, 0.5, 00.5, 0x1F, 1_000, 1e-12]") == [0, 0, 0.5, 0.5, 31, 1000, 1e-12]
