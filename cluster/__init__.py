"""The same evaluation, everywhere at once: schedule, driver, executors, clients, command line."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.async_client import AsyncClient
    from cluster.client import Client

__all__ = ["AsyncClient", "Client"]

_PLACES = {"AsyncClient": "cluster.async_client", "Client": "cluster.client"}


def __getattr__(name: str) -> Any:
    """A client, imported only when it is asked for: it brings Ray along."""
    if name not in _PLACES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_PLACES[name]), name)
