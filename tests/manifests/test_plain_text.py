"""Plain text: what user code, files and environments say is cleaned, cut and redacted by one function."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.manifests.errors import AssayError, InvalidInput
from assay.manifests.event import Event
from assay.manifests.plain_text import LONGEST, error_text, plain, text_of, trace_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\ttab and\na line stay, as do Ω, 中 and 🙂", "a\ttab and\na line stay, as do Ω, 中 and 🙂"),
        ("half \ud800 a pair", r"half \ud800 a pair"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("nul \0", r"nul \x00"),
        ("gnirts \u202e", r"gnirts \u202e"),
        ("over\rwritten", r"over\rwritten"),
        ("Windows\r\nlines", "Windows\nlines"),
        ("\x9b2J", r"\x9b2J"),  # one character that some terminals take for ESC [
    ],
)
def test_what_would_move_a_cursor_or_turn_a_line_is_escaped(text, shown):
    assert plain(text) == shown


SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY"  # of the form of AWS' documentation


@pytest.mark.parametrize(
    "text",
    [
        f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/data@v1",
        f"https://user:{SECRET}@example.com/x",
        f"https://{SECRET.replace('/', '')}@github.com/org/repo.git",
        f"https://bucket.s3.amazonaws.com/key?X-Amz-Date=1&X-Amz-Signature={SECRET}&a=b",
        f"https://host/?sig={SECRET}",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f'{{"password": "{SECRET}"}}',
        f"client(api_key='{SECRET}')",
        f"Authorization: Bearer {SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_credentials_are_redacted_and_the_rest_stays(text):
    shown = plain(f"before {text} after")
    assert SECRET not in shown
    assert SECRET.replace("/", "") not in shown
    assert SECRET.partition("/")[2] not in shown
    assert "[redacted]" in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/datasets/digits@v1",
        "http://127.0.0.1:8265/refs/digits@v1",
        "git@github.com:org/repo.git",
        "parameters.pad_token: required field is missing",
        "max_tokens=512, tokens: 7, Unexpected token: something",
        "the key 'objects/blake3/ab' is missing",
    ],
)
def test_what_only_resembles_a_credential_is_left_alone(text):
    assert plain(text) == text


def test_values_of_secret_variables_are_redacted_wherever_they_occur(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abc/def+ghi")
    monkeypatch.setenv("MY_SERVICE_TOKEN", "short")
    assert plain("Xabc/def+ghiX short") == "X[redacted]X short"


def test_a_long_text_keeps_its_beginning_and_its_end_and_says_how_long_it_was():
    shown = plain("first" + "x" * 50_000_000 + "last")
    assert len(shown) <= LONGEST
    assert shown.startswith("firstxxx")
    assert shown.endswith("xxxlast")
    assert "[of 50,000,009 characters, at most 10,000 are kept]" in shown


@given(st.text(st.characters(codec=None, exclude_categories=())), st.integers(100, 300))
def test_the_result_is_bounded_encodable_and_stays_what_it_is(text, limit):
    shown = plain(text * 20, limit=limit)
    assert len(shown) <= limit
    shown.encode()
    assert plain(shown, limit=limit) == shown


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no")


class Leaving(Exception):
    def __str__(self):
        raise SystemExit(0)


class Liar(type):
    __name__ = property(lambda _: 1 / 0)


class Lying(Exception, metaclass=Liar):
    pass


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("x"), "ValueError: x"),
        (ValueError(), "ValueError"),
        (Silent(), "Silent: (a Silent, whose __str__ raises RuntimeError)"),
        (Leaving(), "Leaving: (a Leaving, whose __str__ raises SystemExit)"),
        (Lying("x"), "Lying: x"),
        (type("A\x1b\nB", (Exception,), {})("x"), "A\\x1b\nB: x"),
    ],
)
def test_an_error_is_shown_whatever_its_class_does(error, shown):
    assert error_text(error) == shown
    with pytest.raises(type(error)) as raised:
        raise error from ValueError("the cause")
    assert "test_plain_text.py" in trace_text(raised.value)


class Nothing:
    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __repr__


def test_every_exit_makes_its_texts_plain(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abc/def+ghi")
    bad = "\ud800\x1b abc/def+ghi"
    for shown in (
        str(AssayError(bad)),
        str(InvalidInput(bad, place=bad, value=bad, remedy=bad)),
        Event(at="", kind="retried", arm="", unit=0, message=bad).message,
    ):
        assert r"\ud800\x1b [redacted]" in shown
    assert str(InvalidInput("odd", value=Nothing())) == "odd; got a Nothing"
    assert text_of(Nothing()) == "(a Nothing, whose __str__ raises RuntimeError)"
