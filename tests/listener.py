"""What the tests' proxies have in common: a port of this machine, and a thread for each client.

Takes connections, gives each to `serve`, in a thread of its own. Knows nothing of what is said.
"""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Listener:
    """One port, from its making on; leave the ``with`` to stop it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def serve(self, client: socket.socket) -> None:
        """Serve one *client*, and close it."""
        raise NotImplementedError

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()
