"""A batch reuses the memory of the previous batch."""

import subprocess
import sys

import pytest

BATCHES = """
import platform, resource, sys
import numpy as np
from assay.evaluator import process

if sys.argv[1] == "kept":
    process.keep_freed_memory()
before = 0
for number in range(20):
    tensors = [np.ones(1 << 20) for _ in range(3)]
    del tensors
    if number == 9:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(platform.libc_ver()[0], resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.parametrize("way", ["kept", "as it comes"])
def test_freed_memory_is_kept_for_the_next_batch(way):
    """Each of ten batches needs 24 MiB. Memory that is not reused must be cleared by the kernel page by page."""
    answer = subprocess.run([sys.executable, "-c", BATCHES, way], capture_output=True, text=True, check=True)
    libc, num_faults = answer.stdout.split()
    if libc != "glibc":
        pytest.skip("another allocator")
    assert (int(num_faults) < 100) == (way == "kept")
