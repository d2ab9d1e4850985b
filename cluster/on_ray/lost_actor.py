"""Why an actor was lost, as the error that Ray raises for its tasks tells it."""

import re

from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError, RayError


def reason_of(error: RayError) -> str:
    """Why an actor was lost, in one line.

    Of a node out of memory only the amounts: Ray's own words list the command lines of whatever else runs there, which
    are nobody's business and may hold secrets.
    """
    message = " ".join(str(error).split())
    if not isinstance(error, OutOfMemoryError):
        return f"{type(error).__name__}: {message}"
    of_node = re.search(r"was (\S+ used / \S+ limit)", message)
    of_slot = re.search(r"actual memory used=([\d.]+\w+)", message)
    amounts = [of_node[1]] if of_node else []
    amounts += [f"{of_slot[1]} of it by the slot that was ended"] if of_slot else []
    return ": ".join(["out of memory on the node", *([", ".join(amounts)] if amounts else [])])


def is_of_the_node(error: RayError) -> bool:
    """Whether the process was lost with its node or the way there, rather than by what it did."""
    if isinstance(error, ActorUnavailableError):
        return True
    # Ray keeps why an actor died in the words of its error only.
    return isinstance(error, RayActorError) and (error.preempted or "node has died" in str(error))
