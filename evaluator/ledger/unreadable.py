"""Unreadable files: what reading one can raise if any of its bytes may be damaged, and how that is said in a message."""

import pyarrow as pa

UNREADABLE = (
    pa.ArrowException,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
)
"""What reading a file can raise if any of its bytes may be damaged."""


def first_line(error: BaseException) -> str:
    """The first line of an error's text; the name of its class if it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
