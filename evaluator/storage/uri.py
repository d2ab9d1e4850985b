"""URIs of stores: opens the store that a URI names, and splits an object's URI into store and key."""

import re

from assay.evaluator.storage.store import Store
from assay.manifests.errors import InvalidInput
from assay.manifests.plain_text import redacted

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,253}[A-Za-z0-9]")


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
    authority, path = rest.partition("/")[::2]
    if separator and scheme != "file" and ("@" in authority or ":" in authority or "?" in rest or redacted(uri) != uri):
        raise InvalidInput(
            "the URI of a store must not contain credentials or a query",
            place=uri,
            bound="scheme://bucket/prefix",
            remedy="put credentials into the environment, for S3 as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    is_odd_bucket = scheme == "s3" and separator and (not _BUCKET.fullmatch(authority) or ".." in path.split("/"))
    if "\0" in uri or is_odd_bucket:
        raise InvalidInput(
            "not the URI of a store", place=uri, bound="s3://BUCKET/PREFIX with a valid name and no '..', or a path"
        )
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
