"""The generator gear's subscriber: a greenlet waits for it, wherever a socket cannot be parked.

TLS in this process, other WSGI servers, tests. Costs a greenlet and a connection of the
server's pool for each stream.
"""

import time

from gevent.event import Event

from tidings.cursor import Cursor
from tidings.topics import Filter
from webapp.access import Grant
from webapp.page import Page
from webapp.subscriber import CloseReason, Subscriber


class WaitingSubscriber(Subscriber):
    """A subscriber that one greenlet waits for."""

    __slots__ = ("_news", "nudged", "opened_at")
    gear = "generator"

    def __init__(
        self, wanted: Filter, position: Cursor, *, until_end: bool = False, grant: Grant | None = None
    ) -> None:
        super().__init__(wanted, position, until_end=until_end, grant=grant)
        self._news = Event()
        self.nudged = False
        self.opened_at = time.monotonic()

    @property
    def open_s(self) -> float:
        """For how many seconds it has been live."""
        return time.monotonic() - self.opened_at

    def deliver(self, page: Page) -> None:  # noqa: ARG002 - it takes from the ring
        """Let `wait` return: there is something to take."""
        self._news.set()

    def nudge(self) -> None:
        """Let `wait` return: a heartbeat is due."""
        self.nudged = True
        self._news.set()

    def close(self, reason: CloseReason) -> None:
        """Have the stream end, for the first *reason* given."""
        super().close(reason)
        self._news.set()

    def wait(self, timeout_s: float) -> None:
        """Wait up to *timeout_s* for news or the end, other greenlets running."""
        self._news.wait(timeout_s)
        self._news.clear()
