"""Rewrites the version log of a ledger in a folder as somebody would who can write to it."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import rfc8785

from assay.evaluator import fingerprint


def write(path: Path, content: bytes) -> None:
    """Replaces a file by a new one: others may be linked to the old one, or have it mapped."""
    path.unlink()
    path.write_bytes(content)


def digest(path: Path) -> str:
    """The digest of a file."""
    return fingerprint.sha256_digest(path.read_bytes())


def rewrite_log(ledger: Path, *, only_first: bool = False) -> None:
    """Writes the digests that records have now into the log, and seals and chains all entries, or only the first, anew.

    Args:
        ledger: The ledger's layout folder, `v2`.
        only_first: Whether to stop after the first entry.
    """
    previous = None
    for path in sorted((ledger / "log").iterdir()):
        plain = json.loads(path.read_text())
        del plain["seal"]
        plain["previous"] = previous
        plain["commit_digest"] = digest(ledger / f"commits/{plain['run_id']}.parquet")
        plain["record_digest"] = digest(ledger / f"runs/{plain['run_id']}.json")
        previous = fingerprint.sha256_digest(rfc8785.dumps(plain))
        write(path, rfc8785.dumps({**plain, "seal": previous}))
        if only_first:
            return
        for commit in (ledger / "commits").iterdir():  # what refers to the entry
            table = pq.ParquetFile(commit).read()
            rows = table.to_pylist()
            if rows[0]["log_number"] == plain["number"]:
                commit.unlink()
                rows = [{**row, "log_seal": previous} for row in rows]
                pq.write_table(type(table).from_pylist(rows, schema=table.schema), commit)
