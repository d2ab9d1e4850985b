"""The same rows in every format, and the contract that they pass."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from assay.manifests.contract import Contract
from assay.manifests.contract_column import Column

PLAIN = ("csv", "tsv", "jsonl", "ndjson", "parquet", "arrow", "feather", "ipc")
FORMATS = tuple(f"{suffix}{compression}" for compression in ("", ".gz", ".zst") for suffix in PLAIN)


def contract(*columns: Column) -> Contract:
    return Contract(kind="Contract", version=1, columns=columns)


EVERYTHING = contract(
    Column(name="id", role="id"),
    Column(name="label", role="label", type="string", classes=("yes", "no")),
    Column(name="wide", role="feature", type="float64"),
    Column(name="narrow", role="feature", type="float32"),
    Column(name="count", role="feature", type="int16"),
    Column(name="text", role="feature", type="string"),
    Column(name="image", role="feature", type="uint8", shape=(2, 3)),
    Column(name="vector", role="feature", type="float32", shape=(4,)),
    Column(name="mask", role="feature", type="bool", shape=(3,)),
    Column(name="group", role="segment", type="bool"),
    Column(name="writer", role="cluster", type="int64"),
)


def rows(num_rows: int, *, seed: int = 5) -> list[dict]:
    """Rows that pass `EVERYTHING`, as plain Python values."""
    random = np.random.default_rng(seed)
    return [
        {
            "id": f"row {row}",
            "label": ("yes", "no")[row % 2],
            "wide": float(random.normal()),
            "narrow": float(np.float32(random.normal())),
            "count": int(random.integers(-(2**15), 2**15)),
            "text": 'a "quoted" word,\na line; 😀 ' * (row % 3) + "end",
            "image": random.integers(0, 256, (2, 3)).tolist(),
            "vector": random.normal(size=4).astype(np.float32).astype(float).tolist(),
            "mask": (random.random(3) < 0.5).tolist(),
            "group": row % 5 == 0,
            "writer": row // 7,
        }
        for row in range(num_rows)
    ]


def write(path: Path, rows: list[dict]) -> Path:
    """Writes the rows in the format of the suffixes; compressed files have two members or frames."""
    if path.suffix in (".gz", ".zst"):
        compress = gzip.compress if path.suffix == ".gz" else zstandard.compress
        plain = write(path.with_suffix(""), rows)
        content = plain.read_bytes()
        plain.unlink()
        half = len(content) // 2
        path.write_bytes(compress(content[:half]) + compress(content[half:]))
        return path
    match path.suffix:
        case ".csv" | ".tsv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t")
                writer.writerow(rows[0])
                for row in rows:
                    writer.writerow([json.dumps(cell) if isinstance(cell, list) else cell for cell in row.values()])
        case ".jsonl" | ".ndjson":
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=300)
        case ".arrow" | ".feather":
            table = pa.Table.from_pylist(rows)
            with pa.ipc.new_file(path, table.schema) as writer:
                writer.write_table(table, max_chunksize=70)
        case ".ipc":
            table = pa.Table.from_pylist(rows)
            with pa.ipc.new_stream(path, table.schema) as writer:
                writer.write_table(table, max_chunksize=70)
    return path
