"""Plain text: makes texts from outside (errors of user code, environments, file names) fit to be shown and recorded.

Every text that Assay did not write passes through `plain` before it reaches a message, an event, the ledger, a report or
a terminal. What comes out is valid UTF-8 of bounded length, moves no cursor, turns no line around, and holds no
credential that can be recognised.
"""

import os
import re
import traceback
from collections.abc import Iterator

LONGEST = 10_000
"""The most characters of a text that is kept whole; of a longer one, the beginning and the end are kept."""

LONGEST_ERROR = 2_000
"""The same for the type and message of an error of user code."""

LONGEST_REASON = 500
"""The same for the reason of a row without an answer, of which there can be millions."""

REDACTED = "[redacted]"

# Controls of terminals except tab and line feed, marks that change the direction of text or break lines invisibly, and
# halves of surrogate pairs, which UTF-8 cannot hold.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff]"
)

_NAME = r"(?:secret|token|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|credentials?)"
_SECRET_VARIABLE = re.compile(rf"(?i){_NAME}|_(?:key|pat|dsn)$")
_NO_SECRET_VARIABLE = re.compile(r"(?i)(?:path|file|dir|mode|parallelism)$")
_SHORTEST_SECRET = 8
"""Shorter values of environment variables are not redacted: they would also occur by chance."""

_CREDENTIALS = (
    re.compile(r"(?<=://)[^/\s'\"]*@"),  # scheme://user:password@host
    re.compile(r"(?<=://)[^/\s'\":@]+:(?!\d{1,5}/)[^\s'\"@]+@"),  # the same with a slash in the password
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|\bhf_\w{30,}|\bsk-[\w-]{20,}"),
    re.compile(r"(?i)(?<=\bbearer )[\w.~+/=-]{8,}|(?<=\bbasic )[\w+/=]{8,}"),
    re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
)
_ASSIGNED = (
    re.compile(r"(?i)([?&](?:x-amz-(?:signature|credential|security-token)|signature|sig|key|code)=)[^&\s'\"]+"),
    re.compile(rf"(?i)(\b[\w.-]*{_NAME}=)[^&\s'\",;]+"),
    re.compile(rf"(?i)(\b[\w.-]*{_NAME}['\"]?\s*[:=]\s*(?:b?['\"]))[^'\"]{{4,}}"),
)


def plain(text: str, *, limit: int = LONGEST) -> str:
    r"""A text without credentials, and with everything that is no printable character, tab or line feed escaped.

    Applying it twice changes nothing more. `\x1b`, `\u202e` and `\ud800` are what such characters become.

    Args:
        text: Any text.
        limit: The most characters of the result. A longer text loses its middle, and says so.
    """
    text = str.__str__(text)  # a subclass may have methods of its own
    num_characters = len(text)
    whole = text if num_characters <= 2 * limit else f"{text[:limit]}{text[-limit:]}"
    kept = escaped(redacted(whole))
    if num_characters <= 2 * limit and len(kept) <= limit:
        return kept
    note = f" … [of {num_characters:,} characters, at most {limit:,} are kept] … "
    room = max(limit - len(note), 0)
    if len(kept) <= room:
        return f"{kept}{note}"
    return f"{kept[: room - room // 4]}{note}{kept[len(kept) - room // 4 :]}"


def redacted(text: str) -> str:
    """A text in which credentials are replaced by `[redacted]`.

    Those are: the values of environment variables with a name like AWS_SECRET_ACCESS_KEY, `user:password@` and signatures
    in URIs, tokens of well-known forms, private keys, and what is assigned to a name such as `password`.
    """
    for value in _secret_values():
        text = text.replace(value, REDACTED)
    for pattern in _CREDENTIALS:
        text = pattern.sub(lambda found: f"{REDACTED}@" if found[0].endswith("@") else REDACTED, text)
    for pattern in _ASSIGNED:
        text = pattern.sub(rf"\1{REDACTED}", text)
    return text


def escaped(text: str) -> str:
    """A text in which everything that is no printable character, tab or line feed is escaped."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


def text_of(value: object, *, limit: int = LONGEST) -> str:
    """`plain(str(value))` of an object of user code, such as an error, even if its `__str__` raises."""
    try:
        return plain(str(value), limit=limit)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # user code may raise anything
        return f"(a {_class_name(value)}, whose __str__ raises {_class_name(error)})"


def error_text(error: BaseException) -> str:
    """An error's type and message, whatever its class does when it is asked for them."""
    return plain(f"{_class_name(error)}: {text_of(error)}".removesuffix(": "), limit=LONGEST_ERROR)


def trace_text(error: BaseException) -> str:
    """An error's traceback, with those of its causes."""
    try:
        return plain("".join(traceback.format_exception(error)))
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # user code may raise anything, also while it is printed
        return plain("".join(traceback.format_tb(error.__traceback__)) + error_text(error))


def _class_name(value: object) -> str:
    """The name of an object's class; a metaclass may answer something else when it is asked for `__name__`."""
    return plain(type.__dict__["__name__"].__get__(type(value)), limit=100)


def _secret_values() -> Iterator[str]:
    for name, value in os.environ.items():
        is_secret = _SECRET_VARIABLE.search(name) and not _NO_SECRET_VARIABLE.search(name)
        if is_secret and len(value) >= _SHORTEST_SECRET:
            yield value
