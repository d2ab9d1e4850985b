"""What can go wrong with rows, variants, stores and the ledger; the tree is drawn in manifests/errors.py."""

from assay.manifests.errors import AssayError, InvalidInput


class DataError(InvalidInput):
    """Rows cannot be frozen, or a dataset cannot be used as asked."""


class VariantError(InvalidInput):
    """A variant's entrypoint or weights cannot be used."""


class StoreError(AssayError):
    """A store cannot keep its promises, or cannot be reached."""


class OutageError(StoreError):
    """A store does not answer, or answers that it is in trouble: the same may succeed later."""


class DamageError(AssayError):
    """Stored bytes are missing, or are not what was recorded."""


class SourceError(AssayError):
    """The repository that one works in is not as a run needs it."""


class LedgerError(AssayError):
    """The ledger refuses: what was asked would contradict what it holds."""
