"""Append-only tables beside the runs' own, for rows that belong to no run: each part is one Parquet file, written once.

Every part of a table has the table's declared schema, so that any Parquet reader reads any mixture of parts. A table
whose schema changes gets another name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from assay.evaluator import fingerprint
from assay.evaluator.errors import DamageError, LedgerError
from assay.evaluator.ledger.unreadable import UNREADABLE, first_line
from assay.evaluator.storage import Store
from assay.manifests.ledger_layout import PART_KEY, TABLES_PREFIX, part_key

_DIGEST = b"assay.rows_digest"
"""The key of a part's metadata that holds the digest of its rows."""
_KEY = b"assay.key"
"""The key of a part's metadata that holds the key it was stored under."""


@dataclass(frozen=True)
class AppendOnlyTable:
    """A table of a ledger that belongs to no run.

    Attributes:
        name: The table's name.
        schema: The names, types and nullability of its columns.
    """

    name: str
    schema: pa.Schema

    def append(self, store: Store, rows: pa.Table, *, part: str) -> bool:
        """Stores rows as a part of the table.

        Args:
            store: The ledger's store.
            rows: The rows, with exactly the table's schema.
            part: The name of the part, such as the id of its writer with a number.

        Returns:
            Whether the part is new; False if it is stored already, with the same rows.

        Raises:
            LedgerError: The rows do not have the table's schema, or the part exists with other rows.
            DamageError: The part exists and cannot be read.
        """
        key, place = part_key(self.name, part), f"{store.uri}: part '{part}' of the table '{self.name}'"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", part):
            raise LedgerError(
                f"{place}: its name may have letters, digits, '_', '.' and '-', and starts with a letter or digit"
            )
        if not rows.schema.equals(self.schema):
            raise LedgerError(f"{place}: the columns are {_text(rows.schema)}, but must be {_text(self.schema)}")
        nulls = [field.name for field in self.schema if not field.nullable and rows.column(field.name).null_count]
        if nulls:
            raise LedgerError(f"{place}: the column '{nulls[0]}' has nulls, but is declared without; fill them in")
        digest, sink = fingerprint.rows_digest(rows), pa.BufferOutputStream()
        pq.write_table(rows.replace_schema_metadata({_DIGEST: digest, _KEY: key}), sink)
        if store.put_if_absent(key, sink.getvalue()):
            return True
        try:
            stored = _recorded(pq.read_schema(pa.BufferReader(store.get(key))))
        except UNREADABLE as error:
            raise DamageError(
                f"{place}: exists, but was changed ({first_line(error)}); restore '{key}', or append under another name"
            ) from error
        if stored != digest:
            raise LedgerError(
                f"{place}: exists with other rows; parts are never overwritten: append under another name"
            )
        return False


def changed_parts(store: Store) -> Iterator[tuple[str, str]]:
    """The key and the problem of each part of any table whose rows are not those that were appended.

    Files that are no parts are left out.
    """
    for key in [stored.key for stored in store.listing(TABLES_PREFIX) if PART_KEY.fullmatch(stored.key)]:
        try:
            rows = pq.read_table(pa.BufferReader(store.get(key)))
            if (now := fingerprint.rows_digest(rows)) != (before := _recorded(rows.schema)):
                yield key, f"was changed: its rows have the digest {now}, recorded is {before}"
            elif (stored_as := (rows.schema.metadata or {}).get(_KEY, b"none").decode()) != key:
                yield key, f"was stored as {stored_as}: it was moved or copied"
        except UNREADABLE as error:
            yield key, f"was changed: {first_line(error)}"


def _recorded(schema: pa.Schema) -> str:
    return (schema.metadata or {}).get(_DIGEST, b"none").decode()


def _text(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}{'' if field.nullable else ' not null'}" for field in schema)
