"""What one read of the feed brings to its subscribers: made once for all who want the same.

Takes the ring and the place it stood at before, gives each parked stream its bytes. Lives as
long as one fan-out.
"""

from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.topics import Filter
from webapp import frames
from webapp.ring import Ring


class Payload:
    """Bytes ready to be written, and what their writing means to a stream.

    ``shown`` are the entries that *data* is made of, ``count`` of them; ``last`` is the place of the last;
    ``found`` also has those filtered out, ``ends`` tells whether an operation's end is among them.
    """

    __slots__ = ("count", "data", "ends", "found", "last", "shown")

    def __init__(self, found: list[Entry], wanted: Filter, *, chunked: bool) -> None:
        self.found = found
        self.shown = [entry for entry in found if entry.is_for(wanted)]
        self.count = len(self.shown)
        self.data = frames.join(self.shown, chunked=chunked)
        self.last = self.shown[-1].cursor if self.shown else None
        self.ends = any(entry.ends_operation for entry in found)


class Page:
    """The entries after *before*, in the forms that streams need.

    ``whole`` tells whether the ring still has all of them, which it has not if they are more than it holds.
    """

    __slots__ = ("_chunked", "_raw", "before", "ring", "whole")

    def __init__(self, ring: Ring, before: Cursor) -> None:
        self.ring = ring
        self.before = before
        self.whole = ring.reaches(before)
        # By identity: Filter.of gives equal filters the same object, and they live as long as we do.
        self._chunked: dict[int, Payload] = {}
        self._raw: dict[int, Payload] = {}

    def payload(self, wanted: Filter, *, chunked: bool) -> Payload:
        """Give what *wanted* asks for of this page."""
        made = self._chunked if chunked else self._raw
        payload = made.get(id(wanted))
        if payload is None:
            payload = made[id(wanted)] = self.payload_after(self.before, wanted, chunked=chunked)
        return payload

    def payload_after(self, position: Cursor, wanted: Filter, *, chunked: bool) -> Payload:
        """Give what *wanted* asks for after *position*, which may be ahead of where the page begins."""
        return Payload(self.ring.on(wanted.topics, position), wanted, chunked=chunked)
