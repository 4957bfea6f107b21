"""What one read of the feed brings to its subscribers: made once for all who want the same.

Takes the ring and the place it stood at before, gives each parked stream its bytes. Lives as
long as one fan-out.
"""

from typing import NamedTuple

from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.topics import Filter
from webapp import frames
from webapp.ring import Ring


class Payload(NamedTuple):
    """Bytes ready to be written, of the *shown* entries; *found* also has those filtered out."""

    data: bytes
    shown: list[Entry]
    found: list[Entry]


class Page:
    """The entries after *before*, in the forms that streams need."""

    __slots__ = ("_made", "before", "ring")

    def __init__(self, ring: Ring, before: Cursor) -> None:
        self.ring = ring
        self.before = before
        # By identity: Filter.of gives equal filters the same object, and they live as long as we do.
        self._made: dict[tuple[int, bool], Payload] = {}

    def payload(self, wanted: Filter, position: Cursor, *, chunked: bool) -> Payload:
        """Give what *wanted* asks for of this page, after *position* if that is ahead of its start."""
        if position > self.before:
            return self._make(wanted, position, chunked=chunked)
        key = (id(wanted), chunked)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._make(wanted, self.before, chunked=chunked)
        return made

    def _make(self, wanted: Filter, position: Cursor, *, chunked: bool) -> Payload:
        found = self.ring.on(wanted.topics, position)
        shown = [entry for entry in found if entry.is_for(wanted)]
        return Payload(frames.join(shown, chunked=chunked), shown, found)
