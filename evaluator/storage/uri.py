"""URIs of stores: opens the store that a URI names, and splits an object's URI into store and key."""

from assay.evaluator.storage.store import Store
from assay.manifests.errors import InvalidInput


def open_store(uri: str, *, patient: bool = False) -> Store:
    """Opens a store: a path, `file://...`, `s3://bucket/prefix` or `memory://name`.

    Args:
        uri: The store's path or URI.
        patient: Whether to retry for two minutes during an outage, as runs do. Interactive commands do not: an operation
            on a server that does not answer ends after 20 s. Affects only S3.

    Raises:
        InvalidInput: The URI's scheme is unknown.
        StoreError: The path is not that of a folder, or the settings of S3 cannot be used.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        from assay.evaluator.storage.local import LocalStore

        return LocalStore(rest if separator else uri)
    if scheme == "memory":
        from assay.evaluator.storage.memory import MemoryStore

        return MemoryStore.named(rest)
    if scheme == "s3":
        from assay.evaluator.storage.retrying import RetryingStore
        from assay.evaluator.storage.s3 import S3Store

        return RetryingStore(S3Store.at(rest)) if patient else S3Store.at(rest)
    raise InvalidInput(
        "unknown scheme of a store's URI", place=uri, value=scheme, bound="a path, file://, s3://, memory://"
    )


def split_uri(uri: str) -> tuple[str, str]:
    """The store and the key of one object: `s3://bucket/a/b` -> (`s3://bucket/a`, `b`)."""
    head, _, key = uri.rpartition("/")
    return head or ("/" if uri.startswith("/") else "."), key
