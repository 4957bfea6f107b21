"""Both ends of parked streams for the tests: our parking or hub on one side, the browser played on the other.

Real kernel sockets and the real event loop, no server, no Redis: a test says each event and reads each byte.
"""

import gc
import math
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import gevent

from tests.http_body import ChunkedBody, UnframedBody
from tests.sse import EventStreamParser, Message
from tidings.cursor import Cursor
from tidings.entry import ERA as ERA_TYPE
from tidings.entry import Entry
from tidings.log import Mark
from tidings.topics import Filter
from webapp.access import Grant
from webapp.connection import GunicornConnection
from webapp.hub import Hub
from webapp.page import Page
from webapp.parked import ParkedSubscriber
from webapp.parking import Parking
from webapp.ring import Ring

ERA: Final = 7
START: Final = Cursor(ERA, 0)
EVERYTHING: Final = Filter.of(())
NEVER_S: Final = 36_000.0
"""A heartbeat that no test lives to see."""
LEAST_BUFFER_BYTES: Final = 2_304
"""The kernel doubles it to the least it allows. Source: SOCK_MIN_SNDBUF, net/sock.h."""
WAIT_S: Final = 60.0

Found = TypeVar("Found")


def at(n: int) -> Cursor:
    """Give the *n*-th place of the log."""
    return Cursor(ERA, n)


def make_entry(
    n: int,
    event_type: str = "status",
    *,
    operation: str = "op",
    kind: str = "import",
    topics: Iterable[str] = (),
    size_bytes: int = 0,
    terminal: bool = False,
) -> Entry:
    """Make the *n*-th event of the log, on its operation's topic and *topics*, its frame of *size_bytes*."""
    end = b',"terminal":true' if terminal else b""
    about = b'{"operationId":"%b","operationType":"%b"%b' % (operation.encode(), kind.encode(), end)
    bare = len(b"event: %b\nid: %b\ndata: %b}\n\n" % (event_type.encode(), at(n).wire.encode(), about))
    padding = size_bytes - bare - len(b',"pad":""')
    data = about + (b',"pad":"%b"' % (b"x" * padding) if padding >= 0 else b"") + b"}"
    return Entry(at(n), event_type, data, (f"operations:{operation}", *topics))


def new_era(previous: Cursor, era: int) -> Entry:
    """Make the first entry of an *era* that continues *previous*."""
    return Entry(Cursor(era, 0), ERA_TYPE, previous=previous)


def run_until(condition: Callable[[], Found], *, timeout_s: float = WAIT_S) -> Found:
    """Run the event loop until *condition* holds and return its value; looked at after each turn of the loop.

    Raises: AssertionError when the time is up.
    """
    hub = gevent.get_hub()
    turn = hub.loop.timer(0)
    with gevent.Timeout(timeout_s, AssertionError(f"{condition} did not come true in {timeout_s} s")):
        while not (found := condition()):
            hub.wait(turn)
    return found


class Browser:
    """The reading end of one parked stream; reads only when told, and never waits."""

    def __init__(self, connection: socket.socket, *, chunked: bool = True) -> None:
        connection.settimeout(0)
        self.connection = connection
        self.served_by = ""
        """What the kernel calls the other end, where that is ours; no other socket is ever called so."""
        self.messages: list[Message] = []
        self.raw = b""
        self.pieces: list[int] = []
        """The sizes of what was read; of each write, where the stream was opened as `telling_writes`."""
        self.over = False
        """The other end has closed."""
        self.body = ChunkedBody() if chunked else UnframedBody()
        self.parser = EventStreamParser()

    def read(self, most_bytes: int = 65_536) -> bool:
        """Read up to *most_bytes* of what is there; tell whether there was anything."""
        try:
            piece = self.connection.recv(most_bytes)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            piece = b""
        if not piece:
            self.over = True
            return False
        self.raw += piece
        self.pieces.append(len(piece))
        self.messages += self.parser.feed(self.body.feed(piece))
        return True

    def read_all(self) -> list[int]:
        """Read all that is there; give the places of the events that have come, heartbeats left out."""
        while self.read():
            pass
        return self.places

    @property
    def places(self) -> list[int]:
        """The places in the log of the events that have come, heartbeats left out."""
        return [_n(message) for message in self.messages if message.type != "heartbeat"]

    @property
    def heartbeats(self) -> list[int]:
        """The places that heartbeats have claimed."""
        return [_n(message) for message in self.messages if message.type == "heartbeat"]


class _Streams:
    """What the two kinds of host share: the browsers, and an event loop that is empty again afterwards."""

    def __init__(self) -> None:
        self.browsers: list[Browser] = []
        self._greenlets: list[Any] = []

    def __enter__(self) -> Self:
        gevent.Greenlet.add_spawn_callback(self._greenlets.append)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        gevent.Greenlet.remove_spawn_callback(self._greenlets.append)
        gevent.killall(self._greenlets)
        for browser in self.browsers:
            browser.connection.close()

    def _adopt(
        self, pair: tuple[socket.socket, socket.socket], send_buffer_bytes: int, *, chunked: bool
    ) -> tuple[socket.socket, Browser]:
        ours, theirs = pair
        ours.settimeout(0)
        if send_buffer_bytes:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        browser = Browser(theirs, chunked=chunked)
        browser.served_by = f"socket:[{os.fstat(ours.fileno()).st_ino}]"
        self.browsers.append(browser)
        return ours, browser


class ParkedStreams(_Streams):
    """A ring and a parking, without hub: a test delivers pages itself and sees what the parking does."""

    def __init__(self, *, ring_events: int = 10_000, heartbeat_s: float = NEVER_S) -> None:
        super().__init__()
        self.ring = Ring(ring_events)
        self.ring.restart(START)
        self.finished = START
        self.gone: list[ParkedSubscriber] = []
        self.parking = Parking(
            self.ring, heartbeat_s, position=lambda: self.finished, on_gone=self.gone.append
        )
        self.subscribers: list[ParkedSubscriber] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        for subscriber in self.subscribers:
            self.parking.drop(subscriber)

    def open(
        self,
        wanted: Filter = EVERYTHING,
        *,
        after: Cursor | None = None,
        send_buffer_bytes: int = 0,
        chunked: bool = True,
        until_end: bool = False,
        telling_writes: bool = False,
        made: type[ParkedSubscriber] = ParkedSubscriber,
    ) -> tuple[ParkedSubscriber, Browser]:
        """Park a stream that stands at *after* (the ring's head) and has caught up."""
        form = socket.SOCK_SEQPACKET if telling_writes else socket.SOCK_STREAM
        pair = socket.socketpair(socket.AF_UNIX, form)
        ours, browser = self._adopt(pair, send_buffer_bytes, chunked=chunked)
        position = after or self.ring.head or START
        subscriber = made(wanted, position, self.parking, ours.detach(), chunked=chunked, until_end=until_end)
        self.subscribers.append(subscriber)
        self.parking.park(subscriber)
        subscriber.catch_up()
        return subscriber, browser

    def page(self, *entries: Entry) -> Page:
        """Keep *entries* in the ring, and give the page that brings them."""
        before = self.ring.head
        assert before is not None
        for entry in entries:
            self.ring.push(entry)
        return Page(self.ring, before)

    def route(self, *entries: Entry) -> None:
        """Keep *entries* and deliver them to every stream, at once."""
        page = self.page(*entries)
        for subscriber in self.subscribers:
            subscriber.deliver(page)
        self.finished = entries[-1].cursor


class HubStreams(_Streams):
    """A hub whose streams are parked the way a view does it."""

    def __init__(
        self, *, ring_events: int = 10_000, heartbeat_s: float = NEVER_S, lifetime_s: float = math.inf
    ) -> None:
        super().__init__()
        self.hub = Hub(ring_events, heartbeat_s, lifetime_s)
        self.mark = Mark("token", START)
        self.hub.start_over(self.mark)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hub.drain(0)
        super().__exit__(kind, error, traceback)

    def open(
        self,
        wanted: Filter = EVERYTHING,
        *,
        after: Cursor | None = None,
        send_buffer_bytes: int = 0,
        chunked: bool = True,
        until_end: bool = False,
        tcp: bool = False,
        grant: Grant | None = None,
    ) -> Browser:
        """Park a stream that stands at *after* (the ring's head)."""
        ours, browser = self._adopt(tcp_pair() if tcp else socket.socketpair(), 0, chunked=chunked)
        connection = GunicornConnection(BegunResponse(chunked=chunked), ours)
        if send_buffer_bytes:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        position = after or self.hub.ring.head or START
        self.hub.park(connection, wanted, position, self.mark, until_end=until_end, grant=grant)
        return browser

    def route(self, *entries: Entry) -> None:
        """Give the hub a page of the feed."""
        self.hub.route(entries)

    @property
    def tick(self) -> int:
        """How far the wheel of heartbeats has turned."""
        return self.hub._parking.tick  # noqa: SLF001 - no other way to see

    def next_n(self) -> int:
        """Give the number of the event that would follow."""
        head = self.hub.ring.head
        assert head is not None
        return head.n + 1


class BegunResponse:
    """What `webapp.connection` asks of gunicorn's response, of one whose head has been sent."""

    def __init__(self, *, chunked: bool = True) -> None:
        self.chunked = chunked
        self.headers: list[tuple[str, str]] = []
        self.headers_sent = True
        self.status = "200 OK"
        self.response_length: int | None = None
        self.must_close = False

    def force_close(self) -> None:
        """Note that the connection ends with this response."""
        self.must_close = True


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Give the two ends of a TCP connection within this machine, the accepted one first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    return ours, theirs


def _n(message: Message) -> int:
    return Cursor.parse(message.last_event_id).n


def still_served(browsers: Iterable[Browser]) -> int:
    """Count those of *browsers* whose other end is still open in this process.

    By name, for what else the process has open other tests and their threads can change.
    """
    gc.collect()
    ends = {browser.served_by for browser in browsers}
    names = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            names.add(str(descriptor.readlink()))
    return len(ends & names)


def close_quietly(connection: socket.socket) -> None:
    """Close a socket whose peer may have gone."""
    with suppress(OSError):
        connection.close()
