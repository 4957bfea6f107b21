"""Where connections come in: all that wait in the kernel's queue at once, then each in its turn.

Who says nothing yet waits in the lobby (`webapp.lobby`). gevent's own server serves some before it takes
more; when ten thousand browsers come back at once, the kernel's queue of 4,096 overflows meanwhile, and
whoever meets it full tries again 1, 2 and 3 s later: with both web processes half idle the last was back
after 3.3 s.
"""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer

from webapp.lobby import Lobby

MOST_WAITING: Final = 2_500
"""More, and one process would take all of a storm: who takes what from the kernel's queue shares it out."""
STRIDE: Final = 25
"""So many are let in before the loop runs and takes what has come meanwhile: some 5 ms of one core."""
PAUSE_S: Final = 0.0001
"""Through a timer, or the loop would not look at its descriptors (PARKING.md, 2)."""
GRACE_S: Final = 1.0
"""Where descriptors are short, who has not asked within this makes room for who comes. Guessed."""
FULL_S: Final = 0.1
"""Between two looks whether there is room again."""

Serve = Callable[[Any, Any], None]

logger = logging.getLogger(__name__)


class Door(StreamServer):
    """One listener's server. *room* says for how many connections there are descriptors.

    *patience_s*: how long the head of a request may take, and a TLS handshake be silent.
    """

    _watcher: Any

    def __init__(
        self,
        listener: Any,
        serve: Serve,
        *,
        spawn: Pool,
        room: Callable[[], int],
        patience_s: float,
        **tls: Any,
    ) -> None:
        super().__init__(listener, spawn=spawn, **tls)
        self._pool = spawn
        self._room = room
        self._patience_s = patience_s
        self._lobby = Lobby(self._admit, patience_s, head=not self.ssl_enabled)
        self._waiting: deque[tuple[Any, Any]] = deque()
        self._usher: gevent.Greenlet[[], None] | None = None
        # A server that is closed forgets what it was given, and who waits is served all the same.
        self._serve = serve
        self._serve_first: Serve = self.wrap_socket_and_handle if self.ssl_enabled else serve

    def handle(self, connected: Any, address: Any) -> None:
        """Serve a connection, behind TLS if there is any."""
        self._serve(connected, address)

    def _do_read(self) -> None:
        """Take what waits in the kernel's queue. Called by the loop; does not switch greenlets."""
        try:
            while len(self._waiting) < MOST_WAITING and self._has_room():
                accepted = self.do_read()
                if accepted is None:
                    break
                if self._free() <= 0:
                    self._lobby.turn_out()
                self._lobby.enter(*accepted)
            else:
                self.stop_accepting()
        except OSError:
            logger.exception("a connection could not be accepted")
            self.stop_accepting()
        if self._watcher is None:
            self._call_usher()

    def _free(self) -> int:
        served = (self._pool.size or 0) - self._pool.free_count()
        return self._room() - served - len(self._waiting) - len(self._lobby)

    def _has_room(self) -> bool:
        return self._free() > 0 or self._lobby.longest_s >= GRACE_S

    def _admit(self, connected: Any, address: Any) -> None:
        """Line up who has asked."""
        connected.settimeout(self._patience_s)
        self._waiting.append((connected, address))
        self._call_usher()

    def _call_usher(self) -> None:
        if self._usher is None:
            self._usher = gevent.spawn(self._usher_in)

    def _usher_in(self) -> None:
        """Have served who waits; where none was taken any more, look after a while whether there is room."""
        try:
            self._let_all_in()
            while self.started and self._watcher is None:
                gevent.sleep(FULL_S)
                if self.started:
                    self.start_accepting()
                self._let_all_in()
        finally:
            self._usher = None

    def _let_all_in(self) -> None:
        count = 0
        while self._waiting:
            self._pool.wait_available()
            self._pool.spawn(_serve_and_close, self._serve_first, *self._waiting.popleft())
            count += 1
            if count % STRIDE == 0:
                gevent.sleep(PAUSE_S)


def _serve_and_close(serve: Serve, connected: Any, address: Any) -> None:
    with closing(connected):
        serve(connected, address)
