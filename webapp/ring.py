"""The recent past of the log, in memory: what live streams read, and reconnecting ones.

Takes entries from the feed, in log order; gives any stream what follows its cursor. Bounded
by count; a stream that falls behind its floor is told so, never skipped ahead.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.topics import EVERYTHING, Filter

_NOTHING: deque[Entry] = deque()


class Ring:
    """The last *capacity* entries of one process' feed, indexed by topic.

    Owned by the hub; used by every greenlet of the process. Holds everything in
    (``floor``, ``head``] of one linked history; both are None until `restart`.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self._by_topic: dict[str, deque[Entry]] = {}
        self._cursors: set[Cursor] = set()
        self.floor: Cursor | None = None
        self.head: Cursor | None = None

    def restart(self, position: Cursor) -> None:
        """Forget everything; what follows *position* will be complete."""
        self._entries.clear()
        self._by_topic.clear()
        self._cursors.clear()
        self.floor = self.head = position

    def push(self, entry: Entry) -> None:
        """Add the entry that follows the head; drop the oldest past the capacity."""
        self._entries.append(entry)
        self._cursors.add(entry.cursor)
        for topic in entry.topics:
            recent = self._by_topic.get(topic)
            if recent is None:
                self._by_topic[topic] = deque((entry,))
            else:
                recent.append(entry)
        self.head = entry.cursor
        if len(self._entries) > self._capacity:
            self._drop_oldest()

    def holds(self, cursor: Cursor) -> bool:
        """Tell whether everything after *cursor* is here: it is the floor or an entry we have."""
        return cursor == self.floor or cursor in self._cursors

    def reaches(self, position: Cursor) -> bool:
        """Tell whether a stream that stands at *position*, in this history, has missed nothing here."""
        return self.floor is not None and position >= self.floor

    def after(self, position: Cursor, wanted: Filter) -> list[Entry]:
        """Give what *wanted* asks for after *position*, in log order. The caller has asked `reaches`."""
        return [entry for entry in self.on(wanted.topics, position) if entry.is_for(wanted)]

    def latest(self, topic: str) -> Entry | None:
        """Give the latest entry on *topic*, a named one; None if none is here."""
        return next(reversed(self._by_topic.get(topic, _NOTHING)), None)

    def on(self, topics: Sequence[str], position: Cursor) -> list[Entry]:
        """Give all entries after *position* that may be on *topics*; for a wildcard, all entries."""
        if len(topics) == 1:
            found = list(_newer(self._source(topics[0]), position))
            found.reverse()
            return found
        by_cursor = {
            entry.cursor: entry for topic in topics for entry in _newer(self._source(topic), position)
        }
        return [by_cursor[cursor] for cursor in sorted(by_cursor)]

    def _source(self, topic: str) -> deque[Entry]:
        if topic.endswith(EVERYTHING):
            return self._entries
        return self._by_topic.get(topic, _NOTHING)

    def _drop_oldest(self) -> None:
        oldest = self._entries.popleft()
        self._cursors.discard(oldest.cursor)
        self.floor = oldest.cursor
        for topic in oldest.topics:
            recent = self._by_topic[topic]
            recent.popleft()
            if not recent:
                del self._by_topic[topic]


def _newer(source: deque[Entry], position: Cursor) -> Iterator[Entry]:
    """Walk back from the newest entry to *position*: costs what is found, not what is kept."""
    for entry in reversed(source):
        if entry.cursor <= position:
            return
        yield entry
