"""Where connections wait until their request is there: nothing runs for them, and they take nobody's place.

Between the door and who serves: takes connections that were accepted, gives each on when the head of its
request has come, or closes it when that takes too long. Looks at what has come and reads nothing of it. Five
thousand that say nothing, or a byte at a time, cost a descriptor each and a look at every byte.
"""

import math
import select
import time
from collections.abc import Callable
from contextlib import suppress
from socket import MSG_PEEK
from typing import Any, Final, NamedTuple

import gevent
from gevent import monkey

from webapp.head import MAX_BYTES
from webapp.pace import in_strides

TICK_S: Final = 0.25
"""Between two looks at who has waited for too long."""
TOO_LATE: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""For who has begun a request. Source: RFC 9110, 15.5.9."""
_NEWS: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
"""Edge-triggered: what has been looked at stays there, and is no news."""
_LEFT: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_MOST_EVENTS: Final = 1_024


class _Waiting(NamedTuple):
    connected: Any
    address: Any
    since: float


class Lobby:
    """One listener's. Owns its connections until *serve* is given them; that may not block.

    *patience_s*: how long the head may take. *head*: whether it waits for all of it; else for its first byte,
    as behind TLS, which hides the rest.
    """

    def __init__(self, serve: Callable[[Any, Any], None], patience_s: float, *, head: bool = True) -> None:
        self._serve = serve
        self._patience_s = patience_s
        self._enough = _is_whole if head else bool
        self._there: dict[int, _Waiting] = {}
        self._epoll: Any = None
        self._watcher: Any = None
        self._clock: gevent.Greenlet[[], None] | None = None

    def __len__(self) -> int:
        return len(self._there)

    def enter(self, connected: Any, address: Any) -> None:
        """Give *connected* on at once if its request is there already, else when it is. Never blocks."""
        connected.settimeout(0)
        said = _peek(connected)
        if said is not None and not said:
            connected.close()
        elif said is not None and self._enough(said):
            self._serve(connected, address)
        else:
            self._keep(connected, address)

    @property
    def longest_s(self) -> float:
        """For how long somebody has waited; less than nothing where nobody does."""
        return time.monotonic() - next((waiting.since for waiting in self._there.values()), math.inf)

    def turn_out(self) -> None:
        """Close the connection that has waited longest."""
        self._close(next(iter(self._there)))

    def _keep(self, connected: Any, address: Any) -> None:
        self._start()
        fd = connected.fileno()
        self._there[fd] = _Waiting(connected, address, time.monotonic())
        self._epoll.register(fd, _NEWS)
        if self._clock is None:
            self._clock = gevent.spawn(self._watch_the_clock)

    def _start(self) -> None:
        if self._epoll is None:
            # gevent takes epoll away because it blocks; polled with no time-out, it never does.
            self._epoll = monkey.get_original("select", "epoll")()
            self._watcher = gevent.get_hub().loop.io(self._epoll.fileno(), 1)
            self._watcher.start(self._look)

    def _look(self) -> None:
        """Look at those that have said something. A callback of the event loop, which may not raise."""
        for fd, events in self._epoll.poll(0, _MOST_EVENTS):
            try:
                self._look_at(fd, has_left=bool(events & _LEFT))
            except Exception:  # noqa: BLE001 - gevent stops a watcher for good whose callback raises
                self._close(fd)

    def _look_at(self, fd: int, *, has_left: bool) -> None:
        waiting = self._there.get(fd)
        if waiting is None:
            return
        said = _peek(waiting.connected)
        if said and self._enough(said):
            self._forget(fd)
            self._serve(waiting.connected, waiting.address)
        elif has_left or said == b"":
            self._close(fd)

    def _watch_the_clock(self) -> None:
        while self._there:
            gevent.sleep(TICK_S)
            latest = time.monotonic() - self._patience_s
            late = [one for one in self._there.items() if one[1].since < latest]
            for group in in_strides(late):
                for fd, waiting in group:
                    if self._there.get(fd) is waiting:  # a descriptor may be another's by now
                        self._close(fd, TOO_LATE)
        self._clock = None

    def _forget(self, fd: int) -> _Waiting | None:
        with suppress(OSError):
            self._epoll.unregister(fd)
        return self._there.pop(fd, None)

    def _close(self, fd: int, word: bytes = b"") -> None:
        """Close a connection, with a *word* if it has said something; twice does no harm."""
        waiting = self._forget(fd)
        if waiting is None:
            return
        with suppress(OSError):
            if word and _peek(waiting.connected):
                waiting.connected.send(word)
        with suppress(OSError):
            waiting.connected.close()


def _is_whole(said: bytes) -> bool:
    """Tell whether a head is all there, or longer than we look at: then it is for the server's parser."""
    return b"\r\n\r\n" in said or len(said) >= MAX_BYTES


def _peek(connected: Any) -> bytes | None:
    """Look at what has been said: nothing yet is None, and nothing ever again is empty."""
    try:
        said: bytes = connected.recv(MAX_BYTES, MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError:
        return b""
    return said
