"""How a stream begins: what it is sent before it goes live.

Takes what the browser said of its past, gives an `Opening`: from the ring where that has it
(which works with Redis away), else from the log by the resume table (`tidings.replay`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.errors import InvalidValue
from tidings.log import Log, Mark
from tidings.replay import History, Opening, Reset, from_the_beginning, resume, start_over
from tidings.topics import Filter
from webapp import frames
from webapp.ring import Ring

CHUNK_BYTES = 16_384
"""Frames are joined up to this before they are written: fewer writes, no large buffers (PARKING.md, 2)."""


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


def opening_frames(opening: Opening, wanted: Filter, past: Past) -> Iterator[bytes]:
    """Write an opening: retry, reset, states, entries, and a heartbeat that sets the cursor.

    Raises: LogUnavailable, HistoryChanged while further pages are read.
    """
    first = frames.retry()
    if opening.reset is not None:
        first += frames.reset(opening.reset, past.requested)
    yield first
    shown = [
        state for state in opening.states if wanted.kinds is None or state.descriptor.kind in wanted.kinds
    ]
    yield from _chunks(frames.state_frames(state, wanted.types) for state in shown)
    yield from entry_chunks(opening.entries)
    yield frames.heartbeat(opening.position)


def entry_chunks(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Write *entries* as they come, some at a time."""
    return _chunks(frames.entry_frame(entry) for entry in entries)


def _chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)
