"""Which subscribers want which topics.

Looks up the subscribers of an event by its topics, at a cost of what it finds. Pure.
"""

from collections.abc import Iterable, Iterator

from tidings.entry import Entry
from tidings.topics import ALL_FAMILIES, EVERYTHING, wildcard
from webapp.subscriber import Subscriber

_WILDCARDS = frozenset(wildcard(family) for family in ALL_FAMILIES)


class Registry:
    """The live subscribers of one process. Only the hub touches it."""

    def __init__(self) -> None:
        self._all: set[Subscriber] = set()
        # Most topics have one subscriber: without a set for it, a parked stream takes 200 bytes less.
        self._by_topic: dict[str, Subscriber | set[Subscriber]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(self._all)

    def __contains__(self, subscriber: Subscriber) -> bool:
        return subscriber in self._all

    def add(self, subscriber: Subscriber) -> None:
        """File *subscriber* under each of its topics."""
        self._all.add(subscriber)
        for topic in subscriber.wanted.topics:
            there = self._by_topic.get(topic)
            if there is None:
                self._by_topic[topic] = subscriber
            elif isinstance(there, set):
                there.add(subscriber)
            else:
                self._by_topic[topic] = {there, subscriber}

    def remove(self, subscriber: Subscriber) -> None:
        """Forget *subscriber*; twice does no harm."""
        self._all.discard(subscriber)
        for topic in subscriber.wanted.topics:
            there = self._by_topic.get(topic)
            if isinstance(there, set):
                there.discard(subscriber)
            if there is subscriber or there == set():
                del self._by_topic[topic]

    def wanting(self, entries: Iterable[Entry]) -> list[Subscriber]:
        """Give the subscribers on whose topics any of *entries* is, each once, as they are now."""
        topics = {topic for entry in entries for topic in entry.topics}
        if self._by_topic.keys() & _WILDCARDS:
            topics |= {wildcard(topic) for topic in topics}
        topics.add(EVERYTHING)
        found = [self._by_topic[topic] for topic in topics if topic in self._by_topic]
        if len(found) == 1 and isinstance(found[0], set):
            return list(found[0])  # the usual case of a broadcast: nobody is on two of the topics
        each: dict[Subscriber, None] = {}
        for there in found:
            if isinstance(there, set):
                each.update(dict.fromkeys(there))
            else:
                each[there] = None
        return list(each)
