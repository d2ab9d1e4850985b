"""Stores by URI: which kind of store a URI means, and where in it an object lies."""

from assay.evaluator.storage.store import Store
from assay.manifests.errors import InvalidInput


def open_store(uri: str, *, patient: bool = False) -> Store:
    """Opens a store: a path, `file://...`, `s3://bucket/prefix` or `memory://name`.

    Args:
        uri: Where it is.
        patient: Whether to wait through outages of up to two minutes, as a run does. Who waits at a prompt would
            rather hear of it.

    Raises:
        InvalidInput: No store has that scheme.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file":
        from assay.evaluator.storage.local import LocalStore

        return LocalStore(rest if separator else uri)
    if scheme == "memory":
        from assay.evaluator.storage.memory import MemoryStore

        return MemoryStore.named(rest)
    if scheme == "s3":
        from assay.evaluator.storage.retrying import PatientStore
        from assay.evaluator.storage.s3 import S3Store

        return PatientStore(S3Store.at(rest)) if patient else S3Store.at(rest)
    raise InvalidInput("no store has this scheme", place=uri, value=scheme, bound="a path, file://, s3://, memory://")


def split_uri(uri: str) -> tuple[str, str]:
    """The store and the key of one object: `s3://bucket/a/b` -> (`s3://bucket/a`, `b`)."""
    head, _, key = uri.rpartition("/")
    return head or ("/" if uri.startswith("/") else "."), key
