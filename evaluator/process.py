"""Memory of this process: the C library keeps what batches have freed for the next ones."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_KEPT_BYTES = 128 << 20
_MAPPED_FROM_BYTES = 32 << 20  # the most that glibc takes


def keep_freed_memory() -> None:
    """Makes glibc keep up to 128 MiB of freed memory for the next batch; elsewhere nothing.

    As it comes, glibc hands the tensors of a batch back to the kernel as soon as they are freed, and the next batch
    waits for the kernel to clear the same pages again: a small module takes up to twice its time then, depending on
    what was allocated before it.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
