"""Errors about rows, variants, stores and the ledger. The whole error tree is drawn in manifests/errors.py."""

from assay.manifests.errors import AssayError, InvalidInput


class DataError(InvalidInput):
    """Rows cannot be frozen, or a dataset cannot be used in the requested way."""


class VariantError(InvalidInput):
    """A variant's entrypoint or weights cannot be used."""


class StoreError(AssayError):
    """A store lacks a guarantee that Assay needs, or cannot be used."""


class OutageError(StoreError):
    """A store does not answer or reports a temporary failure: the same request may succeed later."""


class DamageError(AssayError):
    """Stored bytes are missing or differ from what was recorded."""


class SourceError(AssayError):
    """The working copy of the repository does not meet a run's requirements, or its state cannot be read."""


class LedgerError(AssayError):
    """The request contradicts what the ledger holds, such as an unknown run or a changed plan."""
