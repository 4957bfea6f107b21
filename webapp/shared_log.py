"""The log as a web process' openings read it: those that ask at once share one round trip.

Ten thousand streams that come back to one operation read Redis a few times, not ten thousand;
nor do ten thousand that each come back to their own.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar, cast

from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore

from tidings.cursor import Cursor
from tidings.log import Listing, Log, Mark, OperationState, TopicPage
from tidings.settings import Settings
from tidings.topics import wildcard

T = TypeVar("T")
States = tuple[Mark, list[OperationState]]
ByTopic = tuple[Mark, dict[str, list[OperationState]]]


class SharedLog(Log):
    """A log whose concurrent reads of the same are one. Any greenlet may call it.

    *stands_at* says how far this process has read. Only callers that stand at the same place
    share an answer that is under way: then it is no older than what each of them has already
    seen. Single operations are gathered while a read of such is under way, and read together
    by the next one, which begins after each of them has asked.
    """

    def __init__(self, settings: Settings, stands_at: Callable[[], Hashable]) -> None:
        super().__init__(settings)
        self._stands_at = stands_at
        self._asked: dict[Hashable, AsyncResult[Any]] = {}
        self._gathered: _Gathered | None = None
        self._turn = BoundedSemaphore(1)

    def state(self, topics: Sequence[str], most: int) -> States:
        """Read the operations on *topics* (see Log.state)."""
        read = super().state
        if len(topics) == 1 and _is_one_operation(topics[0]):
            return self._together(topics[0], lambda several: read(several, most))
        return self._share(("state", tuple(topics), most), lambda: read(topics, most))

    def listing(self, wanted: Iterable[str], before: int | None, most: int) -> Listing:
        """Read a part of the list of operations (see Log.listing)."""
        read, names = super().listing, tuple(wanted)
        return self._share(("listing", names, before, most), lambda: read(names, before, most))

    def page(self, topic: str, after: Cursor | None, upto: Cursor) -> TopicPage:
        """Read a page of *topic* (see Log.page)."""
        read = super().page
        return self._share(("page", topic, after, upto), lambda: read(topic, after, upto))

    def knows(self, topic: str) -> bool:
        """Tell whether anything is kept of *topic* (see Log.knows)."""
        read = super().knows
        return self._share(("knows", topic), lambda: read(topic))

    def _share(self, asked: Hashable, read: Callable[[], T]) -> T:
        """Give the answer that is under way for the same question, or ask."""
        key = (asked, self._stands_at())
        under_way = self._asked.get(key)
        if under_way is not None:
            return cast("T", under_way.get())
        answer: AsyncResult[T] = AsyncResult()
        self._asked[key] = answer
        try:
            return _answered(answer, read)
        finally:
            del self._asked[key]

    def _together(self, topic: str, read: Callable[[list[str]], States]) -> States:
        """Read an operation with all others that are asked for until the read before has ended."""
        if self._gathered is not None:
            self._gathered.topics[topic] = None
            mark, by_topic = cast("ByTopic", self._gathered.answer.get())
        else:
            mark, by_topic = self._gather(topic, read)
        return mark, by_topic.get(topic, [])

    def _gather(self, topic: str, read: Callable[[list[str]], States]) -> ByTopic:
        gathered = self._gathered = _Gathered(topic)

        def in_turn() -> ByTopic:
            with self._turn:
                self._gathered = None  # whoever asks from now on may know of more than this read will see
                return _by_topic(read(list(gathered.topics)))

        try:
            return _answered(gathered.answer, in_turn)
        finally:
            if self._gathered is gathered:
                self._gathered = None


class _Gathered:
    """Operations that are asked for at once, and the answer to all."""

    def __init__(self, topic: str) -> None:
        self.topics = {topic: None}
        self.answer: AsyncResult[ByTopic] = AsyncResult()


def _is_one_operation(topic: str) -> bool:
    return topic.startswith("operations:") and topic != wildcard(topic)


def _by_topic(found: States) -> ByTopic:
    mark, states = found
    return mark, {f"operations:{state.descriptor.id}": [state] for state in states}


def _answered(answer: "AsyncResult[T]", read: Callable[[], T]) -> T:
    """Read, and let those who wait for *answer* have what came of it."""
    try:
        found = read()
    except BaseException as error:
        answer.set_exception(error)
        raise
    answer.set(found)
    return found
