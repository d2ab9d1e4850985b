"""A TCP proxy in its own process that counts the GET requests for shards that reach an S3 server, from any client."""

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class CountingProxy:
    """A running proxy, which prints one line per GET request for a shard.

    Attributes:
        endpoint: The proxy's URL.
        process: The proxy's process.
    """

    endpoint: str
    process: subprocess.Popen
    _seen: int = 0

    def num_gets(self) -> int:
        """The number of GET requests for shards so far."""
        assert self.process.stdout is not None
        time.sleep(0.2)
        while select.select([self.process.stdout], [], [], 0)[0]:
            self._seen += len(os.read(self.process.stdout.fileno(), 1 << 16).split(b"\n")) - 1
        return self._seen


@contextlib.contextmanager
def counting_proxy(upstream: str) -> Iterator[CountingProxy]:
    """Starts a proxy in front of an endpoint; it ends with the context."""
    process = subprocess.Popen([sys.executable, __file__, upstream], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield CountingProxy(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait()


def serve_proxy(upstream: str) -> None:
    """Forwards bytes in both directions until the process is terminated."""
    host, port = upstream.removeprefix("http://").split(":")
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    request = re.compile(rb"^GET /\S*objects/\S*\.arrow HTTP/1\.1\r\n")

    def forward(source: socket.socket, target: socket.socket, *, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 18):
                if counts and request.match(piece):
                    os.write(1, b"get\n")
                target.sendall(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    while True:
        client, _ = listener.accept()
        server = socket.create_connection((host, int(port)))
        for source, target, counts in ((client, server, True), (server, client, False)):
            threading.Thread(target=forward, args=(source, target), kwargs={"counts": counts}, daemon=True).start()


if __name__ == "__main__":
    serve_proxy(sys.argv[1])
