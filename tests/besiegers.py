"""Who besieges a service, in a process of its own: connections that say nothing, heads and bodies that drip.

``python -m tests.besiegers PORT --silent 5000 --heads 500 --bodies 500 --rate 500``: opens so many of
each, then connects so often a second: in the place of those that the service has closed, else to leave at
once. Goes on until its standard input ends. Says once a second, as a line of JSON, how many of each there are
and how often it has connected.
"""

import argparse
import errno
import heapq
import json
import select
import socket
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, cycle
from typing import Final

SOURCES: Final = tuple(f"127.0.{n}.2" for n in range(1, 9))
"""Addresses of ours, so that ports do not run out."""
DRIP_S: Final = 0.5
_IP_BIND_ADDRESS_NO_PORT: Final = 24  # ip(7)
_HEAD: Final = b"GET /api/operations HTTP/1.1\r\nHost: localhost\r\nX-Long: "
_BODY: Final = (
    b"POST /api/operations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%b"
    b"Content-Length: 60000\r\n\r\n"
)


@dataclass(eq=False, slots=True)
class Besieger:
    """One connection: what it is for, and what it has to say first."""

    sort: str
    connection: socket.socket
    first: bytes = b""
    is_there: bool = False


class Siege:
    """All of them, in one thread. ``wanted``: how many of each sort."""

    def __init__(self, port: int, wanted: dict[str, int], rate: float, token: str) -> None:
        self._port = port
        self._wanted = wanted
        self._rate = rate
        shown = f"Authorization: Bearer {token}\r\n".encode() if token else b""
        self._first = {"silent": b"", "heads": _HEAD, "bodies": _BODY % shown, "passing": b""}
        self._sources = cycle(SOURCES)
        self._poll = select.epoll()
        self._by_fd: dict[int, Besieger] = {}
        self._dripping: list[tuple[float, int, Besieger]] = []
        self._order = count()
        self._absent: deque[str] = deque()
        self.there: Counter[str] = Counter()
        self.connected: Counter[str] = Counter()

    def run(self) -> None:
        """Go on until the standard input ends."""
        self._poll.register(sys.stdin.fileno(), select.EPOLLHUP | select.EPOLLIN)
        began = told = time.monotonic()
        opened = 0
        for sort, number in self._wanted.items():
            for _ in range(number):
                self._open(sort)
                self._turn(0)
        while True:
            now = time.monotonic()
            while opened < (now - began) * self._rate:
                self._open(self._absent.popleft() if self._absent else "passing")
                opened += 1
            self._drip(now)
            if now - told >= 1:
                told = now
                line = {"there": self.there, "connected": self.connected}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
            if not self._turn(0.002):
                return

    def _open(self, sort: str) -> None:
        connection = socket.socket()
        connection.setblocking(False)  # noqa: FBT003 - its one argument
        connection.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((next(self._sources), 0))
        with suppress(BlockingIOError):
            connection.connect(("127.0.0.1", self._port))
        besieger = Besieger(sort, connection, self._first[sort])
        self._by_fd[connection.fileno()] = besieger
        self._poll.register(connection, select.EPOLLOUT | select.EPOLLIN | select.EPOLLRDHUP)

    def _turn(self, timeout_s: float) -> bool:
        for fd, events in self._poll.poll(timeout_s):
            if fd == sys.stdin.fileno():
                return False
            besieger = self._by_fd[fd]
            if not besieger.is_there and events & select.EPOLLOUT and not events & select.EPOLLERR:
                self._arrive(besieger)
            elif events & ~select.EPOLLOUT and self._has_ended(besieger):
                self._leave(besieger)
        return True

    def _arrive(self, besieger: Besieger) -> None:
        besieger.is_there = True
        self.there[besieger.sort] += 1
        self.connected[besieger.sort] += 1
        if besieger.sort == "passing":
            self._leave(besieger)
            return
        self._poll.modify(besieger.connection, select.EPOLLIN | select.EPOLLRDHUP)
        with suppress(OSError):
            besieger.connection.send(besieger.first)
        if besieger.first:
            self._later(besieger)

    def _has_ended(self, besieger: Besieger) -> bool:
        """Take what the service says; who is slow does not care for it."""
        try:
            return not besieger.connection.recv(65_536)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _leave(self, besieger: Besieger) -> None:
        """Close, and come again in turn if it is one of those that stay."""
        if besieger.is_there:
            self.there[besieger.sort] -= 1
        del self._by_fd[besieger.connection.fileno()]
        besieger.connection.close()
        if besieger.sort != "passing":
            self._absent.append(besieger.sort)

    def _drip(self, now: float) -> None:
        while self._dripping and self._dripping[0][0] <= now:
            besieger = heapq.heappop(self._dripping)[2]
            try:
                besieger.connection.send(b"x")
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.ENOBUFS}:
                    continue
            self._later(besieger)

    def _later(self, besieger: Besieger) -> None:
        heapq.heappush(self._dripping, (time.monotonic() + DRIP_S, next(self._order), besieger))


def main() -> None:
    """Besiege."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    for sort in ("silent", "heads", "bodies"):
        parser.add_argument(f"--{sort}", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--token", default="")
    asked = parser.parse_args()
    wanted = {"silent": asked.silent, "heads": asked.heads, "bodies": asked.bodies}
    Siege(asked.port, wanted, asked.rate, asked.token).run()


if __name__ == "__main__":
    main()
