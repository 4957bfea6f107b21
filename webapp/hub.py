"""Where one process' streams meet the log: routes each live event to the subscribers of its topics.

Takes pages of entries from the feed, keeps them in the ring, wakes the subscribers they are
for. Only the hub touches the registry of subscribers. It neither reads Redis nor writes
sockets.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from gevent.event import Event

from tidings.cursor import Cursor
from tidings.entry import ERA, Entry
from tidings.log import Mark
from tidings.topics import EVERYTHING, Filter, wildcard
from webapp.ring import Ring
from webapp.subscriber import CloseReason, Subscriber


class Hub:
    """One per process, for its life. Its methods never block but `wait_until_ready`."""

    def __init__(self, ring_events: int) -> None:
        self.ring = Ring(ring_events)
        self._token = ""
        self._by_topic: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self._subscribers: set[Subscriber] = set()
        self._ready = Event()
        self.draining = False

    def __len__(self) -> int:
        return len(self._subscribers)

    @property
    def mark(self) -> Mark | None:
        """The life of the log that we follow and the place up to which we have; None before the first."""
        return Mark(self._token, self.ring.head) if self.ring.head is not None else None

    def wait_until_ready(self, timeout_s: float) -> Mark | None:
        """Wait for the feed's first contact with the log; None if it has none in time."""
        self._ready.wait(timeout_s)
        return self.mark

    def join(self, wanted: Filter, position: Cursor) -> Subscriber:
        """Register a stream that has everything up to *position*."""
        subscriber = Subscriber(self.ring, wanted, position)
        self._subscribers.add(subscriber)
        for topic in wanted.topics:
            self._by_topic[topic].add(subscriber)
        if self.draining:
            subscriber.close(CloseReason.DRAINING)
        elif position.era > int(self._token.partition(":")[0]):
            subscriber.close(CloseReason.HISTORY)  # it opened in a history that has ended since
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a stream; once is enough, twice does no harm."""
        self._subscribers.discard(subscriber)
        for topic in subscriber.wanted.topics:
            members = self._by_topic.get(topic)
            if members is not None:
                members.discard(subscriber)
                if not members:
                    del self._by_topic[topic]

    def route(self, entries: Sequence[Entry]) -> None:
        """Keep *entries*, which follow what we have, and wake whom they are for."""
        for entry in entries:
            if entry.type == ERA:
                self._close_those_ahead()
            self.ring.push(entry)
        for subscriber in self._wanting(entries):
            subscriber.wake()

    def follow(self, token: str) -> None:
        """Take note of the era that the log is in now; what we have is linked to it."""
        self._token = token

    def start_over(self, mark: Mark) -> None:
        """Go on from *mark*, which does not follow what we have: end every stream, its resume decides."""
        self.close_all(CloseReason.HISTORY)
        self._token = mark.token
        self.ring.restart(mark.position)
        self._ready.set()

    def close_all(self, reason: CloseReason) -> None:
        """Have every stream end."""
        for subscriber in list(self._subscribers):
            subscriber.close(reason)

    def _wanting(self, entries: Iterable[Entry]) -> set[Subscriber]:
        topics = {EVERYTHING}
        for entry in entries:
            topics.update(entry.topics)
            topics.update(wildcard(topic) for topic in entry.topics)
        return set().union(*(self._by_topic[topic] for topic in topics if topic in self._by_topic))

    def _close_those_ahead(self) -> None:
        """End the streams that saw more of the era that has closed than its successor kept (LOG.md, A12)."""
        head = self.ring.head
        for subscriber in list(self._subscribers):
            if head is not None and subscriber.position > head:
                subscriber.close(CloseReason.HISTORY)
