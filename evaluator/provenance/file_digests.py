"""File digests: the sha256 of files that may be large, computed once for as long as size, time and inode stay the same."""

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

_LARGE_BYTES = 16 << 20  # hashing less takes about as long as reading what was remembered


def file_digest(path: Path, *, uses_cache: bool = True) -> str:
    """`sha256:<hex>` of a file's content.

    Digests of large files are remembered in `$XDG_CACHE_HOME/assay/digests` (default: `~/.cache`), and taken from there
    while the file has the same device, inode, size, and times of modification and status change. Slots do not use
    it: they hash what they load.

    Args:
        path: The file.
        uses_cache: Whether a remembered digest is good enough.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size < _LARGE_BYTES or not uses_cache:
            return _computed(file)
        identity = [
            str(path.resolve()),
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        ]
        remembered = _folder() / hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        with suppress(OSError):
            digest = remembered.read_text()
            if digest.startswith("sha256:") and len(digest) == len("sha256:") + 64:
                return digest
        digest = _computed(file)
    with suppress(OSError):  # a home folder that cannot be written to: computed again next time
        _write_atomically(remembered, digest)
    return digest


def _computed(file: BufferedReader) -> str:
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay" / "digests"


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)
