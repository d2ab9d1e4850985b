"""A proxy in front of an S3 server: it records when units are published, and disturbs requests for given periods."""

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

SCORES_FILE = re.compile(r"/data/scores/[^/]+/([^/]+)/u(\d+)\.parquet$")

DISTURBANCES = {
    "s3-errors": ("refuse", "pass"),
    "s3-cuts": ("cut", "cut after", "pass", "pass"),
    "s3-delays": ("delay",),
    "s3-outage": ("cut",),
}
"""The actions that each kind of disturbance draws from, one per request.

`refuse` answers 503; `cut` closes the connection; `cut after` does so only after the server has acted on the request.
"""

_LONGEST_DELAY_S = 2.0
_UPSTREAM_TIMEOUT_S = 60.0
_SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@dataclass
class Disturbance:
    """A period in which requests are disturbed.

    Attributes:
        actions: The actions that may happen to a request, with equal probability.
        until: When it ends, in Unix time.
        generator: Draws the actions.
        num_requests: Number of requests that were disturbed.
        units: The units for which a request to publish was disturbed.
    """

    actions: tuple[str, ...]
    until: float
    generator: random.Random
    num_requests: int = 0
    units: set[Unit] = field(default_factory=set)


class FaultyProxy(ThreadingHTTPServer):
    """Forwards requests, with one thread per connection, and disturbs them while a disturbance lasts."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str) -> None:
        """Listens on a free loopback port, in front of the server at this URL."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream.removeprefix("http://")
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self.published: dict[Unit, float] = {}
        """When each unit was stored, in Unix time."""
        self._disturbance: Disturbance | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints nothing: clients that are killed leave broken connections."""

    def begin(self) -> None:
        """Resets everything for a new run: no published units, no disturbance."""
        self.published, self._disturbance = {}, None

    def disturb(self, kind: str, *, length_s: float, seed: int) -> Disturbance:
        """Begins one of `DISTURBANCES`; it ends by itself after `length_s` seconds."""
        self._disturbance = Disturbance(DISTURBANCES[kind], time.time() + length_s, random.Random(seed))
        return self._disturbance

    def action(self, unit: Unit | None) -> str:
        """Draws the action for a request; `unit` is the unit that the request publishes, if any."""
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
    """The requests of one client connection."""

    server: FaultyProxy  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise the second packet of each response waits for the client

    def forward(self) -> None:
        """Forwards a request and its response, unless the current disturbance prevents it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        unit = _unit(self.path) if self.command == "PUT" else None
        action = self.server.action(unit)
        if action == "cut":
            self._cut()
            return
        if action == "refuse":
            self._send(503, [("Content-Type", "application/xml"), ("Content-Length", str(len(_SLOW_DOWN)))], _SLOW_DOWN)
            return
        if action == "delay":
            time.sleep(random.uniform(0, _LONGEST_DELAY_S))
        status, headers, content = self._response(body)
        if unit is not None and status == 200:
            self.server.published[unit] = time.time()
        if action == "cut after":
            self._cut()
            return
        self._send(status, headers, content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = forward

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
        """Prints nothing."""

    def _response(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Sends the request with its signed headers unchanged; returns the server's status, headers and body."""
        connection = http.client.HTTPConnection(self.server.upstream, timeout=_UPSTREAM_TIMEOUT_S)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        own = {"connection", "transfer-encoding"} | (set() if self.command == "HEAD" else {"content-length"})
        headers = [(name, value) for name, value in response.headers.items() if name.lower() not in own]
        if self.command != "HEAD":
            headers.append(("Content-Length", str(len(content))))
        return response.status, headers, content

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
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
    match = SCORES_FILE.search(urllib.parse.unquote(path.partition("?")[0]))
    return (match[1], int(match[2])) if match else None
