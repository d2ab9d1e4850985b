"""Read-only inputs: what a variant that wrote to its inputs is told, whether that was an exception or killed its process."""

import signal
import sys

from assay.manifests.base_variant import BaseVariant
from assay.manifests.callable_variant import CallableVariant

WRITE_HINT = (
    "the arrays that a variant receives are read-only: copy an array before writing to it, or set 'writes_inputs: true' "
    "in the variant, which then receives copies"
)
"""What to do about a refused write."""


def hint_on_signal(variant: BaseVariant, number: int) -> str:
    """What to try if a signal killed the process that a variant ran in; empty if its inputs cannot be the reason.

    NumPy refuses to write to a read-only array. Code that does not ask NumPy, such as `torch.from_numpy(array)[0] = 1`,
    a pointer in C, or even `np.add.at`, writes to memory that the operating system protects, and the process is killed.

    Args:
        variant: The variant whose code ran.
        number: The signal, such as `signal.SIGSEGV`.
    """
    of_a_write = signal.SIGBUS if sys.platform == "darwin" else signal.SIGSEGV
    if number not in (signal.SIGSEGV, of_a_write) or not isinstance(variant, CallableVariant) or variant.writes_inputs:
        return ""
    return f"if its code wrote to its inputs, for example through torch.from_numpy, this is why: {WRITE_HINT}"
