"""The checksum inside a unit file, by which a change of any of its bits is found.

A Parquet file is its pages, followed by the footer, which ends with its own length and a magic number. One entry of the
footer's metadata holds a digest of the pages and one of the footer itself, in which the latter counts as zeros. The
footer can therefore be verified alone, by who reads only the end of a file.
"""

import re
import struct

import pyarrow as pa

from assay.evaluator import fingerprint

CHECKSUM_METADATA = {b"assay.checksum": b"blake3 of the pages %b and of the footer %b" % (b"0" * 64, b"0" * 64)}
"""The metadata that a file must be written with, in which `with_checksum` fills in the digests."""
_FILLED = re.compile(
    rb"assay\.checksum\x18..blake3 of the pages ([0-9a-f]{64}) and of the footer ([0-9a-f]{64})", re.DOTALL
)
"""The entry as Parquet writes it. The control character after the key keeps it apart from any text in other metadata,
which are JSON or base64."""
_END_BYTES = 8


def with_checksum(content: pa.Buffer) -> pa.Buffer:
    """A Parquet file that was written with `CHECKSUM_METADATA`, with the digests of what it holds now."""
    filled = bytearray(content)
    start = len(filled) - footer_length(content)
    places = list(_FILLED.finditer(filled, start))
    assert len(places) == 1, "the metadata must hold the checksum once"
    (pages_at, pages_end), (footer_at, footer_end) = places[0].span(1), places[0].span(2)
    filled[pages_at:pages_end] = _hex(memoryview(content)[:start])
    filled[footer_at:footer_end] = b"0" * (footer_end - footer_at)
    filled[footer_at:footer_end] = _hex(filled[start:])
    return pa.py_buffer(filled)


def check_footer(footer: pa.Buffer) -> bytes:
    """Compares a footer with the digest in it.

    Args:
        footer: The last `footer_length` bytes of a file.

    Returns:
        The digest of the pages that the footer holds.

    Raises:
        ValueError: The footer was changed, or has no checksum.
    """
    content = footer.to_pybytes()
    places = list(_FILLED.finditer(content))
    if len(places) != 1:
        raise ValueError("its footer has no checksum")
    start, end = places[0].span(2)
    if _hex(content[:start] + b"0" * (end - start) + content[end:]) != places[0][2]:
        raise ValueError("its footer does not match the checksum in it")
    return places[0][1]


def check_file(content: pa.Buffer) -> None:
    """Compares all bytes of a file with its checksum.

    Raises:
        ValueError: They were changed, or there is no checksum.
    """
    start = content.size - footer_length(content)
    if start < 0:
        raise ValueError("it is shorter than its footer")
    if check_footer(content.slice(start)) != _hex(memoryview(content)[:start]):
        raise ValueError("its pages do not match its checksum")


def footer_length(end: pa.Buffer) -> int:
    """The length of a Parquet file's footer with its length field and magic number, from the end of the file."""
    if end.size < _END_BYTES:
        raise ValueError("it is too short for a Parquet file")
    return struct.unpack("<I", end.slice(end.size - _END_BYTES, 4))[0] + _END_BYTES


def _hex(content: bytes | bytearray | memoryview) -> bytes:
    return fingerprint.blake3_digest(memoryview(content)).removeprefix("blake3:").encode()
