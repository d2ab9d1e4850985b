"""A bucket as a store, through boto3: GET of an object or a part of it, conditional PUT, retries with jitter."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from assay.evaluator.errors import OutageError, StoreError
from assay.evaluator.storage.store import StoredObject

_PART_BYTES = 64 * 1024 * 1024
_NUM_UPLOADS_AT_ONCE = 4
_NOT_FOUND = frozenset({"NoSuchKey", "NotFound", "404"})
_OUTSIDE = frozenset({"InvalidRange", "416"})
_TAKEN = frozenset({"PreconditionFailed", "412"})
_CONFLICT = frozenset({"ConditionalRequestConflict", "409"})
_MAX_CONFLICTS = 8
_MAX_BROKEN_ANSWERS = 4
_NUM_ATTEMPTS = 6
_TROUBLE = frozenset({"RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "SlowDown", "Throttling"})


class S3Store:
    """Objects below one prefix of a bucket. Credentials, region and endpoint come from boto3's usual chain.

    A GET is one request, also for a whole large object, because boto3's transfer manager takes three times the CPU. Responses are
    not hashed here, because the callers check the digests that they have recorded. Uploads carry a checksum that the
    server verifies.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.uri = f"s3://{bucket}/{self._prefix}".rstrip("/")
        self._client = _client()

    @classmethod
    def at(cls, rest: str) -> "S3Store":
        """The store at `bucket/prefix`, the part of a URI after `s3://`."""
        bucket, _, prefix = rest.partition("/")
        return cls(bucket, prefix)

    def get(self, key: str) -> pa.Buffer:
        """The object, in one request. If the response breaks off, the request is repeated, which boto3 does not do."""
        return self._got(key)

    def get_range(self, key: str, start: int, length: int) -> pa.Buffer:
        """A part of the object, in one request."""
        return self._got(key, Range=f"bytes={start}-{start + length - 1}")

    def get_end(self, key: str, length: int) -> pa.Buffer:
        """The end of the object, in one request."""
        return self._got(key, Range=f"bytes=-{length}")

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """A conditional PUT, in parts if the object is large.

        False may also mean that an earlier attempt of our own was stored and its response was lost. A caller that needs
        to know must compare the stored object.
        """
        view = memoryview(content)
        for _ in range(_MAX_CONFLICTS):
            try:
                with self._translated_errors("written", key):
                    if view.nbytes > _PART_BYTES:
                        self._put_in_parts(key, view)
                    else:
                        self._client.put_object(
                            **self._object(key), Body=view.tobytes(), IfNoneMatch="*", ChecksumAlgorithm="CRC32"
                        )
            except _TakenError:
                return False
            except _ConflictError:
                continue
            return True
        raise StoreError(
            f"{self.uri}: '{key}' cannot be written: {_MAX_CONFLICTS} attempts conflicted with other writers of the "
            "same key; try again"
        )

    def replace(self, key: str, content: bytes) -> None:
        """An unconditional PUT."""
        with self._translated_errors("written", key):
            self._client.put_object(**self._object(key), Body=content, ChecksumAlgorithm="CRC32")

    def remove(self, key: str, content: pa.Buffer) -> None:
        """A DELETE on the condition that the object is the one that was compared, for servers that know conditions."""
        with suppress(FileNotFoundError, _TakenError, _ConflictError), self._translated_errors("removed", key):
            tag = self._client.head_object(**self._object(key))["ETag"]
            if self.get(key).equals(content):
                self._client.delete_object(**self._object(key), IfMatch=tag)

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """Every page of the listing, which S3 returns in the order of the keys."""
        with self._translated_errors("listed", prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for entry in page.get("Contents", []):
                    yield StoredObject(entry["Key"].removeprefix(self._prefix), entry["Size"])

    def exists(self, key: str) -> bool:
        """Whether a HEAD request finds it."""
        try:
            with self._translated_errors("read", key):
                self._client.head_object(**self._object(key))
        except FileNotFoundError:
            return False
        return True

    def _got(self, key: str, **part: str) -> pa.Buffer:
        """The bytes that one GET returns: none for a range that begins after the object's end."""

        def attempt() -> pa.Buffer:
            return pa.py_buffer(self._client.get_object(**self._object(key), **part)["Body"].read())

        with self._translated_errors("read", key):
            try:
                for _ in range(_MAX_BROKEN_ANSWERS - 1):
                    with suppress(ResponseStreamingError, IncompleteReadError, ReadTimeoutError):
                        return attempt()
                return attempt()
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _OUTSIDE:
                    return pa.py_buffer(b"")
                raise

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _put_in_parts(self, key: str, view: memoryview) -> None:
        """Uploads parts in parallel. Completing the upload makes the object visible, and carries the condition."""
        upload = self._client.create_multipart_upload(**self._object(key), ChecksumAlgorithm="CRC32")["UploadId"]

        def send(number: int) -> dict[str, Any]:
            part = view[number * _PART_BYTES : (number + 1) * _PART_BYTES].tobytes()
            response = self._client.upload_part(
                **self._object(key), UploadId=upload, PartNumber=number + 1, Body=part, ChecksumAlgorithm="CRC32"
            )
            return {"ETag": response["ETag"], "PartNumber": number + 1, "ChecksumCRC32": response.get("ChecksumCRC32")}

        try:
            with ThreadPoolExecutor(_NUM_UPLOADS_AT_ONCE) as pool:
                parts = list(pool.map(send, range(-(-view.nbytes // _PART_BYTES))))
            sent = [{name: value for name, value in part.items() if value is not None} for part in parts]
            self._client.complete_multipart_upload(
                **self._object(key), UploadId=upload, MultipartUpload={"Parts": sent}, IfNoneMatch="*"
            )
        except BaseException:
            self._client.abort_multipart_upload(**self._object(key), UploadId=upload)
            raise

    @contextmanager
    def _translated_errors(self, action: str, key: str) -> Iterator[None]:
        """Turns the client's errors into Assay's.

        Args:
            action: What is attempted, as a participle for the message: "read", "written", "listed" or "removed".
            key: The object's key.
        """
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _NOT_FOUND:
                raise FileNotFoundError(key) from None
            if code in _TAKEN:
                raise _TakenError from None
            if code in _CONFLICT:
                raise _ConflictError from None
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            kind = OutageError if status >= 500 or status == 429 or code in _TROUBLE else StoreError
            raise kind(f"{self.uri}: '{key}' cannot be {action}: {error}") from error
        except (ConnectionError, HTTPClientError, IncompleteReadError) as error:
            raise OutageError(f"{self.uri}: '{key}' cannot be {action}: {error}") from error
        except BotoCoreError as error:
            raise StoreError(f"{self.uri}: '{key}' cannot be {action}: {error}") from error


class _TakenError(Exception):
    """The key already has an object."""


class _ConflictError(Exception):
    """Another upload of the same key is in progress; retry."""


_client_lock = threading.Lock()


def _client() -> Any:
    """Creates a client. Each store has its own, because boto3's default session is not thread-safe while set up."""
    with _client_lock:
        session = boto3.Session()
        own_endpoint = session.client("s3").meta.endpoint_url
        style = {} if own_endpoint.endswith("amazonaws.com") else {"addressing_style": "path"}
        return session.client(
            "s3",
            config=Config(
                retries={"mode": "standard", "total_max_attempts": _NUM_ATTEMPTS},
                connect_timeout=5,
                read_timeout=60,
                max_pool_connections=32,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3=style,
            ),
        )
