"""Why an actor was lost, from the error that Ray raises for its tasks."""

import re

from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError, RayError


def reason_of(error: RayError) -> str:
    """Why an actor was lost, in one line.

    If the node ran out of memory, only the amounts are kept: Ray's message lists the command lines of all other
    processes on the node, which may contain secrets.
    """
    message = " ".join(str(error).split())
    if not isinstance(error, OutOfMemoryError):
        return f"{type(error).__name__}: {message}"
    of_node = re.search(r"was (\S+ used / \S+ limit)", message)
    of_slot = re.search(r"actual memory used=([\d.]+\w+)", message)
    amounts = [of_node[1]] if of_node else []
    amounts += [f"{of_slot[1]} of it by the slot that was killed"] if of_slot else []
    return ": ".join(["the node ran out of memory", *([", ".join(amounts)] if amounts else [])])


def is_of_the_node(error: RayError) -> bool:
    """Whether the process was lost because its node died or became unreachable, not because of what it did."""
    if isinstance(error, ActorUnavailableError):
        return True
    # Ray reports why an actor died only in the text of its error.
    return isinstance(error, RayActorError) and (error.preempted or "node has died" in str(error))
