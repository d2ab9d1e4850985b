"""The same evaluation, everywhere at once: schedule, driver, executors, client, command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """`Client`, imported only when it is asked for: it brings Ray along."""
    if name != "Client":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from cluster.client import Client

    return Client
