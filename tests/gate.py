"""A proxy between a browser and the service: it can refuse, ask for a token, end streams, die silently.

Passes each connection on, byte by byte, and looks only at where a request for a stream begins. Takes orders
from the test at any time.
"""

import select
import socket
from contextlib import suppress

from tests.listener import Listener

STREAM = b"GET /api/events/"
REASONS = {401: "Unauthorized", 403: "Forbidden", 503: "Service Unavailable"}


class Gate(Listener):
    """One gate to the service at *port* of this machine; leave the ``with`` to stop it.

    Streams are answered with ``status`` while it is not 0, and with a 401 unless they bear ``token`` while it
    is not empty. ``asked`` are the heads of all requests for a stream, in order.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}"
        self.status = 0
        self.token = ""
        self.asked: list[str] = []
        self._far_port = port
        self._streams: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()

    @property
    def streams(self) -> int:
        """How many streams are open now."""
        return len(self._streams)

    def cut(self) -> None:
        """End every stream that is open."""
        for each in list(self._streams):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def fall_silent(self) -> None:
        """Pass nothing more of the streams that are open, and do not end them either."""
        self._silent |= self._streams

    def serve(self, client: socket.socket) -> None:
        """Pass on what either side says, until one of them ends."""
        try:
            with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._far_port)) as far:
                while self._pass_on(client, far):
                    pass
        finally:
            self._streams.discard(client)
            self._silent.discard(client)

    def _pass_on(self, near: socket.socket, far: socket.socket) -> bool:
        """Pass on one piece; tell whether there may be more."""
        silent = near in self._silent
        for source in select.select([near] if silent else [near, far], [], [], 0.1)[0]:
            piece = source.recv(65_536)
            if not piece:
                return False
            if near in self._silent:
                continue
            if source is near and piece.startswith(STREAM):
                self._streams.add(near)
                self.asked.append(piece.decode(errors="replace"))
                if status := self._refusal(piece):
                    near.sendall(_answer(status))
                    return False
            (far if source is near else near).sendall(piece)
        return True

    def _refusal(self, request: bytes) -> int:
        if self.status:
            return self.status
        return 401 if self.token and f"Bearer {self.token}\r\n".encode() not in request else 0


def _answer(status: int) -> bytes:
    head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: text/html\r\nContent-Length: 0\r\n"
    return f"{head}Connection: close\r\n\r\n".encode()
