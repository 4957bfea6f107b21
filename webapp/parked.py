"""The parked gear's subscriber: a socket and a place in the log, and nothing that runs.

Takes a page from the hub, writes it to its socket without blocking. What the socket does not
take is the rest of one frame here; all that follows it waits in the ring, and is taken from
there when the socket is writable again.
"""

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.topics import Filter
from webapp import frames
from webapp.access import Grant
from webapp.page import Page
from webapp.ring import Ring
from webapp.subscriber import CloseReason, Subscriber, share

if TYPE_CHECKING:
    from webapp.parking import Parking

REFILL_BYTES: Final = 16_384
"""Frames are joined up to this for a reader that catches up: a third of what its kernel buffer takes."""
MAX_STRAY_BYTES: Final = 4_096
"""A client has nothing to say behind its request; one that goes on is cut."""


class ParkedSubscriber(Subscriber):
    """One parked stream. Owns its descriptor from `Parking.park` on; never blocks, never switches.

    ``tail`` is what is left of a frame that the socket took in part. A stream is *chasing*
    while it has a tail, or has not caught up with the ring: then pages pass it by, and
    `catch_up` reads the ring for it. ``leaving``: all that it still has to be written is the
    end of its body. ``heard_at``, ``progressed_at``, ``opened_at`` and ``ends_at`` are ticks of the parking.
    """

    __slots__ = (
        "chasing",
        "chunked",
        "ends_at",
        "fd",
        "heard_at",
        "leaving",
        "opened_at",
        "parking",
        "progressed_at",
        "stray",
        "tail",
    )
    gear = "parked"

    def __init__(
        self,
        wanted: Filter,
        position: Cursor,
        parking: "Parking",
        fd: int,
        *,
        chunked: bool,
        until_end: bool,
        grant: Grant | None = None,
    ) -> None:
        super().__init__(wanted, position, until_end=until_end, grant=grant)
        self.parking = parking
        self.fd = fd
        self.chunked = chunked
        self.tail = b""
        self.chasing = True
        self.heard_at = self.progressed_at = self.opened_at = parking.tick
        self.ends_at = math.inf
        self.stray = 0
        self.leaving = False

    @property
    def open_s(self) -> float:
        """For how many seconds it has been live, to a tick."""
        return self.parking.seconds_since(self.opened_at)

    @property
    def stuck_s(self) -> float:
        """For how many seconds its reader has taken nothing of what waits, to a tick."""
        return self.parking.seconds_since(self.progressed_at) if self.chasing else 0.0

    def waiting(self, ring: Ring) -> tuple[int, int]:
        """Say how many events wait for its reader, of how many bytes; before any are conflated."""
        if not self.chasing:
            return 0, 0
        events, size_bytes = super().waiting(ring)
        return events, size_bytes + len(self.tail)

    def deliver(self, page: Page) -> None:
        """Write what *page* has for this stream, unless it is chasing: then the ring keeps it.

        The one path that every delivery takes: it asks nothing twice and calls little.
        """
        if self.chasing or self.fd < 0:
            return
        if page.whole and self.position <= page.before:
            payload = page.payload(self.wanted, chunked=self.chunked)
        else:
            self.position = max(self.position, page.before)
            if not page.ring.reaches(self.position):
                self.close(CloseReason.LAGGED)
                return
            payload = page.payload_after(self.position, self.wanted, chunked=self.chunked)
        if payload.last is not None:
            try:
                written = os.write(self.fd, payload.data)
            except OSError as error:
                written = self._refused(error)
            if written == len(payload.data):
                self.heard_at = self.parking.tick
                self.position = payload.last
                self.parking.counts.live += payload.count
            elif written >= 0:
                self.position = max(self.position, page.before)
                self._keep_rest(payload.data, written, payload.shown)
        if payload.ends and self.sees_its_end(payload.found):
            self.close(CloseReason.FINISHED)

    def catch_up(self) -> None:
        """Write what is left of a frame, then what the ring has, until the socket is full or all is said."""
        tail, self.tail = self.tail, b""
        if tail and not self._send(tail):
            return
        if self.leaving:
            self._leave()
            return
        while self.fd >= 0:
            behind = self.position
            matching = self.matching(self.parking.ring)
            waiting = share(matching)
            if self.fd < 0 or self.leaving:
                return
            if not waiting:
                self._stand_still()
                return
            head, self.position = self.position, behind
            entries = _first(waiting, REFILL_BYTES)
            is_sent = self._send(frames.join(entries, chunked=self.chunked), entries)
            if is_sent and len(entries) == len(waiting):
                self.position = head
            if len(waiting) < len(matching):
                self._count_conflated(matching, waiting)
            if not is_sent:
                return

    def beat(self, position: Cursor) -> None:
        """Write a heartbeat: everything up to *position* that matches has been written."""
        if self.chasing or self.fd < 0:
            return
        if self.parking.degraded:
            heartbeat = frames.delayed()
        else:
            self.position = max(self.position, position)
            heartbeat = frames.heartbeat(self.position)
        self._send(frames.chunk(heartbeat) if self.chunked else heartbeat)

    def nudge(self) -> None:
        """Write a heartbeat now; a stream that is chasing has its next one in time."""
        self.parking.attend(self)

    def close(self, reason: CloseReason) -> None:
        """End the stream; its own operation's end is said first, even to a reader that is behind."""
        super().close(reason)
        if self.fd < 0 or self.leaving or (self.chasing and self.closed is CloseReason.FINISHED):
            return
        self._say_goodbye()

    def lose(self, reason: CloseReason = CloseReason.GONE) -> None:
        """End the stream without a word: nobody reads it."""
        super().close(reason)
        self.parking.drop(self)

    def hear(self) -> None:
        """Read and drop what the client says; its end of file, or too much of it, ends the stream."""
        try:
            said = os.read(self.fd, MAX_STRAY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        self.stray += len(said)
        if not said or self.stray > MAX_STRAY_BYTES:
            self.lose()

    def _send(self, data: bytes, entries: Sequence[Entry] = ()) -> bool:
        """Write *data*, the frames of *entries*; tell whether the socket took it all."""
        try:
            written = os.write(self.fd, data)
        except OSError as error:
            written = self._refused(error)
        if written == len(data):
            self.heard_at = self.parking.tick
            if entries:
                self.position = entries[-1].cursor
                self.parking.counts.live += len(entries)
            return True
        if written >= 0:
            self._keep_rest(data, written, entries)
        return False

    def _refused(self, error: OSError) -> int:
        """Say how much a socket took that raised *error*: nothing for now, or, gone, less than that."""
        if isinstance(error, BlockingIOError):
            return 0
        self.lose()
        return -1

    def _keep_rest(self, data: bytes, written: int, entries: Sequence[Entry]) -> None:
        """Keep what is left of the frame that was cut, and chase: what follows it is in the ring."""
        self.heard_at = self.parking.tick
        if entries:
            self._stand_behind(written, entries, data)
        else:
            self.tail = data[written:]
        self.parking.chase(self, progressed=written > 0)

    def _stand_behind(self, written: int, entries: Sequence[Entry], data: bytes) -> None:
        end = 0
        position = self.position
        bytes_of = frames.entry_chunk if self.chunked else frames.entry_frame
        for entry in entries:
            if end == written:
                break
            end += len(bytes_of(entry))
            position = entry.cursor
            self.parking.counts.live += 1
            if end > written:
                self.tail = data[written:end]
                break
        self.position = position

    def _count_conflated(self, matching: Sequence[Entry], waiting: Sequence[Entry]) -> None:
        """Count what lies behind us of *matching* and not of *waiting*: the rest is looked at again."""
        passed = [sum(entry.cursor <= self.position for entry in entries) for entries in (matching, waiting)]
        self.parking.counts.conflated += passed[0] - passed[1]

    def _stand_still(self) -> None:
        self.parking.stop_chasing(self)
        if self.closed is not None:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Finish the frame that was cut, end the body and close, now or when the socket has taken it."""
        last = self.farewell()
        if self.chunked:
            last = (frames.chunk(last) if last else b"") + frames.LAST_CHUNK
        last, self.tail = self.tail + last, b""
        self.leaving = True
        last, self.tail = self.tail + last, b""  # refused at the hand-over, it has not said its opening
        if not last or self._send(last):
            self._leave()

    def _leave(self) -> None:
        """Close behind the last byte, having read what the client has said meanwhile.

        Left unread it makes of the end a reset, on which the client's kernel may drop what it holds.
        """
        with suppress(OSError):
            os.read(self.fd, MAX_STRAY_BYTES)
        self.parking.drop(self)


def _first(entries: list[Entry], size_bytes: int) -> list[Entry]:
    """Give as many of *entries* as make up *size_bytes*, at least one."""
    total = 0
    for count, entry in enumerate(entries, start=1):
        total += len(entry.data)
        if total >= size_bytes:
            return entries[:count]
    return entries
