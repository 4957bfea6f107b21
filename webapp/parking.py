"""Where sockets are parked: one set of descriptors, one wheel of heartbeats, one look for the stuck.

Takes sockets from streams that have gone live, tells their subscribers when they can be
written, have gone, or have been silent for long. Runs in callbacks of the event loop and one
greenlet; what it calls never blocks.
"""

import _socket
import logging
import math
import random
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import gevent
from gevent import monkey

from tidings.cursor import Cursor
from webapp.counts import Counts
from webapp.pace import in_strides
from webapp.parked import ParkedSubscriber
from webapp.ring import Ring
from webapp.subscriber import CloseReason, draw_lifetime

SLOTS: Final = 60
"""Slots of the heartbeat wheel: one turns a sixtieth of the interval, 0.25 s of 15."""
SILENT_SLOTS: Final = SLOTS - SLOTS // 4
"""A stream that has been silent for so many slots may beat."""
STUCK_S: Final = 8.0
"""A reader that has taken nothing for so long is cut: within the 10 s of DESIGN.md, 5.6."""
_GONE: Final = select.EPOLLIN | select.EPOLLRDHUP
_MOST_EVENTS: Final = 1_024

logger = logging.getLogger(__name__)


class Parking:
    """All parked streams of one process, for its life. Owns their descriptors.

    A stream is ended when it has been open for 80 to 100 % of *lifetime_s*, or shortly before what it was
    granted by is over. *on_gone* is told of each stream that has ended; *position* says what heartbeats may
    claim.
    """

    def __init__(
        self,
        ring: Ring,
        heartbeat_s: float,
        lifetime_s: float = math.inf,
        *,
        position: Callable[[], Cursor | None],
        on_gone: Callable[[ParkedSubscriber], None],
        counts: Counts | None = None,
    ) -> None:
        self.ring = ring
        self.counts = counts or Counts()
        self.tick = 0
        self.degraded = False  # what heartbeats say
        self._tick_s = heartbeat_s / SLOTS
        self._lifetime_s = lifetime_s
        self._position = position
        self._on_gone = on_gone
        self._by_fd: dict[int, ParkedSubscriber] = {}
        self._chasing: set[ParkedSubscriber] = set()
        self._wheel: list[list[ParkedSubscriber]] = [[] for _ in range(SLOTS)]
        self._failures = 0
        self._epoll: Any = None
        self._watcher: Any = None

    def __len__(self) -> int:
        return len(self._by_fd)

    def seconds_since(self, tick: int) -> float:
        """Say how many seconds have passed since *tick*."""
        return (self.tick - tick) * self._tick_s

    def park(self, subscriber: ParkedSubscriber) -> None:
        """Take a stream over: from now on its descriptor is ours. It is chasing until it has caught up."""
        self._start()
        # Heartbeats of streams that came together are spread over the interval.
        subscriber.heard_at = self.tick - random.randrange(SLOTS)  # noqa: S311 - jitter
        subscriber.ends_at = self.tick + draw_lifetime(self._lifetime_s, subscriber.grant) / self._tick_s
        self._by_fd[subscriber.fd] = subscriber
        self._chasing.add(subscriber)
        self._epoll_set().register(subscriber.fd, _GONE)
        self._turn_in(subscriber, (subscriber.heard_at - self.tick) % SLOTS or SLOTS)

    def chase(self, subscriber: ParkedSubscriber, *, progressed: bool) -> None:
        """Have *subscriber* catch up when its socket is writable; one that leaves has no time but this."""
        if not subscriber.chasing or (progressed and not subscriber.leaving):
            subscriber.progressed_at = self.tick
        subscriber.chasing = True
        self._chasing.add(subscriber)
        self._epoll_set().modify(subscriber.fd, _GONE | select.EPOLLOUT)

    def stop_chasing(self, subscriber: ParkedSubscriber) -> None:
        """Let pages reach *subscriber* again: it has all that the ring has for it."""
        subscriber.chasing = False
        self._chasing.discard(subscriber)
        self._epoll_set().modify(subscriber.fd, _GONE)

    def drop(self, subscriber: ParkedSubscriber) -> None:
        """Close a stream's descriptor and forget it; twice does no harm."""
        fd, subscriber.fd = subscriber.fd, -1
        if fd < 0:
            return
        self._by_fd.pop(fd, None)
        self._chasing.discard(subscriber)
        with suppress(OSError):  # whatever it is, we are done with it
            self._epoll_set().unregister(fd)  # before the close: a child's copy would keep it there for ever
        with suppress(OSError):
            _socket.close(fd)  # gevent's os.close would only defer it
        self._on_gone(subscriber)

    def _epoll_set(self) -> Any:
        if self._epoll is None:
            raise RuntimeError("nothing is parked yet")
        return self._epoll

    def _start(self) -> None:
        """Begin to listen and to tick, with the first stream: nothing runs in a process without."""
        if self._epoll is not None:
            return
        # gevent takes epoll away because it blocks; polled with no time-out, it never does.
        self._epoll = monkey.get_original("select", "epoll")()
        self._watcher = gevent.get_hub().loop.io(self._epoll.fileno(), 1)
        self._watcher.start(self._look)
        gevent.spawn(self._turn_for_ever)

    def _look(self) -> None:
        """Serve the descriptors that have something to say. A callback of the event loop.

        gevent stops a watcher for good whose callback raises, so nothing may (PARKING.md, 2).
        """
        for fd, events in self._epoll_set().poll(0, _MOST_EVENTS):
            subscriber = self._by_fd.get(fd)
            try:
                if subscriber is None:
                    self._epoll_set().unregister(fd)
                    continue
                if events & ~select.EPOLLOUT:
                    subscriber.hear()
                if events & select.EPOLLOUT and subscriber.fd >= 0:
                    subscriber.catch_up()
            except Exception:  # noqa: BLE001 - the top of a supervised loop, which may not even log
                self._give_up(subscriber)

    def _turn_for_ever(self) -> None:
        while True:
            gevent.sleep(self._tick_s)
            self.tick += 1
            for group in in_strides(self._due()):
                for subscriber in group:
                    self.attend(subscriber)
            self._cut_the_stuck()
            self._look_after_the_watcher()

    def attend(self, subscriber: ParkedSubscriber) -> None:
        """End a stream that has been open for long enough; have any other say that it lives."""
        position = self._position()
        try:
            if self.tick >= subscriber.ends_at:
                subscriber.close(subscriber.end_of_life())
            elif position is not None:
                subscriber.beat(position)
        except Exception:  # noqa: BLE001 - counted, and said by `_look_after_the_watcher`
            self._give_up(subscriber)

    def _due(self) -> list[ParkedSubscriber]:
        """Turn the wheel one slot; give the streams that have been silent, or open, for long enough.

        Each passes once an interval at least. One that has spoken passes again when it will have been
        silent for all of it, or up to a quarter less: those that spoke together do not beat together.
        """
        slot = self.tick % SLOTS
        passing, self._wheel[slot] = self._wheel[slot], []
        due = []
        for subscriber in passing:
            if subscriber.fd < 0:
                continue
            silent = self.tick - subscriber.heard_at
            rest = SLOTS
            if silent >= SILENT_SLOTS or self.tick >= subscriber.ends_at:
                due.append(subscriber)
            else:
                rest = random.randint(SILENT_SLOTS, SLOTS) - silent  # noqa: S311 - jitter
            self._turn_in(subscriber, rest)
        return due

    def _turn_in(self, subscriber: ParkedSubscriber, rest: int) -> None:
        """Have *subscriber* pass in *rest* slots, or when it ends, if that is sooner."""
        left = subscriber.ends_at - self.tick
        if 0 < left < rest:
            rest = math.ceil(left)
        self._wheel[(self.tick + rest) % SLOTS].append(subscriber)

    def _cut_the_stuck(self) -> None:
        oldest = self.tick - STUCK_S / self._tick_s
        for subscriber in [stuck for stuck in self._chasing if stuck.progressed_at < oldest]:
            try:
                subscriber.lose(CloseReason.STUCK)
            except Exception:  # noqa: BLE001 - counted, and said by `_look_after_the_watcher`
                self._give_up(subscriber)

    def _give_up(self, subscriber: ParkedSubscriber | None) -> None:
        """Count a failure and drop its stream; a drop that fails too has let go of the descriptor."""
        self._failures += 1
        if subscriber is not None:
            with suppress(Exception):
                self.drop(subscriber)

    def _look_after_the_watcher(self) -> None:
        """Say what failed since the last turn; start the watcher again if gevent has stopped it."""
        if self._failures:
            logger.error("%d parked streams were dropped by an error", self._failures)
            self._failures = 0
        if not self._watcher.active:
            logger.error("the watcher of parked streams had stopped, and starts again")
            self._watcher.start(self._look)
