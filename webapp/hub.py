"""Where one process' streams meet the log: routes each live event to the subscribers of its topics.

Takes pages of entries from the feed, keeps them in the ring, delivers them to the subscribers
they are for. Only the hub touches the registry of subscribers. It does not read Redis.
"""

import logging
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import gevent
from gevent.event import Event

from tidings.cursor import Cursor
from tidings.entry import ERA, Entry
from tidings.log import Mark
from tidings.topics import Filter
from webapp import frames
from webapp.access import Grant
from webapp.connection import Connection
from webapp.counts import Counts, said_at_s
from webapp.limits import Limits
from webapp.pace import in_strides
from webapp.page import Page
from webapp.parked import ParkedSubscriber
from webapp.parking import Parking
from webapp.registry import Registry
from webapp.ring import Ring
from webapp.subscriber import CloseReason, Subscriber

SPREAD_STEPS: Final = 50
"""A drain sends streams away in so many groups: at 5 s one each tenth of a second."""
LINGER_S: Final = 3.0
"""A reader that is behind has so long to take the rest of its frame. Guessed: 51 KB at 17 KB/s."""

logger = logging.getLogger(__name__)


class Hub:
    """One per process, for its life. Used by every greenlet of the process."""

    def __init__(self, ring_events: int, heartbeat_s: float, lifetime_s: float = math.inf) -> None:
        self.ring = Ring(ring_events)
        self.counts = Counts()
        self.lifetime_s = lifetime_s
        self._token = ""
        self._finished: Cursor | None = None
        self._registry = Registry()
        self._parking = Parking(
            self.ring,
            heartbeat_s,
            lifetime_s,
            position=lambda: self._finished,
            on_gone=self.leave,
            counts=self.counts,
        )
        self._ready = Event()
        self.max_streams = sys.maxsize
        self.limits = Limits()
        self.is_revoked: Callable[[Grant], bool] = lambda _: False
        self.draining = False
        self.degraded = False

    def __len__(self) -> int:
        return len(self._registry)

    def __iter__(self) -> Iterator[Subscriber]:
        """Give the streams that are open now."""
        return iter(list(self._registry))

    @property
    def closed(self) -> Counter[str]:
        """How many streams have ended, by their reasons."""
        return self.counts.ended

    @property
    def parked(self) -> int:
        """How many of the streams are parked."""
        return len(self._parking)

    @property
    def mark(self) -> Mark | None:
        """The life of the log that we follow and the place up to which we have; None before the first."""
        return Mark(self._token, self.ring.head) if self.ring.head is not None else None

    def wait_until_ready(self, timeout_s: float | None) -> Mark | None:
        """Wait for the feed's first contact with the log; None if it has none in time."""
        self._ready.wait(timeout_s)
        return self.mark

    def join(self, subscriber: Subscriber, opened_at: Mark) -> None:
        """Register a stream that opened when the log stood at *opened_at*."""
        self._add(subscriber)
        refusal = self._refusal(opened_at, subscriber)
        if refusal is not None:
            subscriber.close(refusal)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a stream that has ended; twice does no harm."""
        if subscriber in self._registry:
            self._registry.remove(subscriber)
            self.limits.ended(subscriber.address, subscriber.subject)
            self.closed[subscriber.closed or CloseReason.GONE] += 1

    def park(
        self,
        connection: Connection,
        wanted: Filter,
        position: Cursor,
        opened_at: Mark,
        *,
        until_end: bool,
        unsent: bytes = b"",
        grant: Grant | None = None,
        address: str = "",
    ) -> None:
        """Take a stream's socket over and carry the stream on from *position*. Does not switch greenlets.

        *unsent* is what the stream has to say up to there and gunicorn has not written.
        """
        fd, chunked, head = connection.take()
        subscriber = ParkedSubscriber(
            wanted, position, self._parking, fd, chunked=chunked, until_end=until_end, grant=grant
        )
        subscriber.tail = head + (frames.chunk(unsent) if unsent and chunked else unsent)
        subscriber.address = address
        self._add(subscriber)
        self._parking.park(subscriber)
        refusal = self._refusal(opened_at, subscriber)
        if refusal is None:
            subscriber.catch_up()
        else:
            self._parking.stop_chasing(subscriber)
            subscriber.close(refusal)

    def route(self, entries: Sequence[Entry]) -> None:
        """Keep *entries*, which follow what we have, and deliver them; lets others run in between."""
        before = self.ring.head
        if before is None or not entries:
            return
        for entry in entries:
            if entry.type == ERA:
                self._token = ""  # until `follow`: nothing that opened in the era before may join
                self._close_those_ahead()
            else:
                self.counts.read += 1
            self.ring.push(entry)
        page, said_s = Page(self.ring, before), said_at_s(entries)
        for group in in_strides(self._registry.wanting(entries)):
            already = self.counts.live
            for subscriber in group:
                try:
                    subscriber.deliver(page)
                except Exception:
                    logger.exception("a stream failed and is ended; it takes nothing from the others")
                    subscriber.close(CloseReason.GONE)
                    self.leave(subscriber)
            self.counts.written(self.counts.live - already, said_s)
        # Only now may a heartbeat claim them (PARKING.md, 2: 1,927 heartbeats claimed too early).
        self._finished = entries[-1].cursor

    def follow(self, token: str) -> None:
        """Take note of the era that the log is in now; what we have is linked to it."""
        self._token = token

    def tell(self, *, degraded: bool) -> None:
        """Tell every stream, in a heartbeat, whether what happens now is delayed; lets others run."""
        if degraded == self.degraded:
            return
        self.degraded = self._parking.degraded = degraded
        for group in in_strides(list(self._registry)):
            for subscriber in group:
                subscriber.nudge()

    def start_over(self, mark: Mark) -> None:
        """Go on from *mark*, which does not follow what we have: end every stream, its resume decides."""
        old = list(self._registry)
        self._token = mark.token
        self.ring.restart(mark.position)
        # Nobody beats meanwhile: those still to be closed must not be given an id of the new history.
        self._finished = None
        _close(old, CloseReason.HISTORY)
        self._finished = mark.position
        self._ready.set()

    def end_revoked(self) -> None:
        """End every stream that was granted by what has been revoked since."""
        granted = [(each, each.grant) for each in self._registry if each.grant is not None]
        _close([each for each, grant in granted if self.is_revoked(grant)], CloseReason.REVOKED)

    def drain(self, spread_s: float) -> None:
        """End every stream, spread over *spread_s*, so that they do not all come back at once.

        Waits a little longer for readers that are behind to take the end of their bodies.
        """
        self.draining = True
        leaving = list(self._registry)
        size = len(leaving) // SPREAD_STEPS + 1
        for first in range(0, len(leaving), size):
            _close(leaving[first : first + size], CloseReason.DRAINING)
            gevent.sleep(spread_s / SPREAD_STEPS)
        _close(list(self._registry), CloseReason.DRAINING)
        deadline = time.monotonic() + LINGER_S
        while self.parked and time.monotonic() < deadline:
            gevent.sleep(LINGER_S / SPREAD_STEPS)

    def _add(self, subscriber: Subscriber) -> None:
        self._registry.add(subscriber)
        self.limits.opened(subscriber.address, subscriber.subject)

    def _refusal(self, opened_at: Mark, subscriber: Subscriber) -> CloseReason | None:
        """Say why a stream that opened at *opened_at*, and is counted, may not go live now, if it may not."""
        grant = subscriber.grant
        if grant is not None and self.is_revoked(grant):
            return CloseReason.REVOKED  # while it opened
        if opened_at.token != self._token:
            return CloseReason.HISTORY
        if len(self._registry) > self.max_streams:
            return CloseReason.OVERLOADED  # many may have been let in while none of them was live yet
        if not self.limits.have_room(subscriber.address, subscriber.subject, beyond=1):
            return CloseReason.LIMITED
        return CloseReason.DRAINING if self.draining else None

    def _close_those_ahead(self) -> None:
        """End the streams that saw more of the era that has closed than its successor kept (LOG.md, A12)."""
        head = self.ring.head
        for subscriber in list(self._registry):
            if head is not None and subscriber.position > head:
                subscriber.close(CloseReason.HISTORY)


def _close(subscribers: Sequence[Subscriber], reason: CloseReason) -> None:
    for group in in_strides(subscribers):
        for subscriber in group:
            subscriber.close(reason)
