"""A request's connection under gunicorn, for a stream to take away from it.

Takes gunicorn's response and socket, gives a descriptor and the head of the response if that is
still to be sent, once. Afterwards gunicorn goes its normal way with a socket that is detached:
closing that does nothing (PARKING.md, 1).
"""

import socket
import time
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Final

CONNECTION: Final = "tidings.connection"
"""Where in the WSGI environment a function stands that gives the Connection."""
SEND_BUFFER_BYTES: Final = 24_576
"""Makes the kernel hold at most 51 KB for a stuck reader (PARKING.md, 2); 32 KB would make it 68."""
USER_TIMEOUT_S: Final = 8.0
"""Unacknowledged for so long, a connection is dead: finds half-open peers and closed windows."""


class Connection:
    """One connection, from its request to the hand-over. Made before the head of the response is sent."""

    __slots__ = ("_response", "_socket")

    def __init__(self, response: Any, connected: Any) -> None:
        self._response = response
        self._socket = connected
        response.force_close()  # no further request is read from it, and its head says so
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(USER_TIMEOUT_S * 1000))
        connected.settimeout(USER_TIMEOUT_S)  # for the opening, which gunicorn writes

    @property
    def can_be_taken(self) -> bool:
        """Tell whether the body is ours to go on with: started, neither counted nor encoded by anybody."""
        response = self._response
        encoded = any(name.lower() == "content-encoding" for name, _ in response.headers)
        return response.status is not None and response.response_length is None and not encoded

    def take(self) -> tuple[int, bool, bytes]:
        """Give the descriptor, whether its body is chunked, and the head if nothing was sent yet.

        Whoever takes it writes the head before anything else, and closes the descriptor.
        """
        response = self._response
        head = b"" if response.headers_sent else self._head()
        response.headers_sent = True
        chunked: bool = response.chunked
        response.chunked = False  # or gunicorn would write the end of the body
        fd: int = self._socket.detach()
        return fd, chunked, head

    def _head(self) -> bytes:
        """Write the head as gunicorn does, which would format the date anew for each."""
        response = self._response
        major, minor = response.req.version
        own = [("Server", response.version), ("Date", _date(int(time.time()))), ("Connection", "close")]
        if response.chunked:
            own.append(("Transfer-Encoding", "chunked"))
        lines = [f"{name}: {value}\r\n" for name, value in (*own, *response.headers)]
        return f"HTTP/{major}.{minor} {response.status}\r\n{''.join(lines)}\r\n".encode("latin-1")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
