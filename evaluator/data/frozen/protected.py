"""Protected memory: bytes that the operating system lets nobody write to, like those of a file mapped read-only."""

import ctypes
import mmap
import os

import pyarrow as pa


def protected(content: pa.Buffer) -> pa.Buffer:
    """A copy of some bytes in memory pages of their own. A process that writes to them is killed (SIGSEGV).

    Arrays over Arrow's memory are marked read-only, but torch, C code and some of NumPy's functions ignore the mark.

    Args:
        content: At least one byte.

    Raises:
        OSError: The pages cannot be reserved or protected.
    """
    pages = mmap.mmap(-1, content.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages.write(memoryview(content))
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(content.size), mmap.PROT_READ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "mprotect")
    return pa.foreign_buffer(address, content.size, base=pages)
