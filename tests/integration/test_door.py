"""The door: who comes is taken out of the kernel's queue at once, and served in turn while there is room."""

import errno
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event
from gevent.pool import Pool

from tests.parked_streams import WAIT_S, run_until
from webapp import door
from webapp.door import Door

QUEUE = 4
"""Length of the kernel's queue: one more than that can connect to who accepts none."""
COMERS = 60
ASKING = b"GET / HTTP/1.1\r\n\r\n"


class House:
    """A door with a short queue, whose visitors stay until they are let go."""

    def __init__(self, *, size: int, room: int = 1_000, patience_s: float = WAIT_S) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(QUEUE)
        self.address: tuple[str, int] = listener.getsockname()
        self.room = room
        self.served: list[int] = []
        self.go = Event()
        self.door = Door(
            listener, self._serve, spawn=Pool(size), room=lambda: self.room, patience_s=patience_s
        )
        self.door.start()
        self.comers: list[Any] = []

    def come(self, count: int, saying: bytes = ASKING) -> None:
        """Have *count* connect, no more at once than the queue holds, which some are left in at the end."""
        for first in range(0, count, QUEUE):
            group = [socket.socket() for _ in range(min(QUEUE, count - first))]
            self.comers += group
            gevent.joinall([gevent.spawn(comer.connect, self.address) for comer in group], timeout=WAIT_S)
            for comer in group:
                comer.sendall(saying)

    def accepted(self) -> int:
        """Say how many have been taken out of the kernel's queue."""
        return len(self.served) + len(self.door._waiting) + self.silent  # noqa: SLF001 - no other way to see

    @property
    def silent(self) -> int:
        """How many have been taken in and have not asked."""
        return len(self.door._lobby)  # noqa: SLF001 - no other way to see

    @property
    def listens(self) -> bool:
        """Whether the loop is to tell of others who come."""
        return self.door._watcher is not None  # noqa: SLF001 - no other way to see

    def close(self) -> None:
        """Let everybody go, and close."""
        self.go.set()
        self.door.stop()
        for comer in self.comers:
            comer.close()

    def _serve(self, connected: Any, address: tuple[str, int]) -> None:
        self.served.append(address[1])
        self.go.wait()
        connected.sendall(b"!")


@pytest.fixture
def make() -> Iterator[Callable[..., House]]:
    """Make houses, and close them in the end."""
    made: list[House] = []

    def build(**options: Any) -> House:
        made.append(House(**options))
        return made[-1]

    yield build
    for house in made:
        house.close()


def test_many_are_taken_in_while_few_are_served(make: Callable[..., House]) -> None:
    """The kernel's queue does not fill up behind those who are served, so nobody's SYN is dropped."""
    house = make(size=3)
    house.come(COMERS)
    run_until(lambda: house.accepted() == COMERS)
    assert len(house.served) == 3
    house.go.set()
    run_until(lambda: len(house.served) == COMERS)
    assert len(set(house.served)) == COMERS


def test_no_more_are_taken_than_there_are_descriptors(make: Callable[..., House]) -> None:
    """What is waiting and what is served stay within the room; when there is room again, others come in."""
    house = make(size=3, room=10)
    house.come(10 + QUEUE)
    run_until(lambda: house.accepted() == 10)
    assert len(house.served) == 3
    assert not house.listens  # or the loop would be told of the others again and again
    house.go.set()
    run_until(lambda: len(house.served) == 10 + QUEUE)


def test_who_waits_when_the_door_closes_is_served(make: Callable[..., House]) -> None:
    """A process that stops accepting turns nobody away whom it has accepted."""
    house = make(size=3)
    house.come(QUEUE * 2)
    run_until(lambda: house.accepted() == QUEUE * 2)
    house.door.close()
    house.go.set()
    run_until(lambda: len(house.served) == QUEUE * 2)
    assert all(comer.recv(1) == b"!" for comer in house.comers)


def test_storm_is_shared_with_other_processes(
    make: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process leaves in the queue what others can serve as soon."""
    monkeypatch.setattr(door, "MOST_WAITING", 5)
    house = make(size=2)
    house.come(2 + 5)
    run_until(lambda: house.accepted() == 2 + 5)
    house.come(QUEUE)
    run_until(lambda: not house.listens)
    assert house.accepted() == 2 + 5
    house.go.set()
    run_until(lambda: len(house.served) == 2 + 5 + QUEUE)


def test_connection_that_cannot_be_accepted_keeps_nobody_out(
    make: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of descriptors for a moment: the door says so, and looks again."""
    house = make(size=3)
    failures = [OSError(errno.EMFILE, "Too many open files")]

    def read_or_fail() -> Any:
        if failures:
            raise failures.pop()
        return type(house.door).do_read(house.door)

    monkeypatch.setattr(house.door, "do_read", read_or_fail)
    house.go.set()
    house.come(QUEUE)
    run_until(lambda: len(house.served) == QUEUE)
    assert not failures


def test_who_says_nothing_takes_nobodys_place(make: Callable[..., House]) -> None:
    """More than are served at once may be silent, or in the middle of a word: who asks is served at once."""
    house = make(size=3)
    house.go.set()
    for saying in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"):
        house.come(10, saying)
    run_until(lambda: house.silent == 20)
    house.come(3)
    run_until(lambda: len(house.served) == 3)
    house.comers[15].sendall(b"\r\n")
    run_until(lambda: len(house.served) == 4)
    assert house.served[3] == house.comers[15].getsockname()[1]
    assert house.silent == 19


def test_who_drips_is_served_when_all_is_said(make: Callable[..., House]) -> None:
    """However it is cut; and what is too long to look at is left to who serves."""
    house = make(size=5)
    house.go.set()
    house.come(2, b"")
    for byte in ASKING:
        house.comers[0].sendall(bytes([byte]))
        gevent.idle()
    run_until(lambda: len(house.served) == 1)
    house.comers[1].sendall(b"x" * 9_000)
    run_until(lambda: len(house.served) == 2)
    assert house.silent == 0


def test_who_takes_too_long_is_told_so(make: Callable[..., House]) -> None:
    """A request that was begun is answered by a 408; who has said nothing is let go without a word."""
    house = make(size=3, patience_s=0.2)
    house.come(1, b"")
    house.come(1, b"GET /")
    answers = []
    for comer in house.comers:
        comer.settimeout(WAIT_S)
        answers.append(comer.recv(1_000).partition(b"\r\n")[0])
    assert answers == [b"", b"HTTP/1.1 408 Request Timeout"]
    run_until(lambda: house.silent == 0)
    assert not house.served


def test_who_leaves_the_lobby_is_forgotten(make: Callable[..., House]) -> None:
    """Whether or not they said anything."""
    house = make(size=3)
    house.come(2, b"")
    house.come(2, b"GET")
    run_until(lambda: house.silent == 4)
    for comer in house.comers:
        comer.close()
    run_until(lambda: house.silent == 0)
    assert not house.served


def test_where_descriptors_are_short_the_silent_make_room(
    make: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has been silent for longest goes first; who has just come has a moment to ask."""
    monkeypatch.setattr(door, "GRACE_S", 0.0)
    house = make(size=3, room=10)
    house.go.set()
    house.come(10, b"")
    run_until(lambda: house.silent == 10)
    first = house.comers[0]
    house.come(1)
    run_until(lambda: len(house.served) == 1)
    first.settimeout(WAIT_S)
    assert first.recv(1) == b""
    monkeypatch.setattr(door, "GRACE_S", WAIT_S)
    house.come(1, b"")
    run_until(lambda: house.silent == 10)
    house.come(1)
    run_until(lambda: not house.listens)
    assert len(house.served) == 1
