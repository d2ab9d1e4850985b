"""Calls a function in a forked copy of this process, which may crash."""

import faulthandler
import os
from collections.abc import Callable


def exit_code_of(call: Callable[[], object]) -> int:
    """0 if the function returned, 1 if it raised, and the negative number of the signal that killed its process."""
    child = os.fork()
    if not child:
        try:
            faulthandler.disable()  # a crash is expected: no stack in the output of the tests
            call()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
