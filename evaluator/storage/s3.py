"""A bucket as a store, through boto3: GET of an object or a part of it, conditional PUT, retries with jitter."""

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, suppress
from typing import Any

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from assay.evaluator.errors import StoreError
from assay.evaluator.storage.deadline import Deadline, DeadlineError
from assay.evaluator.storage.s3_errors import ConflictError, ForeignAnswerError, TakenError, require_s3, s3_errors
from assay.evaluator.storage.store import ABANDONED_S, StoredObject

LIMIT_S = 20.0
"""The seconds that one operation may take, in addition to those for the bytes that it transfers."""
_PART_BYTES = 64 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
_LISTED_BYTES = 512
"""About what one object takes in a listing."""
_MAX_LISTED = 10_000_000
_NUM_UPLOADS_AT_ONCE = 4
_OUTSIDE = frozenset({"InvalidRange", "416"})
_MAX_CONFLICTS = 8
_MAX_BROKEN_ANSWERS = 4
_NUM_ATTEMPTS = 4


class S3Store:
    """Objects below one prefix of a bucket. Credentials, region and endpoint come from boto3's usual chain.

    A GET is one request, also for a whole large object, because boto3's transfer manager takes three times the CPU. Responses are
    not hashed here, because the callers check the digests that they have recorded. Uploads carry a checksum that the
    server verifies.

    Every operation has a deadline: `limit_s` seconds, and one more for every 128 KiB of objects that it transfers. A
    server that is not S3, such as a proxy that answers with a page, is an error, never an empty store.
    """

    def __init__(self, bucket: str, prefix: str, *, limit_s: float = LIMIT_S) -> None:
        self._bucket, self._limit_s = bucket, limit_s
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.uri = f"s3://{bucket}/{self._prefix}".rstrip("/")
        self._client: Any = None
        deadline = Deadline(LIMIT_S)
        with s3_errors(f"{self.uri}: cannot be opened", endpoint=lambda: "boto3", deadline=deadline):
            self._client = deadline.run(lambda: _client(limit_s))

    @classmethod
    def at(cls, rest: str) -> "S3Store":
        """The store at `bucket/prefix`, the part of a URI after `s3://`."""
        bucket, _, prefix = rest.partition("/")
        return cls(bucket, prefix)

    def get(self, key: str) -> pa.Buffer:
        """The object, in one request. If the response breaks off, the request is repeated, which boto3 does not do."""
        return self._got(key)[0]

    def get_range(self, key: str, start: int, length: int) -> pa.Buffer:
        """A part of the object, in one request."""
        content, is_part = self._got(key, Range=f"bytes={start}-{start + length - 1}")
        return (
            content if is_part else content.slice(min(start, content.size), min(length, max(0, content.size - start)))
        )

    def get_end(self, key: str, length: int) -> pa.Buffer:
        """The end of the object, in one request."""
        content, is_part = self._got(key, Range=f"bytes=-{length}")
        return content if is_part else content.slice(max(0, content.size - length))

    def put_if_absent(self, key: str, content: bytes | pa.Buffer) -> bool:
        """A conditional PUT, in parts if the object is large.

        False may also mean that an earlier attempt of our own was stored and its response was lost. A caller that needs
        to know must compare the stored object.
        """
        view = memoryview(content).cast("B")
        for _ in range(_MAX_CONFLICTS):
            try:
                if view.nbytes > _PART_BYTES:
                    self._put_in_parts(key, view)
                else:
                    self._put(key, view.tobytes(), IfNoneMatch="*")
            except TakenError:
                return False
            except ConflictError:
                continue
            return True
        raise StoreError(
            f"{self.uri}: '{key}' cannot be written: {_MAX_CONFLICTS} attempts conflicted with other writers of the "
            "same key; try again"
        )

    def replace(self, key: str, content: bytes) -> None:
        """An unconditional PUT."""
        self._put(key, content)

    def remove(self, key: str, content: pa.Buffer) -> None:
        """A DELETE on the condition that the object is the one that was compared, for servers that know conditions."""
        deadline, target = Deadline(self._limit_s), self._object(key)

        def attempt() -> None:
            answer = self._client.get_object(**target)
            require_s3(answer, "ETag")
            if _body(answer, deadline).equals(content):
                self._client.delete_object(**target, IfMatch=answer["ETag"])

        with suppress(FileNotFoundError, TakenError, ConflictError), self._errors("removed", key, deadline):
            deadline.run(attempt)

    def move_unread(self, key: str, to: str, *, size_bytes: int | None = None) -> bool:  # noqa: ARG002
        """Nothing: in a bucket, whatever has a key is an object, and none can be moved without copying it."""
        return False

    def strays(self, prefix: str) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """Nothing: in a bucket, whatever has a key is an object."""
        return iter(())

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        """Every page of the listing, which S3 returns in the order of the keys."""
        deadline, start, begun, num_listed = Deadline(self._limit_s), {}, set[str](), 0
        full = self._prefix + prefix
        while True:
            with self._errors("listed", prefix, deadline):
                page = deadline.run(
                    lambda start=start: self._client.list_objects_v2(Bucket=self._bucket, Prefix=full, **start)
                )
                require_s3(page, "IsTruncated")
                entries = [(entry["Key"], entry["Size"]) for entry in page.get("Contents", [])]
                if not all(key.startswith(full) for key, _ in entries):
                    raise ForeignAnswerError("lists keys that do not start with the prefix")
                token = page["NextContinuationToken"] if page["IsTruncated"] else ""
                if begun.intersection({token, *(key for key, _ in entries[:1])}):
                    raise ForeignAnswerError("lists the same objects again and again")
                num_listed += len(entries)
                if num_listed > _MAX_LISTED:
                    raise ForeignAnswerError(f"lists more than {_MAX_LISTED:,} objects, which no store of Assay's has")
            deadline.received(len(entries) * _LISTED_BYTES)
            begun.update(each for each in (token, *(key for key, _ in entries[:1])) if each)
            for key, size_bytes in entries:
                yield StoredObject(key.removeprefix(self._prefix), size_bytes)
            if not token:
                return
            start = {"ContinuationToken": token}

    def exists(self, key: str) -> bool:
        """Whether the object's first byte can be asked for. A HEAD request could not tell a missing bucket."""
        try:
            self._got(key, Range="bytes=0-0")
        except FileNotFoundError:
            return False
        return True

    def remove_leftovers(self, *, older_than_s: float) -> tuple[StoredObject, ...]:
        """Aborts uploads in parts that began a day ago or, if that is longer, as long ago as it says.

        They cannot be seen to be abandoned. Until they are aborted, their parts are stored and paid for.
        """
        before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=max(older_than_s, ABANDONED_S))
        deadline, removed = Deadline(self._limit_s), list[StoredObject]()
        with self._errors("cleared of unfinished uploads", "", deadline):
            # At most 1,000 of them; running it again removes further ones.
            answer = deadline.run(lambda: self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=self._prefix))
            require_s3(answer, "IsTruncated")
            for upload in answer.get("Uploads", []):
                if upload["Initiated"] < before:
                    self._abort(upload["Key"], upload["UploadId"])
                    removed.append(StoredObject(upload["Key"].removeprefix(self._prefix), 0))
        return tuple(removed)

    def _got(self, key: str, **part: str) -> tuple[pa.Buffer, bool]:
        """The bytes that one GET returns, and whether they are no more than the part that was asked for.

        There are none for a range that begins after the object's end.
        """
        deadline = Deadline(self._limit_s)

        def attempt() -> tuple[pa.Buffer, bool]:
            answer = self._client.get_object(**self._object(key), **part)
            require_s3(answer, "ETag")
            return _body(answer, deadline), "ContentRange" in answer

        with self._errors("read", key, deadline):
            try:
                for _ in range(_MAX_BROKEN_ANSWERS - 1):
                    with suppress(ResponseStreamingError, IncompleteReadError, ReadTimeoutError):
                        return deadline.run(attempt)
                return deadline.run(attempt)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _OUTSIDE:
                    return pa.py_buffer(b""), True
                raise

    def _put(self, key: str, content: bytes, **condition: str) -> None:
        self._sent(
            key,
            len(content),
            lambda: self._client.put_object(**self._object(key), Body=content, ChecksumAlgorithm="CRC32", **condition),
        )

    def _sent(
        self, key: str, num_bytes: int, call: Callable[[], dict[str, Any]], *, field: str = "ETag"
    ) -> dict[str, Any]:
        """The answer to a request that sends, or completes, this many bytes of an object."""
        deadline = Deadline(self._limit_s, num_sent=num_bytes)
        with self._errors("written", key, deadline):
            answer = deadline.run(call)
            require_s3(answer, field)
            return answer

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _put_in_parts(self, key: str, view: memoryview) -> None:
        """Uploads parts in parallel. Completing the upload makes the object visible, and carries the condition."""
        target = self._object(key)
        begun = self._sent(
            key,
            0,
            lambda: self._client.create_multipart_upload(**target, ChecksumAlgorithm="CRC32"),
            field="UploadId",
        )
        upload = {**target, "UploadId": begun["UploadId"]}

        def send(number: int) -> dict[str, Any]:
            part = view[number * _PART_BYTES : (number + 1) * _PART_BYTES].tobytes()
            response = self._sent(
                key,
                len(part),
                lambda: self._client.upload_part(**upload, PartNumber=number + 1, Body=part, ChecksumAlgorithm="CRC32"),
            )
            return {"ETag": response["ETag"], "PartNumber": number + 1, "ChecksumCRC32": response.get("ChecksumCRC32")}

        try:
            with ThreadPoolExecutor(_NUM_UPLOADS_AT_ONCE) as pool:
                parts = list(pool.map(send, range(-(-view.nbytes // _PART_BYTES))))
            sent = [{name: value for name, value in part.items() if value is not None} for part in parts]
            self._sent(
                key,
                view.nbytes,
                lambda: self._client.complete_multipart_upload(
                    **upload, MultipartUpload={"Parts": sent}, IfNoneMatch="*"
                ),
            )
        except BaseException:
            with suppress(StoreError):  # `remove_leftovers` aborts it later
                self._abort(target["Key"], upload["UploadId"])
            raise

    def _abort(self, full_key: str, upload: str) -> None:
        deadline = Deadline(self._limit_s)
        with self._errors("cleared of an unfinished upload", full_key, deadline):
            deadline.run(
                lambda: self._client.abort_multipart_upload(Bucket=self._bucket, Key=full_key, UploadId=upload)
            )

    def _errors(self, action: str, key: str, deadline: Deadline) -> AbstractContextManager[None]:
        """Turns the client's errors into Assay's.

        Args:
            action: What is attempted, as a participle for the message: "read", "written", "listed" or "removed".
            key: The object's key.
            deadline: The deadline of the attempt.
        """
        return s3_errors(
            f"{self.uri}: '{key}' cannot be {action}",
            endpoint=lambda: self._client.meta.endpoint_url,
            deadline=deadline,
            reads=action in ("read", "removed"),
        )


def _body(answer: dict[str, Any], deadline: Deadline) -> pa.Buffer:
    """The body of an answer, read in pieces, so that what has come counts as progress."""
    require_s3(answer, "ContentLength")
    content, num_read = pa.allocate_buffer(answer["ContentLength"]), 0
    deadline.received(0)
    view = memoryview(content).cast("B")
    with closing(answer["Body"]) as body:
        while piece := body.read(_PIECE_BYTES):
            if deadline.is_over:  # nobody waits for it any more
                raise DeadlineError
            view[num_read : num_read + len(piece)] = piece
            num_read += len(piece)
            deadline.received(len(piece))
    return content


_client_lock = threading.Lock()


def _client(limit_s: float) -> Any:
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
                read_timeout=limit_s,
                max_pool_connections=32,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3=style,
            ),
        )
