"""Process memory: keeps freed memory in the C library so that the next batch can use it."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_KEPT_BYTES = 128 << 20
_MAPPED_FROM_BYTES = 32 << 20  # the maximum that glibc accepts


def keep_freed_memory() -> None:
    """Makes glibc keep up to 128 MiB of freed memory for the next batch. Does nothing with another C library.

    By default glibc returns the memory of a batch's tensors to the kernel as soon as they are freed, and the next
    batch waits for the kernel to clear the same pages again. A small module can then take up to twice as long,
    depending on what was allocated before.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
