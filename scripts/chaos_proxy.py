"""A proxy before an S3 server: notes every unit that gets published, and disturbs requests for as long as told."""

import http.client
import random
import re
import socket
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Unit = tuple[str, int]
"""An arm and the index of one of its units."""

SCORES_FILE = re.compile(r"/data/scores/run_id=[^/]+/([^/]+)/u(\d+)\.parquet$")

DISTURBANCES = {
    "s3-errors": ("refuse", "pass"),
    "s3-cuts": ("cut", "cut after", "pass", "pass"),
    "s3-delays": ("delay",),
    "s3-outage": ("cut",),
}
"""What may become of a request. `refuse` answers 503; `cut after` lets the server act, but loses its answer."""

_LONGEST_DELAY_S = 2.0
_UPSTREAM_TIMEOUT_S = 60.0
_SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@dataclass
class Disturbance:
    """Some seconds of trouble.

    Attributes:
        actions: What may become of a request, each as likely as the other.
        until: When it ends, as `time.time()` tells.
        generator: Draws the actions.
        num_requests: Requests that it met.
        units: The units whose publication it met.
    """

    actions: tuple[str, ...]
    until: float
    generator: random.Random
    num_requests: int = 0
    units: set[Unit] = field(default_factory=set)


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on, one thread a connection, unless it is told to disturb them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str) -> None:
        """Listens on a free port of loopback, before the server at this URL."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream.removeprefix("http://")
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self.published: dict[Unit, float] = {}
        """When each unit was stored."""
        self._disturbance: Disturbance | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed leave broken connections: nothing to tell."""

    def begin(self) -> None:
        """A new run: nothing is published, nothing is disturbed."""
        self.published, self._disturbance = {}, None

    def disturb(self, kind: str, *, length_s: float, seed: int) -> Disturbance:
        """Begins one of `DISTURBANCES`; it ends by itself."""
        self._disturbance = Disturbance(DISTURBANCES[kind], time.time() + length_s, random.Random(seed))
        return self._disturbance

    def action(self, unit: Unit | None) -> str:
        """What becomes of a request, which may publish a unit."""
        with self._lock:
            disturbance = self._disturbance
            if disturbance is None or time.time() > disturbance.until:
                return "pass"
            action = disturbance.generator.choice(disturbance.actions)
            if action != "pass":
                disturbance.num_requests += 1
                if unit is not None:
                    disturbance.units.add(unit)
            return action


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    server: FaultyProxy  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the second packet of each answer would wait for the client

    def pass_on(self) -> None:
        """Any request: to the server and back, or into the disturbance of the moment."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        unit = _unit(self.path) if self.command == "PUT" else None
        action = self.server.action(unit)
        if action == "cut":
            self._cut()
            return
        if action == "refuse":
            self._answer(
                503, [("Content-Type", "application/xml"), ("Content-Length", str(len(_SLOW_DOWN)))], _SLOW_DOWN
            )
            return
        if action == "delay":
            time.sleep(random.uniform(0, _LONGEST_DELAY_S))
        status, headers, content = self._asked(body)
        if unit is not None and status == 200:
            self.server.published[unit] = time.time()
        if action == "cut after":
            self._cut()
            return
        self._answer(status, headers, content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = pass_on

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
        """Nothing: the ledger is the log."""

    def _asked(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """The server's status, headers and body; the request is signed, so its headers stay as they are."""
        connection = http.client.HTTPConnection(self.server.upstream, timeout=_UPSTREAM_TIMEOUT_S)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        own = {"connection", "transfer-encoding"} | (set() if self.command == "HEAD" else {"content-length"})
        headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in own]
        if self.command != "HEAD":
            headers.append(("Content-Length", str(len(content))))
        return answer.status, headers, content

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _unit(path: str) -> Unit | None:
    found = SCORES_FILE.search(urllib.parse.unquote(path.partition("?")[0]))
    return (found[1], int(found[2])) if found else None
