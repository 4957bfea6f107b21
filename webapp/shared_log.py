"""The log as a web process' openings read it: those that ask for the same at once share one answer.

Ten thousand streams that come back to one operation read Redis a few times, not ten thousand.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar, cast

from gevent.event import AsyncResult

from tidings.cursor import Cursor
from tidings.log import Log, Mark, OperationState, TopicPage
from tidings.settings import Settings

T = TypeVar("T")


class SharedLog(Log):
    """A log whose concurrent reads of the same are one. Any greenlet may call it.

    *stands_at* says how far this process has read. Only callers that stand at the same place
    share: then the answer is no older than what each of them has already seen.
    """

    def __init__(self, settings: Settings, stands_at: Callable[[], Hashable]) -> None:
        super().__init__(settings)
        self._stands_at = stands_at
        self._asked: dict[Hashable, AsyncResult[Any]] = {}

    def state(self, topics: Sequence[str], most: int) -> tuple[Mark, list[OperationState]]:
        """Read the operations on *topics* (see Log.state)."""
        read = super().state
        return self._share(("state", tuple(topics), most), lambda: read(topics, most))

    def page(self, topic: str, after: Cursor | None, upto: Cursor) -> TopicPage:
        """Read a page of *topic* (see Log.page)."""
        read = super().page
        return self._share(("page", topic, after, upto), lambda: read(topic, after, upto))

    def _share(self, asked: Hashable, read: Callable[[], T]) -> T:
        """Give the answer that is under way for the same question, or ask."""
        key = (asked, self._stands_at())
        under_way = self._asked.get(key)
        if under_way is not None:
            return cast("T", under_way.get())
        answer: AsyncResult[T] = AsyncResult()
        self._asked[key] = answer
        try:
            found = read()
        except BaseException as error:
            answer.set_exception(error)
            raise
        else:
            answer.set(found)
            return found
        finally:
            del self._asked[key]
