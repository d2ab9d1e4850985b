"""User file: reads the text of a small file that a user named: a manifest, or a token."""

import os
import stat
from pathlib import Path

from assay.evaluator.storage.file_errors import described
from assay.manifests.errors import InvalidInput, did_you_mean
from assay.manifests.yaml_document import LONGEST

_LARGEST_BYTES = 4 * LONGEST
"""The most bytes of a file: the longest text of a manifest in UTF-8."""


def read_text(path: str) -> str:
    """The text of a file.

    Raises:
        InvalidInput: The path does not name a regular file (a device or a pipe may have no end), or the file is too
            large, cannot be read, or is not UTF-8.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for somebody who writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise InvalidInput("no such file", place=path, remedy=_nearest(Path(path))) from None
    except (OSError, ValueError) as error:  # ValueError: the path contains the character NUL
        raise InvalidInput(f"cannot be read: {described(error)}", place=path) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
            raise InvalidInput(f"this is {kind}", place=path, bound="a file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"cannot be read: {described(error)}", place=path) from None
    finally:
        os.close(descriptor)
    if len(content) > _LARGEST_BYTES:
        raise InvalidInput("the file is too large", place=path, bound=f"at most {_LARGEST_BYTES:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            "not UTF-8 text",
            place=f"{path}:{line}",
            value=f"byte 0x{content[error.start]:02x} at offset {error.start:,}",
            remedy="save the file as UTF-8",
        ) from None


def _nearest(path: Path) -> str:
    """The remedy for a file that does not exist."""
    if path.is_symlink():
        return f"this is a link to {path.readlink()}, which does not exist"
    try:
        return did_you_mean(path.name, os.listdir(path.parent))  # noqa: PTH208  # names, not paths
    except OSError:  # the folder does not exist either, or cannot be listed
        return ""
