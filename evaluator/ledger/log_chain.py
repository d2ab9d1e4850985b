"""The chain of the version log: one small file per entry, numbered from 1, sealed, and bound to the entry before.

An entry is appended by putting the next number, if absent, after its predecessor was read. Of several writers at once,
one succeeds, and the others read its entry and put the number after it: there is no gap, no fork, and no entry twice.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import rfc8785

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError, StoreError
from assay.evaluator.ledger.unreadable import damage_of_one_object, first_line
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import LOG_HINT_KEY, LOG_KEY, LOG_PREFIX, log_key
from assay.manifests.log_entry import BaseLogEntry, read_entry

_Entry = TypeVar("_Entry", bound=BaseLogEntry)

_UNSEALED = f"sha256:{'0' * 64}"
_MAX_NUMBER = 10**12
_NUM_READS_AT_ONCE = 16


@dataclass(frozen=True)
class Position:
    """A position in the log, behind one of its entries.

    Attributes:
        number: The entry's number; 0: before the first.
        seal: The entry's seal; None before the first.
    """

    number: int
    seal: str | None

    @classmethod
    def behind(cls, entry: BaseLogEntry) -> "Position":
        """The position behind an entry."""
        return cls(entry.number, entry.seal)


START = Position(0, None)


@dataclass(frozen=True)
class Link:
    """One number of the log.

    Attributes:
        number: The number that the entry has or should have.
        entry: The entry; None if it is missing or was changed.
        problem: What is wrong with it; empty if nothing is.
    """

    number: int
    entry: BaseLogEntry | None
    problem: str = ""

    @property
    def key(self) -> str:
        """The entry's key."""
        return log_key(self.number)


def links(store: Store, *, after: Position = START) -> Iterator[Link]:
    """Yields every number of the log behind a position, in order, each checked by itself and against the one before.

    That the newest entries were deleted cannot be detected from the remaining ones.
    """
    numbers = [number for number in _numbers(store) if number > after.number]
    expected, seal, is_known = after.number + 1, after.seal, True
    with ThreadPoolExecutor(_NUM_READS_AT_ONCE) as pool:
        for number, link in zip(numbers, pool.map(lambda each: _link(store, each), numbers), strict=True):
            if number != expected:
                also_missing = f", and so are all entries before {number}" if number > expected + 1 else ""
                yield Link(expected, None, f"{_MISSING}{also_missing}")
                is_known = False
            checked = _bound(link, seal) if is_known else link
            yield checked
            expected, is_known = number + 1, checked.entry is not None
            seal = None if checked.entry is None else checked.entry.seal


def entries(store: Store, *, after: Position = START) -> tuple[BaseLogEntry, ...]:
    """The entries of the log behind a position. Those of kinds that only another release knows are `UnknownEntry`.

    Raises:
        DamageError: One of them is missing or was changed, or the first does not refer to the position.
    """
    return tuple(_intact(store, link) for link in links(store, after=after))


def following(store: Store, after: Position) -> Iterator[BaseLogEntry]:
    """The entries behind a position, each read when it is needed.

    Raises:
        DamageError: An entry was changed.
    """
    while (entry := _next(store, after)) is not None:
        yield entry
        after = Position.behind(entry)


def newest(store: Store, *, known: Position = START) -> Position:
    """The position behind the newest entry, or one that was the newest until a moment ago.

    Reads a hint, which is believed only as far as the entry that it names is intact; without it, the log is listed.

    Args:
        store: The ledger's store.
        known: A position that was found before; its entry is not read again.

    Raises:
        DamageError: The newest entry was changed.
    """
    hinted = hinted_number(store)
    if hinted and hinted == known.number:
        return known
    link = _link(store, hinted) if hinted else None
    if link is None or link.entry is None:
        number = max(_numbers(store), default=0)
        if number == 0:
            return START
        link = _link(store, number)
    return Position.behind(_intact(store, link))


def append(
    store: Store,
    kind: type[_Entry],
    fields: Mapping[str, Any],
    *,
    after: Position | None = None,
    found: Callable[[BaseLogEntry], bool] | None = None,
) -> _Entry | None:
    """Appends an entry behind the newest.

    Args:
        store: The ledger's store.
        kind: The class of the entry.
        fields: The entry's fields, without its number, time, previous seal and seal.
        after: A position of the log, from which on the newest entry is looked for; None: the newest.
        found: Whether an entry makes this one superfluous; asked about each entry behind `after`; None: none does.

    Returns:
        The entry; None if another one was found.

    Raises:
        DamageError: The newest entry was changed.
    """
    position = newest(store) if after is None else after
    while True:
        draft = kind(
            number=position.number + 1,
            previous=position.seal,
            at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            seal=_UNSEALED,
            **fields,
        )
        entry = draft.model_copy(update={"seal": draft.digest()})
        content, key = rfc8785.dumps(entry.model_dump(mode="json")), log_key(entry.number)
        # If the number is taken, the stored entry may be ours: an earlier attempt succeeded and its response was lost.
        if store.put_if_absent(key, content) or store.get(key).to_pybytes() == content:
            break
        taken = _intact(store, _bound(_link(store, entry.number), position.seal))
        if found is not None and found(taken):
            return None
        position = Position.behind(taken)
    with suppress(StoreError, OSError):  # without the hint, the log is listed
        store.replace(LOG_HINT_KEY, json.dumps({"number": entry.number}).encode())
    return entry


def hinted_number(store: Store) -> int:
    """The number of the newest entry according to the hint; 0 if there is no hint or it cannot be read."""
    with suppress(FileNotFoundError, DamageError, StoreError, ValueError, KeyError, TypeError, RecursionError):
        number = json.loads(store.get(LOG_HINT_KEY).to_pybytes())["number"]
        return number if isinstance(number, int) and 0 < number < _MAX_NUMBER else 0
    return 0


def _numbers(store: Store) -> list[int]:
    matches = (LOG_KEY.fullmatch(stored.key) for stored in store.listing(LOG_PREFIX))
    return sorted(int(match["number"]) for match in matches if match)


def _next(store: Store, after: Position) -> BaseLogEntry | None:
    link = _link(store, after.number + 1)
    return None if link.problem == _MISSING else _intact(store, _bound(link, after.seal))


def _intact(store: Store, link: Link) -> BaseLogEntry:
    if link.entry is None:
        raise DamageError(
            f"{store.uri}: '{link.key}' {link.problem}; restore the file from a copy of the ledger, or move it out of "
            "the ledger if it is not yours; 'assay ledger verify' lists all problems"
        )
    return link.entry


def _bound(link: Link, seal: str | None) -> Link:
    """The link, if its entry refers to this seal of the entry before."""
    if link.entry is None or link.entry.previous == seal:
        return link
    problem = f"refers to {link.entry.previous}, but the previous entry has {seal}: that entry was replaced"
    return Link(link.number, None, problem)


_MISSING = "is missing"


def _link(store: Store, number: int) -> Link:
    """One entry, checked by itself. The plain JSON is hashed, because another release may have other fields."""
    try:
        with damage_of_one_object():
            content = store.get(log_key(number)).to_pybytes()
    except FileNotFoundError:
        return Link(number, None, _MISSING)
    except DamageError as error:
        return Link(number, None, f"cannot be read: {error}")
    try:
        plain = json.loads(content)
        is_canonical = rfc8785.dumps(plain) == content
        seal = plain.pop("seal")
        is_sealed = fingerprint.sha256_digest(rfc8785.dumps(plain)) == seal
        entry = read_entry(plain, content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return Link(number, None, f"was changed: {first_line(error)}")
    if not (is_canonical and is_sealed):
        return Link(number, None, f"was changed: its content does not match its seal {seal}")
    if entry.number != number:
        return Link(number, None, f"holds entry {entry.number}: it was moved or copied")
    return Link(number, entry)
