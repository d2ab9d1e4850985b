"""Assay evaluates model variants on one frozen dataset and decides which one to ship. This module is its public API."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.cluster.client.client import Client
    from assay.cluster.pipeline import prepare, run
    from assay.evaluator.data.frozen.freeze import freeze
    from assay.evaluator.storage import open_store
    from assay.manifests.errors import AssayError, InvalidInput
    from assay.manifests.parse import parse

__all__ = ["AssayError", "Client", "InvalidInput", "freeze", "open_store", "parse", "prepare", "run"]

_MODULES = {
    "AssayError": "assay.manifests.errors",
    "Client": "assay.cluster.client.client",
    "InvalidInput": "assay.manifests.errors",
    "freeze": "assay.evaluator.data.frozen.freeze",
    "open_store": "assay.evaluator.storage",
    "parse": "assay.manifests.parse",
    "prepare": "assay.cluster.pipeline",
    "run": "assay.cluster.pipeline",
}


def __getattr__(name: str) -> Any:
    """Imports a public name on first access, so that `import assay` loads neither Ray nor torch."""
    if name not in _MODULES:
        raise AttributeError(f"module 'assay' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
