"""A way between a client and a service that speak differently: passes each connection on, byte by byte.

Takes connections on a port of this machine, gives their bytes to a connection that the test makes (TLS, a
unix socket) and back, so that the same plain client reaches every kind of listener; or the other way round,
so that a client that speaks TLS reaches a plain service.
"""

import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self


class Relay:
    """One listener; leave the ``with`` to stop it. A thread for each connection, which ends with it."""

    def __init__(
        self,
        connect: Callable[[], socket.socket],
        receive: Callable[[socket.socket], socket.socket] = lambda near: near,
    ) -> None:
        """Describe a relay: *receive* makes of what was accepted the socket to read from."""
        self._connect = connect
        self._receive = receive
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(near,), daemon=True).start()

    def _pass_on(self, accepted: socket.socket) -> None:
        with accepted, suppress(OSError), self._receive(accepted) as near, self._connect() as far:
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
