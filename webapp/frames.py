"""The bytes of one event on the wire: the only place that writes Server-Sent Events.

Takes an entry or a state, gives a frame. Pure. Source of the format: HTML Living Standard,
9.2.6 "Interpreting an event stream"; of the names and ids: docs/protocol.md.
"""

import random
import re
from collections.abc import Iterable
from typing import Final

from msgspec import json

from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.log import OperationState
from tidings.replay import Reset

RETRY_MS: Final = (500, 1500)
"""Within DESIGN.md's two seconds to be back, and spread so that a fleet does not return in step."""

AWAY_SPREAD: Final = 4.0
"""Streams that are turned away together come back over this many times the usual range."""

_DEGRADED: Final = b'{"degraded":true}'
_ENDS_A_LINE = re.compile(r"[\r\n\0]")


def frame(event: str, data: bytes, event_id: str = "") -> bytes:
    """Write one event. *data* is one line of JSON; without *event_id* the browser keeps its cursor.

    Raises: ValueError if a field would end its own line (CVE-2026-33128 and its kin).
    """
    if b"\n" in data or b"\r" in data or _ENDS_A_LINE.search(event) or _ENDS_A_LINE.search(event_id):
        raise ValueError("a field of a frame must not hold CR, LF or NUL")
    id_line = f"id: {event_id}\n" if event_id else ""
    return b"event: %b\n%bdata: %b\n\n" % (event.encode(), id_line.encode(), data)


def entry_frame(entry: Entry) -> bytes:
    """Write an entry of the log, with its id; made once and kept with the entry."""
    if not entry.frame:
        entry.frame = frame(entry.type, entry.data, entry.cursor.wire)
    return entry.frame


def entry_chunk(entry: Entry) -> bytes:
    """Write an entry's frame as a chunk of HTTP/1.1; made once and kept with the entry."""
    if not entry.chunk:
        entry.chunk = chunk(entry_frame(entry))
    return entry.chunk


def join(entries: Iterable[Entry], *, chunked: bool) -> bytes:
    """Write *entries*, each whole: a chunk of its own where the body is chunked."""
    return b"".join(map(entry_chunk if chunked else entry_frame, entries))


def chunk(data: bytes) -> bytes:
    """Put *data* into a chunk. Source: RFC 9112, 7.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"
"""Ends a chunked body properly."""


def state_frames(state: OperationState, types: frozenset[str] | None) -> bytes:
    """Write an operation's latest event of each type asked for, its end last, without ids."""
    last = {"complete": 2, "error": 1}
    shown = sorted(state.events, key=lambda event: (last.get(event, 0), event))
    return b"".join(frame(event, state.events[event]) for event in shown if types is None or event in types)


def heartbeat(position: Cursor, *, degraded: bool = False) -> bytes:
    """Write a heartbeat: the stream has everything up to *position*; *degraded* as in `delayed`."""
    return frame("heartbeat", _DEGRADED if degraded else b"{}", position.wire)


def delayed() -> bytes:
    """Write a heartbeat which says that what happens now comes later, because Redis is away.

    It has no id: a quiet stream that claimed now what it has not seen would be told reset behind
    a failover that lost it.
    """
    return frame("heartbeat", _DEGRADED)


def reset(reason: Reset, requested: str) -> bytes:
    """Write that a resume after *requested* cannot be exact; the current state follows."""
    return frame("reset", json.encode({"reason": reason.value, "requestedId": requested[:128]}))


def retry(spread: float = 1.0) -> bytes:
    """Tell the browser how long to wait before it comes back: drawn anew for each stream.

    *spread* widens the range for streams that are all turned away at once.
    """
    low, high = RETRY_MS
    wait_ms = random.randint(low, int(low + (high - low) * spread))  # noqa: S311 - jitter
    return b"retry: %d\n\n" % wait_ms
