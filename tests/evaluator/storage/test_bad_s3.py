"""A server that is slow, foreign, broken or unwilling ends every operation in time, with a message of its own kind."""

import itertools
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from assay.cluster.cli.main import app
from assay.evaluator.errors import OutageError, StoreError
from assay.evaluator.storage.retrying import RetryingStore
from assay.evaluator.storage.s3 import S3Store
from assay.manifests.errors import AssayError

LIMIT_S = 0.5
ENDS_S = 4.0
"""Within this time an operation has to end: the limit, and what a busy machine adds."""
OPERATIONS: dict[str, Callable[[S3Store], object]] = {
    "get": lambda store: store.get("key"),
    "end": lambda store: store.get_end("key", 8),
    "exists": lambda store: store.exists("key"),
    "put": lambda store: store.put_if_absent("key", b"content"),
    "replace": lambda store: store.replace("key", b"content"),
    "list": lambda store: list(store.listing("v2/")),
    "clear": lambda store: store.remove_leftovers(older_than_s=0),
}
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "never-print-this",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_NUMBERS = itertools.count()
Answer = Callable[[BaseHTTPRequestHandler], None]


class Handler(BaseHTTPRequestHandler):
    """Reads a request and lets the server's `answer` answer it."""

    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        with suppress(OSError):  # the client gave up
            super().handle_one_request()

    def _handle(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.answer(self)  # pyright: ignore[reportAttributeAccessIssue]

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _handle

    def log_message(self, *args: object) -> None:
        """Nothing."""


@dataclass
class BadServer:
    """A server whose behaviour each test sets, and two stores on it.

    Attributes:
        hasty: A store with a short limit.
        calm: A store whose limit no operation reaches on a server that answers.
    """

    server: ThreadingHTTPServer
    hasty: S3Store
    calm: S3Store

    def answers(self, answer: Answer) -> None:
        self.server.answer = answer  # pyright: ignore[reportAttributeAccessIssue]

    def refusal(self, operation: str, answer: Answer, *, is_hasty: bool = False) -> str:
        """The message with which an operation on a server that answers so is refused."""
        self.answers(answer)
        with pytest.raises(StoreError) as refused:
            OPERATIONS[operation](self.hasty if is_hasty else self.calm)
        return str(refused.value)


@pytest.fixture(scope="module")
def bad() -> Iterator[BadServer]:
    with pytest.MonkeyPatch.context() as patch, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        for name, value in {**VARIABLES, "AWS_ENDPOINT_URL_S3": endpoint}.items():
            patch.setenv(name, value)
        patch.setattr("assay.evaluator.storage.s3._NUM_ATTEMPTS", 2)
        yield BadServer(server, *(S3Store("bucket", "prefix", limit_s=limit_s) for limit_s in (LIMIT_S, 20)))
        server.shutdown()


def sent(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", *, length: int | None = None, **headers: str
) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
    request.wfile.flush()


def error(status: int, code: str, message: str = "No.") -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return lambda request: sent(request, status, body)


def page(keys: list[str], token: str = "") -> bytes:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    end = more if token else "<IsTruncated>false</IsTruncated>"
    return f"<?xml version='1.0'?><ListBucketResult><Name>b</Name>{end}{contents}</ListBucketResult>".encode()


def new() -> str:
    """A text that no earlier call has returned."""
    return str(next(_NUMBERS))


def never(request: BaseHTTPRequestHandler) -> None:
    time.sleep(ENDS_S * 2)


def dripping(start: bytes) -> Answer:
    """Answers with a start, and then with one byte every tenth of the limit."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(start)
        for _ in range(1000):
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(LIMIT_S / 10)

    return answer


def resets(request: BaseHTTPRequestHandler) -> None:
    request.connection.shutdown(socket.SHUT_RDWR)
    request.close_connection = True


def html(status: int, page: bytes = b"<html><body>Please <b>log in<br></body></html>") -> Answer:
    return lambda request: sent(request, status, page, Content_Type="text/html; charset=utf-8")


def circle(request: BaseHTTPRequestHandler) -> None:
    sent(request, 301, b"", Location=f"http://{request.headers['Host']}{request.path}", x_amz_bucket_region="eu-west-1")


KINDS: dict[str, tuple[Answer, str]] = {
    "accepts and never answers": (
        never,
        r"http://127\.0\.0\.1:\d+ did not answer completely within 0\.5 s; check the endpoint",
    ),
    "drips headers": (dripping(b"HTTP/1.1 200 OK\r\nX-Long: "), "did not answer completely within"),
    "drips a body": (
        dripping(b"HTTP/1.1 200 OK\r\nETag: 1\r\nContent-Length: 900\r\n\r\n"),
        r"did not answer completely|answers too slowly: 0 bytes in \d s, but after 0\.5 s at least 131,072 bytes per second",
    ),
    "resets": (resets, "Connection was closed|Connection aborted|did not answer"),
    "redirects in a circle": (circle, "redirects"),
    "a page": (html(200), r"gave an answer that (is not S3's|cannot be read)|this may be a proxy or another service"),
    "a well-formed page": (html(200, b"<html><body>Hello</body></html>"), r"gave an answer that is not S3's"),
    "an empty 200": (lambda request: sent(request, 200), r"gave an answer that is not S3's"),
    "JSON": (lambda request: sent(request, 200, b'{"ok": true}', Content_Type="text/json"), "another service"),
    "a page that says not found": (html(404), r"404: Not Found: the server gave an answer that is not S3's"),
    "a well-formed page that says not found": (html(404, b"<html/>"), r"the server gave an answer that is not S3's"),
    "not found without a word": (lambda request: sent(request, 404), r"404: Not Found: the server gave an answer"),
    "breaks off and waits": (
        lambda request: (sent(request, 200, b"<?xml version='1.0'?>", ETag="1", length=900), never(request)),
        "did not answer completely|answers too slowly",
    ),
    "always 503": (error(503, "SlowDown"), "SlowDown: No.*the service is overloaded or down"),
    "always 502 by a proxy": (html(502), "502: Bad Gateway; the service is overloaded or down"),
    "no such bucket": (error(404, "NoSuchBucket"), "NoSuchBucket: No.*create the bucket, or correct its name"),
    "denied": (error(403, "AccessDenied"), "AccessDenied: No.*allow these credentials s3:GetObject"),
    "expired": (error(400, "ExpiredToken"), "ExpiredToken: No.*renew the temporary credentials"),
    "unknown key id": (error(403, "InvalidAccessKeyId"), "InvalidAccessKeyId: No.*correct AWS_ACCESS_KEY_ID"),
    "clock skew": (
        error(403, "RequestTimeTooSkewed"),
        "set this machine's clock, which says .*GMT; the server's says .*GMT",
    ),
    "another region": (error(400, "AuthorizationHeaderMalformed"), "set AWS_DEFAULT_REGION"),
    "an unknown code": (error(418, "Teapot", "short and stout " * 10_000), "Teapot: short and stout .{100,300}…"),
}


ENDLESS = [
    KINDS[kind][0] for kind in ("accepts and never answers", "drips headers", "drips a body", "breaks off and waits")
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_bad_server_ends_in_time_with_its_own_message(bad, kind):
    answer, words = KINDS[kind]
    bad.answers(answer)
    is_endless = answer in ENDLESS
    failures: dict[str, BaseException] = {}

    def fail(name: str) -> None:
        started = time.monotonic()
        try:
            failures[name] = AssertionError(f"returned {OPERATIONS[name](bad.hasty if is_endless else bad.calm)!r}")
        except BaseException as caught:  # noqa: BLE001  # compared below
            failures[name] = caught
        if time.monotonic() - started > ENDS_S:
            failures[name] = AssertionError(f"took {time.monotonic() - started:.1f} s")

    threads = [threading.Thread(target=fail, args=[name]) for name in OPERATIONS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, failure in failures.items():
        assert isinstance(failure, OutageError if is_endless else StoreError), f"{name}: {failure!r}"
        assert "s3://bucket/prefix: '" in str(failure), name
        assert re.search(words, str(failure)), f"{name}: {failure}"
        assert "never-print-this" not in str(failure)
        assert len(str(failure)) < 1000


def test_an_object_that_breaks_off_is_an_outage_and_never_a_shorter_object(bad):
    def answer(request: BaseHTTPRequestHandler) -> None:
        sent(request, 200, b"0123456789", length=100, ETag="1")
        resets(request)

    assert "the answer broke off (10 read, but total bytes expected is 100.)" in bad.refusal("get", answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda request: sent(request, 200, page(["prefix/v2/a"], "again")), "lists the same objects again and again"),
        (lambda request: sent(request, 200, page(["prefix/v2/a"], new())), "lists the same objects again and again"),
        (lambda request: sent(request, 200, page([], new())), "answers too slowly"),
        (lambda request: sent(request, 200, page(["elsewhere/a"])), "lists keys that do not start with the prefix"),
    ],
    ids=["the same token", "ever new tokens", "ever new tokens without objects", "objects of another prefix"],
)
def test_a_listing_without_end_or_of_something_else_is_refused(bad, answer, words):
    assert words in bad.refusal("list", answer, is_hasty=words == "answers too slowly")


def test_a_listing_of_more_objects_than_any_store_has_is_refused(bad, monkeypatch):
    monkeypatch.setattr("assay.evaluator.storage.s3._MAX_LISTED", 2000)
    words = bad.refusal("list", lambda request: sent(request, 200, page([f"prefix/v2/{new()}"] * 1000, new())))
    assert "lists more than 2,000 objects" in words


def test_a_slow_but_steady_download_outlasts_the_limit(bad):
    content = os.urandom(1_000_000)

    def answer(request: BaseHTTPRequestHandler) -> None:
        sent(request, 200, b"", length=len(content), ETag="1")
        for start in range(0, len(content), 100_000):
            request.wfile.write(content[start : start + 100_000])
            time.sleep(LIMIT_S / 5)

    bad.answers(answer)
    started = time.monotonic()
    assert bad.hasty.get("key").to_pybytes() == content
    assert time.monotonic() - started > LIMIT_S


def test_a_server_that_sends_whole_objects_instead_of_parts_gives_the_right_part(bad):
    bad.answers(lambda request: sent(request, 200, b"abcdefgh", ETag="1"))
    assert bad.calm.get_range("key", 2, 3).to_pybytes() == b"cde"
    assert bad.calm.get_range("key", 9, 3).to_pybytes() == b""
    assert bad.calm.get_end("key", 3).to_pybytes() == b"fgh"


def test_patience_covers_all_attempts_together(bad):
    bad.answers(never)
    started = time.monotonic()
    with pytest.raises(OutageError, match="did not answer completely"):
        RetryingStore(bad.hasty, total_s=2 * LIMIT_S).get("key")
    assert time.monotonic() - started < ENDS_S


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": None}, "Unable to locate credentials; correct AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "Partial credentials found in env.*correct AWS_ACCESS_KEY_ID"),
        ({"AWS_PROFILE": "nobody"}, r"cannot be opened: The config profile \(nobody\) could not be found"),
        ({"AWS_ENDPOINT_URL_S3": "no url"}, "cannot be opened: boto3 gave an answer.*Invalid endpoint: no url"),
        ({"AWS_ENDPOINT_URL_S3": "http://me:never-print-this@127.0.0.1:9"}, "Could not connect"),
    ],
)
def test_missing_or_wrong_settings_are_named(bad, monkeypatch, variables, words):
    for name, value in variables.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=words) as refused:
        S3Store("bucket", "prefix").get("key")
    assert "never-print-this" not in str(refused.value)


@pytest.mark.parametrize(
    ("command", "answer"), [("ls", html(404)), ("verify", lambda request: sent(request, 200, b"{}", ETag="1"))]
)
def test_no_command_takes_another_service_for_an_empty_ledger(bad, command, answer):
    bad.answers(answer)
    outcome = CliRunner().invoke(app, ["ledger", command, "--ledger", "s3://bucket/ledger"])
    assert isinstance(outcome.exception, AssayError), outcome.output
