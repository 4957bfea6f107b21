"""A browser in the model: asks for streams with what it has, reads at its own pace, keeps what it was sent.

The opening comes as the server's generator gives it. The rest comes through a kernel socket that is parked
with the hub, or, for a stream of the generator gear, from a greenlet that goes on drawing.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import gevent

from tests.model.web import Web
from tests.parked_streams import LEAST_BUFFER_BYTES, BegunResponse, Browser
from tests.sse import EventStreamParser
from tests.transcript import Connection, Request
from webapp import connection as gear
from webapp.subscriber import CloseReason, Subscriber

if TYPE_CHECKING:
    from tidings.log import Mark

READ_BYTES: Final = 700
"""What a slow reader takes at a time: some two events."""


@dataclass(frozen=True)
class Manner:
    """How a client behaves: slowly, with a chunked body, over a socket that can be parked."""

    slow: bool = False
    chunked: bool = True
    parked: bool = True


class Client:
    """One browser. Its transcripts are in the world's list, one per request."""

    def __init__(self, manner: Manner = Manner()) -> None:
        self.manner = manner
        self.cursor = ""
        self.asked = Request()
        self.web: Web | None = None
        self.connection: Connection | None = None
        self._body: Iterator[bytes] | None = None
        self._browser: Browser | None = None
        self._ours: socket.socket | None = None
        self._greenlet: Any = None
        self._subscriber: Subscriber | None = None
        self._fd = -1
        self._asked_at: Mark | None = None

    @property
    def open(self) -> bool:
        """Whether its stream is there, as far as it knows."""
        return self._body is not None or self._browser is not None or self._greenlet is not None

    @property
    def begun(self) -> bool:
        """Whether it has taken the opening of its stream."""
        return self.open and self._body is None

    def ask(self, web: Web, request: Request, *, exact: bool) -> Connection:
        """Ask *web* for a stream, of which nothing is taken yet."""
        self.cut()
        disturbed, self._asked_at = web.party.disturbed, web.hub.mark
        self.web, self.asked, self.cursor = web, request, request.cursor
        connect = self._connect if self.manner.parked else None
        status, body = web.request(_path(request), _query(request), request.cursor, connect)
        self.connection = Connection(request, status)
        self.connection.exact = exact and web.party.disturbed == disturbed
        # A greenlet takes what has come since it ran last, so what comes at one look waits for it.
        self.connection.slow = self.manner.slow or not self.manner.parked
        if status == 200:
            self._body = body
        else:
            _close(body)
        return self.connection

    def begin(self) -> None:
        """Take the opening; the stream is live then, or over."""
        if self._body is None:
            return
        if not self.manner.parked:
            body, self._body = self._body, None
            self._greenlet = gevent.spawn(self._draw, body)
            return
        parser = EventStreamParser()
        for piece in self._body:
            self._take(parser.feed(piece))
        body, self._body = self._body, None
        _close(body)
        if self._browser is None or self._ours is None or self._ours.fileno() >= 0:
            frames = self.connection.frames if self.connection else []
            self._end(finished=bool(frames) and frames[-1].event == "heartbeat")
            return
        self._browser.parser = parser
        # What came since it asked has waited for it as for a slow reader.
        if self.web is not None and self.web.hub.mark != self._asked_at and self.connection is not None:
            self.connection.slow = True
        if self.web is not None:
            self._subscriber = self.web.parked_at(self._fd)

    def read(self, most_bytes: int = 65_536) -> bool:
        """Take what has come, up to *most_bytes*; tell whether there was anything."""
        if self._body is not None or self._browser is None or self._greenlet is not None:
            return False
        before = len(self._browser.messages)
        there = self._browser.read(most_bytes)
        self._take(self._browser.messages[before:])
        if self._browser.over:
            closed = self._subscriber is not None and self._subscriber.closed is CloseReason.FINISHED
            self._end(finished=closed)
        return there

    def lose_opening(self, web: Web) -> None:
        """See the process go that was about to send the opening."""
        if self.web is web and self._body is not None:
            self.cut()

    def cut(self) -> None:
        """Go away, whatever is still to come."""
        if self._body is not None:
            _close(self._body)
        if self._greenlet is not None:
            self._greenlet.kill()
        self._forget()

    def _connect(self) -> gear.Connection:
        self._ours, theirs = socket.socketpair()
        self._fd = self._ours.fileno()
        made = gear.GunicornConnection(BegunResponse(chunked=self.manner.chunked), self._ours)
        if self.manner.slow:
            self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LEAST_BUFFER_BYTES)
        self._ours.settimeout(0)
        self._browser = Browser(theirs, chunked=self.manner.chunked)
        return made

    def _draw(self, body: Iterator[bytes]) -> None:
        """Draw a stream of the generator gear, in a greenlet, until it ends."""
        parser = EventStreamParser()
        try:
            for piece in body:
                self._take(parser.feed(piece))
        finally:
            _close(body)
        self._greenlet = None
        self._forget()

    def _take(self, messages: Any) -> None:
        assert self.connection is not None
        self.connection.take(messages)
        self.cursor = self.connection.cursor or self.cursor

    def _end(self, *, finished: bool) -> None:
        assert self.connection is not None
        self.connection.finished = finished
        self._forget()

    def _forget(self) -> None:
        for ours in (self._ours, self._browser.connection if self._browser else None):
            if ours is not None:
                with suppress(OSError):
                    ours.close()
        self._body = self._browser = self._ours = self._greenlet = self._subscriber = None


def _close(body: Any) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _path(request: Request) -> str:
    return f"/api/events/operations/{request.own}" if request.own else "/api/events/stream"


def _query(request: Request) -> str:
    asked = {"history": request.history, "types": ",".join(sorted(request.types))}
    asked["kinds"] = ",".join(sorted(request.kinds))
    if not request.own and request.topics != ("*",):
        asked["topics"] = ",".join(request.topics)
    return urlencode({name: words for name, words in asked.items() if words})
