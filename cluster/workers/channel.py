"""A channel: JSON messages between two processes over a stream socket."""

import json
import socket
import struct
import threading
from contextlib import suppress
from typing import Any

_LENGTH = struct.Struct("<I")
_MOST_BYTES = 1 << 25
"""A longer message is not from a worker of ours: a receipt has a few kilobytes."""


class Channel:
    """One end of a connection. Several threads may send; one may receive.

    The messages are JSON rather than pickles, because unpickling would let a variant's code run in its slot.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Sends a message.

        Raises:
            OSError: The other end is closed.
        """
        content = json.dumps(message).encode()
        with self._lock:
            self._end.sendall(_LENGTH.pack(len(content)) + content)

    def receive(self) -> dict[str, Any] | None:
        """Waits for the next message; None if the other end is closed, or sent what is no message."""
        try:
            length = self._read(_LENGTH.size)
            size_bytes = _LENGTH.unpack(length)[0] if length else 0
            content = self._read(size_bytes) if 0 < size_bytes <= _MOST_BYTES else None
            message = json.loads(content) if content else None
        except (OSError, ValueError, RecursionError):
            return None
        return message if isinstance(message, dict) else None

    def hang_up(self) -> None:
        """Ends the connection, also if other processes hold its other end. What was received can still be read."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes this end; a `receive` in another thread returns."""
        self.hang_up()
        self._end.close()

    def _read(self, num_bytes: int) -> bytes | None:
        content = bytearray()
        while len(content) < num_bytes:
            part = self._end.recv(min(num_bytes - len(content), 1 << 20))
            if not part:
                return None
            content += part
        return bytes(content)
