"""Mutations of valid texts: what a broken disk, an editor or an attacker could make of a file."""

import json
import random
from collections.abc import Iterator
from typing import Any

ODD = ('"\\ud800"', '"\\u0000"', "NaN", "-Infinity", "1e999", "9" * 5000, "-1", "0.5", "null", "true", "[]", "{}", '""')
ODD += (
    '".."',
    '"../x"',
    '"/etc/passwd"',
    '"a//b"',
    '"a\\\\b"',
    '"x\\u001b[31m"',
    '"\\u202e"',
    '"2001-13-45"',
    '"' + "x" * 9999 + '"',
)
ODD += ("[" * 2000 + "]" * 2000, '{"a":' * 2000 + "1" + "}" * 2000)
"""JSON values that take the place of another one."""

_PIECES = (
    "\0",
    "\x1b[31m",
    "\u202e",
    "\n",
    "\t",
    ": ",
    "- ",
    "&a ",
    "*a",
    "<<: ",
    "!!set ",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "|",
    "#",
    "é",
    "\\u",
)


def of_text(text: str, *, count: int, seed: int = 0) -> Iterator[str]:
    """Texts with a part removed, repeated, moved or inserted, or cut off."""
    random_ = random.Random(seed)
    for _ in range(count):
        first, last = sorted(random_.randrange(len(text) + 1) for _ in range(2))
        last = min(last, first + random_.choice((1, 3, 40)))
        part = text[first:last]
        choices = (
            "",
            part * 2,
            part[::-1],
            random_.choice(_PIECES),
            part + random_.choice(_PIECES),
            random_.choice(ODD),
        )
        yield text[:first] + random_.choice(choices) + (text[last:] if random_.random() < 0.95 else "")


def of_bytes(content: bytes, *, count: int, seed: int = 0) -> Iterator[bytes]:
    """Bytes with a bit flipped, a part removed or repeated, or cut off."""
    random_ = random.Random(seed)
    for _ in range(count):
        at = random_.randrange(len(content))
        flipped = content[:at] + bytes([content[at] ^ (1 << random_.randrange(8))]) + content[at + 1 :]
        yield random_.choice(
            (flipped, flipped, content[:at], content[:at] + content[at + 7 :], content[:at] * 2 + content[at:])
        )


def of_json(content: bytes, *, count: int, seed: int = 0) -> Iterator[bytes]:
    """JSON in which a value is odd, or a field is missing, renamed, given twice or new."""
    random_, plain = random.Random(seed), json.loads(content)
    places = list(_places(plain))
    for number in range(count):
        place = random_.choice(places)
        mark = f"<{number}>"
        change = random_.choice(("value", "value", "value", "missing", "renamed", "new"))
        changed = json.dumps(_changed(plain, place, change, mark))
        yield changed.replace(f'"{mark}"', random_.choice(ODD)).encode()


def _places(plain: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    parts = plain.items() if isinstance(plain, dict) else enumerate(plain[:3]) if isinstance(plain, list) else ()
    for name, part in parts:
        yield (*path, name)
        yield from _places(part, (*path, name))


def _changed(plain: Any, path: tuple[str | int, ...], change: str, mark: str) -> Any:
    if not path:
        return mark
    name, *rest = path
    copy = dict(plain) if isinstance(plain, dict) else list(plain)
    if rest or change == "value" or isinstance(copy, list):
        copy[name] = _changed(plain[name], tuple(rest), change, mark)
    elif change == "missing":
        del copy[name]
    elif change == "renamed":
        copy[f"{name}x"] = copy.pop(name)
    else:
        copy["new"] = mark
    return copy
