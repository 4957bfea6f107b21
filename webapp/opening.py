"""How a stream begins: what it is sent before it goes live.

Takes what the browser said of its past, gives an `Opening`: from the ring where that has it
(which works with Redis away), else from the log by the resume table (`tidings.replay`).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.errors import InvalidValue
from tidings.log import Log, Mark, OperationState
from tidings.replay import History, Opening, Reset, from_the_beginning, resume, start_over
from tidings.topics import Filter
from webapp import frames
from webapp.counts import Counts
from webapp.ring import Ring

CHUNK_BYTES = 16_384
"""Frames are joined up to this before they are written: fewer writes, no large buffers (PARKING.md, 2)."""
MOST_KEPT: Final = 16
"""Openings kept: in a storm most streams ask for one of a few. At most some 500 KB each. Guessed."""
KEPT_S: Final = 1.0
"""How long: a storm reads once a second, and what has expired in Redis is not shown for ever. Guessed."""


@dataclass(frozen=True, slots=True)
class Past:
    """What the browser says it has: an id as it sent it, or nothing; then *history* decides."""

    requested: str = ""
    history: History = History.LATEST

    @property
    def cursor(self) -> Cursor | None:
        """The id as a cursor; None where there is none, or not one of ours."""
        if not self.requested:
            return None
        try:
            return Cursor.parse(self.requested)
        except InvalidValue:
            return None


class Openings:
    """One process' way to open streams; keeps what it has opened, for a second, while the feed stands still.

    Whoever then asks for the same begins at the same place with the same bytes, and what has come
    since follows live, as for one who had asked a moment earlier. Used by every greenlet of the process.
    """

    def __init__(self, log: Log, ring: Ring, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._ring = ring
        self._clock = clock
        self._feed: Mark | None = None
        self._until = 0.0
        self._kept: dict[tuple[Filter, Past], Opening] = {}

    def open(self, feed: Mark, wanted: Filter, past: Past) -> Opening:
        """Decide how a stream begins (see `open_stream`)."""
        self._forget(feed)
        opening = self._kept.get((wanted, past))
        if opening is None:
            opening = open_stream(self._log, self._ring, feed, wanted, past)
            if opening.at_hand and feed == self._feed:
                opening = replace(opening, states=_Kept(opening.states), entries=_Kept(opening.entries))
                self._kept[wanted, past] = opening
        return opening

    def _forget(self, feed: Mark) -> None:
        """Forget what was opened elsewhere, or long ago; and all, where that is too much."""
        now = self._clock()
        if feed != self._feed or now > self._until or len(self._kept) >= MOST_KEPT:
            self._kept.clear()
            self._feed, self._until = feed, now + KEPT_S


class _Kept(tuple[Any, ...]):  # noqa: SLOT001 - a tuple may not have any
    """Some states or entries, and what they are on the wire, once that was made."""

    written: tuple[bytes, ...] | None = None


def open_stream(log: Log, ring: Ring, feed: Mark, wanted: Filter, past: Past) -> Opening:
    """Decide how a stream begins that the feed, standing at *feed*, will carry on.

    Waits for Redis unless the ring has it all. Raises: LogUnavailable, HistoryChanged.
    """
    cursor = past.cursor
    if cursor is not None:
        if ring.holds(cursor):
            return Opening(max(cursor, feed.position), ring.after(cursor, wanted))
        return resume(log, wanted, cursor, feed)
    if past.requested:
        return start_over(log, wanted, feed, Reset.UNKNOWN_CURSOR)
    if past.history is History.ALL:
        return from_the_beginning(log, wanted, feed)
    if past.history is History.NONE:
        return Opening(feed.position)
    return start_over(log, wanted, feed)


def opening_frames(
    opening: Opening, wanted: Filter, past: Past, *, degraded: bool = False, counts: Counts | None = None
) -> Iterator[bytes]:
    """Write an opening: retry, reset, states, entries, and a heartbeat that sets the cursor.

    Its entries are counted in *counts* as they are written.
    Raises: LogUnavailable, HistoryChanged while further pages are read.
    """
    first = frames.retry()
    if opening.reset is not None:
        first += frames.reset(opening.reset, past.requested)
    yield first
    yield from _written(opening.states, lambda: _state_chunks(opening.states, wanted))
    counts = counts or Counts()
    if isinstance(opening.entries, _Kept):
        counts.replayed += len(opening.entries)
        yield from _written(opening.entries, lambda: entry_chunks(opening.entries))
    else:
        yield from entry_chunks(_counted(opening.entries, counts))
    yield frames.heartbeat(opening.position, degraded=degraded)


def entry_chunks(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Write *entries* as they come, some at a time."""
    return _chunks(frames.entry_frame(entry) for entry in entries)


def _counted(entries: Iterable[Entry], counts: Counts) -> Iterator[Entry]:
    for entry in entries:
        counts.replayed += 1
        yield entry


def _written(source: Iterable[Any], write: Callable[[], Iterator[bytes]]) -> Iterable[bytes]:
    if not isinstance(source, _Kept):
        return write()
    if source.written is None:
        source.written = tuple(write())
    return source.written


def _state_chunks(states: Iterable[OperationState], wanted: Filter) -> Iterator[bytes]:
    shown = (state for state in states if wanted.kinds is None or state.descriptor.kind in wanted.kinds)
    return _chunks(frames.state_frames(state, wanted.types) for state in shown)


def _chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)
