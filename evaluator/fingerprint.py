"""Digests of bytes and of Arrow rows: equal content, equal digest, however it is chunked."""

import hashlib

import blake3
import pyarrow as pa


def blake3_digest(content: bytes | pa.Buffer | memoryview) -> str:
    """`blake3:<hex>` of some bytes: what is checked on every fetch."""
    return f"blake3:{blake3.blake3(memoryview(content)).hexdigest()}"


def sha256_digest(content: bytes | pa.Buffer | memoryview) -> str:
    """`sha256:<hex>` of some bytes: what `sha256sum` prints."""
    return f"sha256:{hashlib.sha256(memoryview(content)).hexdigest()}"
