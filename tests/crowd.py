"""Many browsers in one thread: thousands of ``EventSource``s for the fault tests, and all that each was told.

Each connects, parses with the tests' own parser, and comes back as the HTML standard asks: after the time it
was last told, with the id it last had, for ever, until it is told 204. Some read slowly, or not at all. It
does not judge: that is `tests.judge`.
"""

import errno
import heapq
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from tests.http_body import ChunkedBody, SizedBody, UnframedBody, body_of
from tests.http_stream import BodyEnd
from tests.sse import EventStreamParser, Message
from tidings.topics import Filter

EVERYTHING: Final = Filter.of(())
PER_ADDRESS: Final = 8_000
"""Connections from one address of ours: past some 12,000 the kernel searches long for a free port."""
RETRY_MS: Final = 1_000
"""What a browser waits that was told nothing yet. Guessed: browsers differ, 1 to 5 s."""
CONNECT_S: Final = 30.0
"""A connection without an answer is given up, and tried again."""
_IP_BIND_ADDRESS_NO_PORT: Final = 24  # ip(7)
_READ_BYTES: Final = 65_536
_SLOW_BYTES: Final = 2_048
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # socket(7): then close() sends RST


@dataclass(slots=True)
class Life:
    """One connection of a browser: what it asked with, all it was told, how it ended. Times are monotonic."""

    cursor: str
    began_at: float
    opened_at: float = 0.0
    """When the head of the response was there; 0 if it never was."""
    status: int = 0
    messages: list[Message] = field(default_factory=list)
    retries: int = 0
    """How often it was told when to come back."""
    end: BodyEnd = BodyEnd.OPEN
    ended_at: float = 0.0


class Browser:
    """One browser of a crowd: read it from anywhere, only the crowd's thread changes it."""

    __slots__ = (
        "_body", "_head", "_parser", "buffer_bytes", "connection", "done", "last_event_id", "lives", "number",
        "opened", "path", "pause_s", "refused", "retry_ms", "wanted",
    )  # fmt: skip

    def __init__(self, number: int, path: str, wanted: Filter, pause_s: float, buffer_bytes: int) -> None:
        self.number = number
        self.path = path
        self.wanted = wanted
        self.pause_s = pause_s
        self.buffer_bytes = buffer_bytes
        self.lives: list[Life] = []
        self.last_event_id = ""
        self.retry_ms = RETRY_MS
        self.connection: socket.socket | None = None
        self.opened = False
        """The opening of the present connection is complete: its first heartbeat has come."""
        self.done = False
        """It will not come back: it was told not to, or has left."""
        self.refused = 0
        """How many times nobody answered."""
        self._head = b""
        self._body: ChunkedBody | SizedBody | UnframedBody | None = None
        self._parser = EventStreamParser()

    @property
    def life(self) -> Life:
        """The latest connection."""
        return self.lives[-1]

    @property
    def request(self) -> bytes:
        """What it sends: with the id that it has, if it has one."""
        cursor = f"Last-Event-ID: {self.last_event_id}\r\n" if self.last_event_id else ""
        head = f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream"
        return f"{head}\r\n{cursor}\r\n".encode()

    def begin(self, connection: socket.socket) -> None:
        """Take a new connection."""
        self.connection = connection
        self.opened = False
        self.lives.append(Life(self.last_event_id, time.monotonic()))
        self._head, self._body = b"", None
        self._parser = EventStreamParser(self.last_event_id)

    def take(self, piece: bytes, known: dict[Message, Message]) -> None:
        """Take the next bytes of the connection. Raises: ValueError if they are not HTTP."""
        life = self.life
        if self._body is None:
            self._head += piece
            head, end, piece = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            life.status, self._body = _read_head(head)
            life.opened_at = time.monotonic()
        life.retries += piece.count(b"retry: ")
        for message in self._parser.feed(self._body.feed(piece)):
            life.messages.append(known.setdefault(message, message))
            self.opened |= message.type == "heartbeat"
        self.last_event_id = self._parser.last_event_id
        self.retry_ms = self._parser.retry_ms or self.retry_ms
        if self._body.complete:
            life.end = BodyEnd.COMPLETE

    def end(self, how: BodyEnd) -> None:
        """Have the present connection be over."""
        life = self.life
        life.end = how if life.end is BodyEnd.OPEN else life.end
        life.ended_at = time.monotonic()
        self.opened = False
        self.connection = None
        self.done |= life.status not in {0, 200}


class Crowd:
    """Some thousand browsers of the service at *url*; leave the ``with`` to send them all home.

    Its methods may be called from one other thread; they tell the crowd's own thread and return at once, so
    wait for what they bring about. *at_once* bounds how many are connecting at a time; *source* is
    the address that they come from.
    """

    def __init__(self, url: str, *, at_once: int = 256, source: str = "") -> None:
        target = urlsplit(url)
        self._source = source
        self._address: Any = (target.hostname, target.port)
        self.at_once = at_once
        self.browsers: list[Browser] = []
        self.fault: BaseException | None = None
        self._known: dict[Message, Message] = {}
        self._told: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._ear, self._mouth = socket.socketpair()
        self._epoll = select.epoll()
        self._by_fd: dict[int, Browser] = {}
        self._connecting: set[Browser] = set()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._waiting: list[Browser] = []
        self._numbers = count()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._ear.settimeout(0)
        self._epoll.register(self._ear.fileno(), select.EPOLLIN)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tell(self._stop)
        self._thread.join()
        for browser in self.browsers:
            if browser.connection is not None:
                browser.connection.close()
        self._ear.close()
        self._mouth.close()
        self._epoll.close()
        if self.fault is not None and kind is None:
            raise self.fault

    def open(
        self,
        number: int,
        path: str,
        wanted: Filter = EVERYTHING,
        *,
        pause_s: float = 0.0,
        buffer_bytes: int = 0,
    ) -> list[Browser]:
        """Have *number* more browsers open *path*, which asks for *wanted*.

        Each waits *pause_s* after each 2 KB that it reads (0: reads all at once; infinite: never reads
        beyond its opening), with a receive buffer of *buffer_bytes*.
        """
        first = len(self.browsers)
        new = [
            Browser(first + n, path, wanted, pause_s, buffer_bytes or (4_096 if pause_s else 0))
            for n in range(number)
        ]
        self.browsers += new
        self._tell(lambda: self._waiting.extend(new))
        return new

    def cut(self, browsers: Iterable[Browser]) -> None:
        """Reset the connections of *browsers*; they come back at once, with what they have."""
        those = list(browsers)

        def cut() -> None:
            for browser in those:
                self._end(browser, BodyEnd.RESET, back_s=0)

        self._tell(cut)

    def leave(self, browsers: Iterable[Browser], *, abruptly: bool = False) -> None:
        """Have *browsers* leave for good."""
        those = list(browsers)

        def go() -> None:
            for browser in those:
                browser.done = True
                self._end(browser, BodyEnd.RESET if abruptly else BodyEnd.CUT)

        self._tell(go)

    def forget(self) -> None:
        """Forget those who have left, and all that the others were told: for runs that nobody judges."""
        self.browsers = those = self.here

        def forget() -> None:
            self._known.clear()
            for browser in those:
                del browser.lives[:-1]
                for life in browser.lives:
                    life.messages.clear()

        self._tell(forget)

    @property
    def here(self) -> list[Browser]:
        """Those who have not left for good."""
        return [browser for browser in self.browsers if not browser.done]

    def all_open(self) -> bool:
        """Tell whether all who are here have had their opening."""
        self._check()
        return all(browser.opened for browser in self.browsers if not browser.done)

    def all_at(self, event_id: str) -> bool:
        """Tell whether all who are here stand at *event_id*, the last of the log."""
        self._check()
        return all(browser.last_event_id == event_id for browser in self.browsers if not browser.done)

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _tell(self, order: Callable[[], Any]) -> None:
        self._told.put(order)
        self._mouth.send(b"!")

    def _stop(self) -> None:
        self._stopped = True

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._turn()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self.fault = error

    def _turn(self) -> None:
        wait_s = min(max(self._due[0][0] - time.monotonic(), 0), 0.2) if self._due else 0.2
        for fd, events in self._epoll.poll(0 if self._may_connect() else wait_s, 1_024):
            browser = self._by_fd.get(fd)
            if fd == self._ear.fileno():
                self._listen()
            elif browser is not None:
                self._serve(browser, events)
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        self._give_up_on_the_silent(now)
        for _ in range(64):
            if not self._may_connect():
                break
            self._connect(self._waiting.pop())

    def _may_connect(self) -> bool:
        return bool(self._waiting) and len(self._connecting) < self.at_once

    def _listen(self) -> None:
        with suppress(BlockingIOError):
            self._ear.recv(4_096)
        with suppress(Empty):
            while True:
                self._told.get_nowait()()

    def _later(self, delay_s: float, order: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._numbers), order))

    def _give_up_on_the_silent(self, now: float) -> None:
        for browser in [one for one in self._connecting if now - one.life.began_at > CONNECT_S]:
            self._end(browser, BodyEnd.CUT)

    def _connect(self, browser: Browser) -> None:
        if browser.done or browser.connection is not None:
            return
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(0)
        if browser.buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, browser.buffer_bytes)
        connection.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((self._source or f"127.0.0.{2 + browser.number // PER_ADDRESS}", 0))
        browser.begin(connection)
        result = connection.connect_ex(self._address)
        if result not in {0, errno.EINPROGRESS}:
            self._end(browser, BodyEnd.RESET)
            return
        self._by_fd[connection.fileno()] = browser
        self._connecting.add(browser)
        self._epoll.register(connection.fileno(), select.EPOLLOUT)

    def _serve(self, browser: Browser, events: int) -> None:
        connection = browser.connection
        if connection is None:
            return
        try:
            if events & select.EPOLLOUT:
                connection.send(browser.request)
                self._epoll.modify(connection.fileno(), select.EPOLLIN)
                return
            piece = connection.recv(_SLOW_BYTES if browser.pause_s else _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._end(browser, BodyEnd.RESET)
            return
        if not piece:
            self._end(browser, BodyEnd.CUT)
            return
        browser.take(piece, self._known)
        if browser.life.opened_at:
            self._connecting.discard(browser)
        if browser.life.end is BodyEnd.COMPLETE:
            self._end(browser, BodyEnd.COMPLETE)
        elif browser.pause_s and browser.opened:
            self._pause(browser, connection)

    def _pause(self, browser: Browser, connection: socket.socket) -> None:
        """Read no further for a while. What is heard meanwhile is heard late, as by a page that is busy."""
        self._epoll.unregister(connection.fileno())

        def go_on() -> None:
            if browser.connection is connection:
                self._epoll.register(connection.fileno(), select.EPOLLIN)

        if browser.pause_s < float("inf"):
            self._later(browser.pause_s, go_on)

    def _end(self, browser: Browser, how: BodyEnd, back_s: float | None = None) -> None:
        connection = browser.connection
        if connection is None:
            return
        if how is BodyEnd.RESET:
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if self._by_fd.pop(connection.fileno(), None) is not None:
            with suppress(OSError):  # while it pauses it is not there
                self._epoll.unregister(connection.fileno())
        connection.close()
        self._connecting.discard(browser)
        browser.end(how)
        if not browser.life.opened_at and not browser.done:
            browser.refused += 1
            browser.lives.pop()
        if not browser.done:
            self._later(
                browser.retry_ms / 1_000 if back_s is None else back_s, lambda: self._waiting.append(browser)
            )


def _read_head(head: bytes) -> tuple[int, ChunkedBody | SizedBody | UnframedBody]:
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = [line.partition(":") for line in lines]
    headers = {name.lower(): value.strip() for name, _, value in fields}
    status = int(first.split(" ")[1])
    return status, body_of(status, headers)


def peak_second(times: Iterable[float]) -> int:
    """Give the largest number of *times* that lie within one second, wherever it begins."""
    ordered = sorted(times)
    first = peak = 0
    for last, at in enumerate(ordered):
        while at - ordered[first] > 1:
            first += 1
        peak = max(peak, last - first + 1)
    return peak
