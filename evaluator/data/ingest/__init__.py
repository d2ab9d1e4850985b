"""Ingest: reads files of five formats, plain or compressed, as a stream of typed chunks: `read_chunks(path, contract=...)`."""

from assay.evaluator.data.ingest.arrow_schema import arrow_schema, arrow_type
from assay.evaluator.data.ingest.changes import Changes
from assay.evaluator.data.ingest.chunk import Chunk, Offence, Origin
from assay.evaluator.data.ingest.source import read_chunks

__all__ = ["Changes", "Chunk", "Offence", "Origin", "arrow_schema", "arrow_type", "read_chunks"]
