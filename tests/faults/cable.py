"""A cable between a client and a server that a test can cut: a TCP relay that keeps, loses or swallows bytes.

Takes connections on a port of this machine and gives their bytes to a connection that the test makes. While a
direction is cut, its bytes stay where they are, as on a line whose packets are lost and sent again: nobody is
told, no FIN, no RST. What it cannot show is a SYN without an answer: the kernel accepts for it.
"""

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Flag, auto
from types import TracebackType
from typing import Final, Self

POLL_S: Final = 0.02
PIECE_BYTES: Final = 65_536
STOP_S: Final = 5.0


class Way(Flag):
    """A direction: ``UP`` from the client to the server, ``DOWN`` back."""

    UP = auto()
    DOWN = auto()
    BOTH = UP | DOWN


class Cable:
    """One listener, and a thread for each connection; leave the ``with`` to end them all."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._cut = Way(0)
        self._generation = 0
        self._word = b""
        self._to_swallow = 0
        self._stopped = False
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.swallowed = 0
        """How many replies were swallowed."""
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(STOP_S)

    def cut(self, way: Way = Way.BOTH, *, forget: bool = False) -> None:
        """Let nothing through in this *way*; what is sent waits.

        *forget*: the connections that there are stay dead for ever, and untold, as behind a firewall that
        has lost its table.
        """
        if forget:
            self._generation += 1
        self._cut = way

    def mend(self) -> None:
        """Let everything through again."""
        self._cut = Way(0)

    def swallow_replies(self, word: bytes, count: int) -> None:
        """Let the next *count* requests with *word* be executed, swallow their replies, and cut them off."""
        self._word, self._to_swallow, self.swallowed = word, count, 0

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                near, _ = self._listener.accept()
                thread = threading.Thread(target=self._pass_on, args=(near,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, near: socket.socket) -> None:
        generation = self._generation
        with near, suppress(OSError), self._connect() as far:
            doomed = False
            while not self._stopped:
                ends = self._open_ends(near, far) if generation == self._generation else []
                for source in select.select(ends, [], [], POLL_S)[0]:
                    piece = source.recv(PIECE_BYTES)
                    if doomed and source is far:
                        self.swallowed += 1
                        return
                    if not piece:
                        return
                    doomed |= source is near and self._takes(piece)
                    (far if source is near else near).sendall(piece)

    def _open_ends(self, near: socket.socket, far: socket.socket) -> list[socket.socket]:
        """Give the ends that may be read from now."""
        return [end for end, way in ((near, Way.UP), (far, Way.DOWN)) if way not in self._cut]

    def _takes(self, request: bytes) -> bool:
        """Tell whether this request's reply is to be swallowed, and count it."""
        with self._lock:
            if self._to_swallow == 0 or self._word not in request:
                return False
            self._to_swallow -= 1
            return True
