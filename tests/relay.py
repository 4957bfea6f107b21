"""A way to a service that does not listen on plain TCP: passes each connection on, byte by byte.

Takes connections on a port of this machine, gives their bytes to a connection that the test makes (TLS, a
unix socket) and back, so that the same plain client reaches every kind of listener.
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

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

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

    def _pass_on(self, near: socket.socket) -> None:
        with near, suppress(OSError), self._connect() as far:
            far.settimeout(0)
            while True:
                for source in _readable(near, far):
                    with suppress(ssl.SSLWantReadError):
                        piece = source.recv(65_536)
                        if not piece:
                            return
                        (far if source is near else near).sendall(piece)


def _readable(near: socket.socket, far: socket.socket) -> list[Any]:
    if isinstance(far, ssl.SSLSocket) and far.pending():
        return [far]
    return select.select([near, far], [], [])[0]
