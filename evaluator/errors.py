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


class NoObjectError(DamageError):
    """Something that cannot be read as a file, such as a folder or a pipe, is in an object's place.

    Attributes:
        kind: What it is: "a folder".
    """

    def __init__(self, message: str, *, kind: str = "no file") -> None:
        self.kind = kind
        super().__init__(message)


class UnitDamageError(DamageError):
    """The file of a published unit is missing or damaged. The run that it belongs to can score the unit again.

    Attributes:
        key: The file's key.
        reason: What is wrong with it.
        digest: The sha256 of the file that was read; None if it is missing, or only its end was read.
    """

    def __init__(self, uri: str, key: str, reason: str, *, digest: str | None = None) -> None:
        self.key, self.reason, self.digest = key, reason, digest
        super().__init__(
            f"{uri}: '{key}' {reason}; restore the file, or, if its run is not committed, run the experiment again: the "
            "file is then set aside, and the unit is scored again"
        )


class SourceError(AssayError):
    """The working copy of the repository does not meet a run's requirements, or its state cannot be read."""


class LedgerError(AssayError):
    """The request contradicts what the ledger holds, such as an unknown run or a changed plan."""
