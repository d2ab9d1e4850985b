"""Unreadable files: what reading one can raise if any of its bytes may be damaged, and how that is said in a message."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from assay.evaluator.errors import DamageError, OutageError, StoreError

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


@contextmanager
def damage_of_one_object() -> Iterator[None]:
    """Takes what the file system reports about one object for damage, so that others can go on without this object.

    Raises:
        DamageError: The object cannot be read.
        OutageError: The store does not answer, which concerns all objects.
    """
    try:
        yield
    except OutageError:
        raise
    except StoreError as error:
        raise DamageError(str(error)) from error
