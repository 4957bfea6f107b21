"""A request's connection, for a stream to take away from the server.

Takes a socket, with gunicorn's response or without, gives a descriptor and the head of the response if
that is still to be sent, once. Afterwards the server goes its normal way with a socket that is detached:
closing that does nothing (PARKING.md, 1).
"""

import socket
import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Final

from gunicorn import SERVER

from webapp import frames

CONNECTION: Final = "tidings.connection"
"""Where in the WSGI environment a function stands that gives the Connection."""
SEND_BUFFER_BYTES: Final = 24_576
"""Makes the kernel hold at most 51 KB for a stuck reader (PARKING.md, 2); 32 KB would make it 68."""
USER_TIMEOUT_S: Final = 8.0
"""Unacknowledged for so long, a connection is dead: finds half-open peers and closed windows."""


class Connection:
    """One connection, from its request to the hand-over. Made before the head of the response is sent."""

    __slots__ = ("_socket",)

    def __init__(self, connected: Any) -> None:
        self._socket = connected
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(USER_TIMEOUT_S * 1000))
        connected.settimeout(USER_TIMEOUT_S)  # for the opening, as far as it is written before the hand-over

    @property
    def can_be_taken(self) -> bool:
        """Tell whether the body is ours to go on with."""
        raise NotImplementedError

    def take(self) -> tuple[int, bool, bytes]:
        """Give the descriptor, whether its body is chunked, and the head if nothing was sent yet.

        Whoever takes it writes the head before anything else, and closes the descriptor.
        """
        raise NotImplementedError


class GunicornConnection(Connection):
    """One that gunicorn's *response* writes to."""

    __slots__ = ("_response",)

    def __init__(self, response: Any, connected: Any) -> None:
        super().__init__(connected)
        self._response = response
        response.force_close()  # no further request is read from it, and its head says so

    @property
    def can_be_taken(self) -> bool:
        """Tell whether the body is ours to go on with: started, neither counted nor encoded by anybody."""
        response = self._response
        encoded = any(name.lower() == "content-encoding" for name, _ in response.headers)
        return response.status is not None and response.response_length is None and not encoded

    def take(self) -> tuple[int, bool, bytes]:
        """Give it away (see `Connection.take`)."""
        response = self._response
        head = b"" if response.headers_sent else self._head()
        response.headers_sent = True
        chunked: bool = response.chunked
        response.chunked = False  # or gunicorn would write the end of the body
        fd: int = self._socket.detach()
        return fd, chunked, head

    def _head(self) -> bytes:
        response = self._response
        is_http_1_1 = response.req.version == (1, 1)
        return _written_head(
            response.status, response.headers, is_http_1_1=is_http_1_1, chunked=response.chunked
        )


class PlainConnection(Connection):
    """One that nobody writes to but us: a `200` with *headers*."""

    __slots__ = ("_chunked", "_head", "_taken")

    def __init__(self, connected: Any, headers: list[tuple[str, str]], *, is_http_1_1: bool) -> None:
        super().__init__(connected)
        self._chunked = is_http_1_1
        self._head = _written_head("200 OK", headers, is_http_1_1=is_http_1_1, chunked=is_http_1_1)
        self._taken = False

    @property
    def can_be_taken(self) -> bool:
        """Tell whether the body is ours to go on with: always."""
        return True

    def take(self) -> tuple[int, bool, bytes]:
        """Give it away (see `Connection.take`)."""
        self._taken = True
        head, self._head = self._head, b""
        return self._socket.detach(), self._chunked, head

    def write(self, piece: bytes) -> None:
        """Write a piece of the body, behind the head. Waits for the reader. Raises: OSError."""
        head, self._head = self._head, b""
        self._socket.sendall(head + (frames.chunk(piece) if self._chunked else piece))

    def end(self) -> None:
        """Write the end of the body, unless the connection was taken. Raises: OSError."""
        if not self._taken:
            self._socket.sendall(self._head + (frames.LAST_CHUNK if self._chunked else b""))


def _written_head(
    status: str, headers: Iterable[tuple[str, str]], *, is_http_1_1: bool, chunked: bool
) -> bytes:
    """Write a response's head as gunicorn does, which would format the date anew for each."""
    own = [("Server", SERVER), ("Date", _date(int(time.time()))), ("Connection", "close")]
    if chunked:
        own.append(("Transfer-Encoding", "chunked"))
    lines = [f"{name}: {value}\r\n" for name, value in (*own, *headers)]
    return f"HTTP/1.{int(is_http_1_1)} {status}\r\n{''.join(lines)}\r\n".encode("latin-1")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
