"""Checks what a ledger holds of a run, starting from its commit record, with plain pyarrow and none of Assay's code."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from chaos_proxy import SCORES_FILE, Unit
from pyarrow import fs

_LINEAGE = ("run_id", "arm", "dataset_digest", "variant_digest", "suite_digest", "plan_digest", "environment_digest")


@dataclass(frozen=True)
class Evidence:
    """The contents of a ledger's one run.

    Attributes:
        digest: The digest of all scores of all arms, in the order of arms and units, computed by this module.
        arm_digests: Each arm's scores digest, as recorded in the ledger.
        problems: What is wrong: missing or duplicate units or rows, files that do not match the commit record.
    """

    digest: str
    arm_digests: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]


def evidence(files: fs.FileSystem, ledger: str, *, arms: Collection[str], num_units: int, num_rows: int) -> Evidence:
    """Reads and checks the one run of a ledger.

    Args:
        files: The file system of the ledger.
        ledger: The ledger's folder in it.
        arms: The names of the arms.
        num_units: Units of each arm.
        num_rows: Rows of each arm.
    """
    commits = [each.path for each in _files(files, f"{ledger}/v2/commits")]
    if len(commits) != 1:
        return Evidence("", (), (f"the ledger has {len(commits)} commit records, expected 1",))
    record = pq.read_table(commits[0], filesystem=files).to_pylist()
    problems: list[str] = []
    tables: dict[Unit, pa.Table] = {}
    counts: Counter[Unit] = Counter()
    arm_digests: list[tuple[str, str]] = []
    for entry in record:
        path = f"{ledger}/v2/{entry['path']}"
        with files.open_input_file(path) as file:
            content = file.read()
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != entry["sha256"]:
            problems.append(f"{entry['path']} differs from the file that was committed")
        table = pq.read_table(pa.BufferReader(content))
        if len(table) != entry["num_rows"]:
            problems.append(f"{entry['path']} has {len(table)} rows, the commit record says {entry['num_rows']}")
        if entry["table"] == "arms":
            arm_digests += [(row["arm"], row["scores_digest"]) for row in table.to_pylist()]
        match = SCORES_FILE.search(path)
        if match:
            unit = (match[1], int(match[2]))
            counts[unit] += 1
            tables[unit] = table
    stored = {each.path.removeprefix(f"{ledger}/v2/") for each in _files(files, f"{ledger}/v2/data/scores")}
    committed = {entry["path"] for entry in record if entry["table"] == "scores"}
    wanted = {(arm, unit) for arm in arms for unit in range(num_units)}
    for problem, units in (
        ("missing", wanted - set(counts)),
        ("unknown", set(counts) - wanted),
        ("more than once in the commit record", {unit for unit, count in counts.items() if count > 1}),
        ("stored but not committed", stored - committed),
    ):
        if units:
            problems.append(f"{len(units)} units {problem}, for example {sorted(units)[:3]}")
    digest = hashlib.sha256()
    for arm in sorted(arms):
        rows = [
            row
            for unit in sorted(unit for unit in tables if unit[0] == arm)
            for row in tables[unit].drop_columns(list(_LINEAGE)).to_pylist()
        ]
        num_distinct = len({row["row_index"] for row in rows})
        if (len(rows), num_distinct) != (num_rows, num_rows):
            problems.append(f"arm '{arm}' has {len(rows)} rows, {num_distinct} of them distinct, expected {num_rows}")
        digest.update(json.dumps([arm, rows], sort_keys=True, default=repr).encode())
    return Evidence(digest.hexdigest(), tuple(sorted(arm_digests)), tuple(problems))


def _files(files: fs.FileSystem, folder: str) -> Iterator[fs.FileInfo]:
    selector = fs.FileSelector(folder, recursive=True, allow_not_found=True)
    yield from (each for each in files.get_file_info(selector) if each.is_file)
