"""A way between a client and a service that speak differently: passes each connection on, byte by byte.

Takes connections on a port of this machine, gives their bytes to a connection that the test makes (TLS, a
unix socket) and back, so that the same plain client reaches every kind of listener; or the other way round,
so that a client that speaks TLS reaches a plain service.
"""

import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.listener import Listener


class Relay(Listener):
    """One way; leave the ``with`` to stop it."""

    def __init__(
        self,
        connect: Callable[[], socket.socket],
        receive: Callable[[socket.socket], socket.socket] = lambda near: near,
    ) -> None:
        """Describe a relay: *receive* makes of what was accepted the socket to read from."""
        super().__init__()
        self._connect = connect
        self._receive = receive
        self.url = f"http://127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Pass on what either side says, until one of them ends."""
        with client, suppress(OSError), self._receive(client) as near, self._connect() as far:
            while True:
                for source in _readable(near, far):
                    piece = _received(source)
                    if piece == b"":
                        return
                    if piece is not None:
                        (far if source is near else near).sendall(piece)


def _received(source: socket.socket) -> bytes | None:
    """Give what has come, or None if that is less than TLS can decipher."""
    source.settimeout(0)
    try:
        return source.recv(65_536)
    except ssl.SSLWantReadError:
        return None
    finally:
        source.settimeout(None)


def _readable(*sockets: socket.socket) -> list[Any]:
    deciphered = [each for each in sockets if isinstance(each, ssl.SSLSocket) and each.pending()]
    return deciphered or select.select(sockets, [], [])[0]
