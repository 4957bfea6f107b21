"""What the streams of all web processes of this host wait for: asked by an operator, told by each process.

Beside the flow: looks at the subscribers of the hub when anybody wants to know, and writes that on this
process' sheet; reads the sheets of all. Nobody has asked: it costs the looking whether. Asks Redis nothing.
"""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import gevent
from msgspec import Struct, msgpack

from tidings.topics import Filter
from webapp.pace import in_strides
from webapp.sheets import SHEET_BYTES
from webapp.slots import ALIVE, Slots
from webapp.subscriber import Subscriber

if TYPE_CHECKING:
    from webapp.service import Service

LOOK_S: Final = 0.25
"""Between two looks whether anybody has asked."""
ANSWER_S: Final = 2.0
"""How long the other processes are waited for: one that has not answered by then hangs, and that is said."""
MANY_EVENTS: Final = 500
"""Counting what waits costs some 0.2 ms a thousand: a stream with more gets a stride of its own. Guessed."""
PAUSE_S: Final = 0.000_1
"""Above 0, so that the event loop turns (see `webapp.pace`)."""
_POLL_S: Final = 0.02

logger = logging.getLogger(__name__)


class Held(Struct, array_like=True, frozen=True):
    """One stream, as its process sees it; *waiting_bytes* before conflation, *topics* after narrowing."""

    gear: str
    topics: tuple[str, ...]
    types: tuple[str, ...]
    kinds: tuple[str, ...]
    subject: str
    open_s: float
    position: str
    waiting_events: int
    waiting_bytes: int
    stuck_s: float

    @classmethod
    def of(cls, subscriber: Subscriber, waiting: tuple[int, int]) -> "Held":
        """Describe a stream."""
        wanted, grant = subscriber.wanted, subscriber.grant
        return cls(
            subscriber.gear, wanted.topics, tuple(sorted(wanted.types or ())),
            tuple(sorted(wanted.kinds or ())), grant.subject if grant else "", subscriber.open_s,
            subscriber.position.wire, *waiting, subscriber.stuck_s,
        )  # fmt: skip

    def hears(self, topic: str) -> bool:
        """Tell whether what is on *topic* is for this stream."""
        return Filter(self.topics).covers((topic,))


class Share(Struct, array_like=True, frozen=True):
    """What one process says of itself, and its streams, the furthest behind first, if there is room for all.

    *answered* is false for one that lives and did not answer in time; then only *pid* is known.
    """

    pid: int
    answered: bool = False
    streams: int = 0
    position: str = ""
    degraded: str = ""
    draining: bool = False
    held: tuple[Held, ...] = ()


class Inspection:
    """One per process, started once (`start`), running until the process ends."""

    def __init__(self, here: "Service") -> None:
        self._here = here
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._looked_at = 0.0
        self._is_looking = False
        self.share(Slots(1), 0)

    def share(self, slots: Slots, row: int) -> None:
        """Answer on that row's sheet from now on; until then nobody else hears of this process."""
        self._slots, self._sheets, self._row = slots, slots.sheets, row
        self._sheets.sign(row, os.getpid())

    def start(self) -> None:
        """Start looking whether anybody has asked, unless it was started before."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def ask(self) -> list[Share]:
        """Ask all processes, and give what they say. Waits up to `ANSWER_S`; others run meanwhile."""
        asked_at = self._sheets.ask()
        self.look()
        deadline = time.monotonic() + ANSWER_S
        shares: dict[int, Share] = {}
        while self._misses(shares, asked_at) and time.monotonic() < deadline:
            gevent.sleep(_POLL_S)
        return [shares.get(row) or Share(self._sheets.pid(row)) for row in self._rows()]

    def look(self) -> None:
        """Answer, if anybody has asked since the last time; lets others run in between.

        Who asks while an answer is made has the next one: an older one never follows a newer.
        """
        if self._is_looking:
            return
        self._is_looking = True
        try:
            while self._sheets.asked_at > self._looked_at:
                self._looked_at = now = time.monotonic()
                self._sheets.write(self._row, self._answer(), now)
        finally:
            self._is_looking = False

    def _misses(self, shares: dict[int, Share], asked_at: float) -> bool:
        """Take into *shares* what has been answered; tell whether any process has not."""
        silent = [row for row in self._rows() if row not in shares]
        for row in silent:
            if (body := self._sheets.read(row, asked_at)) is not None:
                shares[row] = msgpack.decode(body, type=Share)
        return any(row not in shares for row in silent)

    def _rows(self) -> Iterator[int]:
        """Give the rows of the processes that live; this one does, whether or not it has said so yet."""
        for row, numbers in enumerate(self._slots):
            if numbers[ALIVE] or row == self._row:
                yield row

    def _answer(self) -> bytes:
        hub, feed = self._here.hub, self._here.feed
        held = sorted(self._held(), key=lambda each: (each.waiting_bytes, each.open_s), reverse=True)
        most = len(held)
        while True:
            share = Share(
                os.getpid(), True, len(held), hub.mark.position.wire if hub.mark else "", feed.degraded or "",  # noqa: FBT003 - one after another
                hub.draining, tuple(held[:most]),
            )  # fmt: skip
            body = msgpack.encode(share)
            if len(body) <= SHEET_BYTES:
                return body
            most = most * 3 // 4

    def _held(self) -> Iterator[Held]:
        for group in in_strides(list(self._here.hub)):
            yield from self._those_of(group)

    def _those_of(self, group: Iterable[Subscriber]) -> Iterator[Held]:
        for subscriber in group:
            waiting = subscriber.waiting(self._here.hub.ring)
            yield Held.of(subscriber, waiting)
            if waiting[0] > MANY_EVENTS:
                gevent.sleep(PAUSE_S)

    def _run(self) -> None:
        while True:
            gevent.sleep(LOOK_S)
            try:
                self.look()
            except Exception:
                # The top of a supervised loop: who asks would be told that this process hangs.
                logger.exception("describing the streams failed and goes on")
