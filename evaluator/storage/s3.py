"""A bucket as a store, through boto3: whole-object GET, conditional PUT, retries with jitter."""

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
_TAKEN = frozenset({"PreconditionFailed", "412"})
_CONFLICT = frozenset({"ConditionalRequestConflict", "409"})
_MAX_CONFLICTS = 8
_MAX_BROKEN_ANSWERS = 4
_NUM_ATTEMPTS = 6
_TROUBLE = frozenset({"RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "SlowDown", "Throttling"})


class S3Store:
    """Objects below one prefix of a bucket. Credentials, region and endpoint come from boto3's usual chain.

    A GET is one request for the whole object, without the transfer manager, which costs three times the CPU. Digests
    are checked by those who recorded them, so responses are not hashed a second time here; uploads carry a checksum
    that the server verifies.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.uri = f"s3://{bucket}/{self._prefix}".rstrip("/")
        self._client = _client()

    @classmethod
    def at(cls, rest: str) -> "S3Store":
        """The store of what stands behind `s3://`."""
        bucket, _, prefix = rest.partition("/")
        return cls(bucket, prefix)

    def get(self, key: str) -> pa.Buffer:
        """The object, in one request; in another one if the answer breaks off, which boto3 does not mend."""
        with self._explained("read", key):
            for _ in range(_MAX_BROKEN_ANSWERS - 1):
                with suppress(ResponseStreamingError, IncompleteReadError, ReadTimeoutError):
                    return pa.py_buffer(self._client.get_object(**self._object(key))["Body"].read())
            return pa.py_buffer(self._client.get_object(**self._object(key))["Body"].read())

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """A conditional PUT, in parts if the object is large.

        False may also mean that our own earlier try was stored and its answer lost on the way: whoever must know
        compares what is stored.
        """
        view = memoryview(content)
        for _ in range(_MAX_CONFLICTS):
            try:
                with self._explained("written", key):
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
        raise StoreError(f"{self.uri}: '{key}' cannot be written: other writers of the same key kept interfering")

    def replace(self, key: str, content: bytes) -> None:
        """A plain PUT."""
        with self._explained("written", key):
            self._client.put_object(**self._object(key), Body=content, ChecksumAlgorithm="CRC32")

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """Every page of the listing, which S3 gives in the order of keys."""
        with self._explained("listed", prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for entry in page.get("Contents", []):
                    yield StoredObject(entry["Key"].removeprefix(self._prefix), entry["Size"])

    def exists(self, key: str) -> bool:
        """Whether a HEAD request finds it."""
        try:
            with self._explained("read", key):
                self._client.head_object(**self._object(key))
        except FileNotFoundError:
            return False
        return True

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _put_in_parts(self, key: str, view: memoryview) -> None:
        """Uploads parts at once; only the completion makes the object appear, and it carries the condition."""
        upload = self._client.create_multipart_upload(**self._object(key), ChecksumAlgorithm="CRC32")["UploadId"]

        def send(number: int) -> dict[str, Any]:
            part = view[number * _PART_BYTES : (number + 1) * _PART_BYTES].tobytes()
            answer = self._client.upload_part(
                **self._object(key), UploadId=upload, PartNumber=number + 1, Body=part, ChecksumAlgorithm="CRC32"
            )
            return {"ETag": answer["ETag"], "PartNumber": number + 1, "ChecksumCRC32": answer.get("ChecksumCRC32")}

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
    def _explained(self, what: str, key: str) -> Iterator[None]:
        """Turns the client's errors into ours."""
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
            raise kind(f"{self.uri}: '{key}' cannot be {what}: {error}") from error
        except (ConnectionError, HTTPClientError, IncompleteReadError) as error:
            raise OutageError(f"{self.uri}: '{key}' cannot be {what}: {error}") from error
        except BotoCoreError as error:
            raise StoreError(f"{self.uri}: '{key}' cannot be {what}: {error}") from error


class _TakenError(Exception):
    """The key has an object already."""


class _ConflictError(Exception):
    """Another upload of the same key is under way; the answer is to try again."""


_making = threading.Lock()


def _client() -> Any:
    """A client of its own for each store: boto3's default session is not safe to share while it is set up."""
    with _making:
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
